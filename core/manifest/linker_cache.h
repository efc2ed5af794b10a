/* SPDX-License-Identifier: Apache-2.0 */
/* What ldconfig wrote down of the system's libraries. */
#ifndef CORE_MANIFEST_LINKER_CACHE_H
#define CORE_MANIFEST_LINKER_CACHE_H

#include <stdbool.h>
#include <stddef.h>

/** The file in memory; empty where there is none. */
struct linker_cache {
    const char *bytes;
    size_t length;
};

void linker_cache_init(struct linker_cache *cache);
void linker_cache_finish(struct linker_cache *cache);
/** Offers each path that the cache has for a library until one is taken. @return whether one was. */
bool linker_cache_visit(const struct linker_cache *cache, const char *name,
                        bool (*on_path)(void *context, const char *path), void *context);

#endif
