/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean …?" */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include <stddef.h>

/**
 * The known name nearest to `name` by edit distance; NULL where none is within a third of the name's length,
 * or within three edits.
 */
const char *config_nearest(const char *name, const char *const *known, size_t count);

struct config_hint {
    char text[256];
};

/** ` (did you mean "root"?)`, or "" if no known name is near enough. */
struct config_hint config_hint(const char *name, const char *const *known, size_t count);

#endif
