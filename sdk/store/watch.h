/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_STORE_WATCH_H
#define BERTH_STORE_WATCH_H

#include <stdbool.h>

#include <berth/types/store.h>

/* Who hears of what others did, in the order they asked. Zeroed is empty. */
struct store_watches {
    struct berth_store_watch *first;
    struct berth_store_watch *last;
    /* How many times it is being told just now. */
    unsigned depth;
};

struct berth_store_watch *store_watch_add(struct store_watches *watches, const char *prefix,
                                          void (*on_change)(void *context,
                                                            const struct berth_store_change *change),
                                          void *context);
/* Of one that is being told: it hears nothing more, and is freed after. */
void store_watch_remove(struct store_watches *watches, struct berth_store_watch *watch);
void store_watch_tell(struct store_watches *watches, const struct berth_store_change *change);
void store_watch_finish(struct store_watches *watches);

#endif
