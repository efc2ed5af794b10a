/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CONTAINER_OF_H
#define BASE_CONTAINER_OF_H

#include <stddef.h>
#include <stdint.h>

/** The struct of `type` whose `member` is at `pointer`, which may be const. */
#define CONTAINER_OF(pointer, type, member) ((type *)((uintptr_t)(pointer)-offsetof(type, member)))

#endif
