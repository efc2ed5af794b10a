/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CONTAINER_OF_H
#define BASE_CONTAINER_OF_H

#include <stddef.h>
#include <stdint.h>

/** The struct of `type` that `pointer`, which may be const, is the `member` of. */
#define CONTAINER_OF(pointer, type, member) ((type *)((uintptr_t)(pointer)-offsetof(type, member)))

#endif
