/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is given back all at once: what a tree, a schema or a section's values are made of. */
#ifndef CONFIG_ARENA_H
#define CONFIG_ARENA_H

#include <stddef.h>

struct config_arena_block;

/** Zero-initialise. */
struct config_arena {
    struct config_arena_block *blocks;
};

/** Zeroed bytes, aligned for any of our structs. Aborts when memory is out: callers bound what they ask for.
 */
void *config_arena_allocate(struct config_arena *arena, size_t bytes);
/** A copy of `length` bytes with a NUL behind them. */
char *config_arena_copy(struct config_arena *arena, const char *text, size_t length);
/** Moves all that `from` holds; nothing changes its address. */
void config_arena_take(struct config_arena *arena, struct config_arena *from);
void config_arena_finish(struct config_arena *arena);

#endif
