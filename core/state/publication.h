/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin tells of itself at run time, for listings: exports, platforms, capabilities. */
#ifndef CORE_STATE_PUBLICATION_H
#define CORE_STATE_PUBLICATION_H

#include <berth/inspect.h>

/** The most that one plugin may publish of each. */
#define PUBLICATION_MAX 256

/** Zero-initialise. All strings are copies. */
struct publication {
    struct berth_export *exports;
    size_t export_count;
    struct berth_platform *platforms;
    size_t platform_count;
    const char **capabilities;
    size_t capability_count;
};

/**
 * Each: BERTH_OK; BERTH_INVALID_ARGUMENT for NULL, an empty word, or what is no line of UTF-8;
 * BERTH_RESOURCE_EXHAUSTED past PUBLICATION_MAX. What is there already is not added twice; an export's value
 * is replaced.
 */
enum berth_code publication_add_export(struct publication *publication, const char *key, const char *value);
enum berth_code publication_add_platform(struct publication *publication, const char *os,
                                         const char *architecture, const char *variant);
enum berth_code publication_add_capability(struct publication *publication, const char *capability);
void publication_finish(struct publication *publication);

#endif
