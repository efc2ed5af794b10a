/* SPDX-License-Identifier: Apache-2.0 */
/* What ldconfig wrote down of the system's libraries. */
#ifndef BERTH_SDK_LINKER_CACHE_H
#define BERTH_SDK_LINKER_CACHE_H

#include <stdbool.h>

/** Offers each path that the cache has for a library until one is taken. @return whether one was. */
bool linker_cache_visit(const char *name, bool (*on_path)(void *context, const char *path), void *context);

#endif
