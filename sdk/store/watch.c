/* SPDX-License-Identifier: Apache-2.0 */
/* Who watches which buckets. Watches come and go while they are told. */
#include "watch.h"

#include <stdlib.h>
#include <string.h>

struct berth_store_watch {
    struct berth_store_watch *next;
    void (*on_change)(void *context, const struct berth_store_change *change);
    void *context;
    bool is_over;
    size_t prefix_length;
    char prefix[];
};

struct berth_store_watch *store_watch_add(struct store_watches *watches, const char *prefix,
                                          void (*on_change)(void *context,
                                                            const struct berth_store_change *change),
                                          void *context)
{
    size_t length = strlen(prefix);
    struct berth_store_watch *watch = malloc(sizeof(*watch) + length);

    if (watch == NULL)
        return NULL;
    *watch = (struct berth_store_watch){.on_change = on_change, .context = context, .prefix_length = length};
    memcpy(watch->prefix, prefix, length);
    if (watches->last == NULL)
        watches->first = watch;
    else
        watches->last->next = watch;
    watches->last = watch;
    return watch;
}

static void sweep(struct store_watches *watches)
{
    struct berth_store_watch **link = &watches->first;

    watches->last = NULL;
    while (*link != NULL) {
        struct berth_store_watch *watch = *link;

        if (watch->is_over) {
            *link = watch->next;
            free(watch);
        } else {
            watches->last = watch;
            link = &watch->next;
        }
    }
}

void store_watch_remove(struct store_watches *watches, struct berth_store_watch *watch)
{
    if (watch == NULL)
        return;
    watch->is_over = true;
    if (watches->depth == 0)
        sweep(watches);
}

static bool is_meant(const struct berth_store_watch *watch, const struct berth_store_change *change)
{
    return !watch->is_over && strncmp(change->bucket, watch->prefix, watch->prefix_length) == 0;
}

void store_watch_tell(struct store_watches *watches, const struct berth_store_change *change)
{
    /* Who asks from here on did so after it happened. */
    struct berth_store_watch *last = watches->last;
    struct berth_store_watch *watch = watches->first;

    watches->depth++;
    for (bool is_more = watch != NULL; is_more; watch = watch->next) {
        if (is_meant(watch, change))
            watch->on_change(watch->context, change);
        is_more = watch != last;
    }
    if (--watches->depth == 0)
        sweep(watches);
}

void store_watch_finish(struct store_watches *watches)
{
    for (struct berth_store_watch *watch = watches->first; watch != NULL; watch = watch->next)
        watch->is_over = true;
    sweep(watches);
}
