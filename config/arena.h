/* SPDX-License-Identifier: Apache-2.0 */
/* Memory freed all at once: what trees, schemas and values are made of. */
#ifndef CONFIG_ARENA_H
#define CONFIG_ARENA_H

#include <stddef.h>

struct config_arena_block;

/** Zero-initialise. */
struct config_arena {
    struct config_arena_block *blocks;
};

/** Zeroed bytes, aligned for any of our structs. Aborts when out of memory: callers bound what they ask for.
 */
void *config_arena_allocate(struct config_arena *arena, size_t bytes);
/** A NUL-terminated copy of `length` bytes. */
char *config_arena_copy(struct config_arena *arena, const char *text, size_t length);
/** Takes over everything `from` holds; no address changes. */
void config_arena_take(struct config_arena *arena, struct config_arena *from);
void config_arena_finish(struct config_arena *arena);

#endif
