/* SPDX-License-Identifier: Apache-2.0 */
/* Which plugins can do their job, considering all that they require. */
#ifndef HEALTH_CONDITIONS_H
#define HEALTH_CONDITIONS_H

#include <berth/inspect.h>

enum condition {
    /** No plugin has this URI. */
    CONDITION_UNKNOWN,
    CONDITION_WELL,
    /** It is not running, it or a required plugin is degraded, or a required plugin has failed. */
    CONDITION_ILL,
};

struct condition_entry {
    char *uri;
    enum condition condition;
};

/** Zero-initialise. Sorted by URI. */
struct conditions {
    struct condition_entry *entries;
    size_t count;
    size_t capacity;
};

/** Updates the list. @return false without memory; the old list remains. */
bool conditions_refresh(struct conditions *conditions, const struct berth_inspect *inspect);
enum condition conditions_find(const struct conditions *conditions, const char *uri);
void conditions_finish(struct conditions *conditions);

#endif
