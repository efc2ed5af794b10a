/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_BASE_CONTAINER_H
#define RPC_BASE_CONTAINER_H

#include <stddef.h>

/** The struct of `type` that `pointer` is the `member` of. */
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
