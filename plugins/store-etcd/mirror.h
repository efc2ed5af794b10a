/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ETCD_MIRROR_H
#define STORE_ETCD_MIRROR_H

#include <stdint.h>

#include <bsd/sys/tree.h>

#include <etcd/mvccpb/kv.pb-c.h>

#include <berth/store_engine.h>

#include "layout.h"

/* One entry, never changed: it is replaced. A removed one is kept by who removed it until all have been told.
 */
struct mirror_entry {
    RB_ENTRY(mirror_entry) link;
    size_t name_length;
    size_t value_length;
    /* "BUCKET,KEY", then the value. */
    unsigned char bytes[];
};

RB_HEAD(mirror_tree, mirror_entry);

/* What is committed, as of one revision of etcd. Zeroed is empty. */
struct mirror {
    struct mirror_tree entries;
    uint64_t count;
    /* Of memory, entries themselves counted. */
    uint64_t bytes;
    /* All events up to here are in it. */
    int64_t revision;
    /* The cluster of these revisions; one that was restored from a backup has another id. */
    uint64_t cluster;
    /* Of the head: its mod_revision, 0 where there is none, and the id in it. */
    int64_t head_revision;
    char head[LAYOUT_ID_MAX];
    /* Daemons that share the prefix. */
    int64_t nodes;
};

/* NULL without memory. Not in any mirror yet. */
struct mirror_entry *mirror_entry_create(const struct layout_name *name, const void *value, size_t length);
struct berth_store_bytes mirror_entry_key(const struct mirror_entry *entry);
struct berth_store_bytes mirror_entry_value(const struct mirror_entry *entry);
/* Copies the bucket's name. */
void mirror_entry_bucket(const struct mirror_entry *entry, char ret_bucket[BERTH_STORE_BUCKET_MAX + 1]);

/* Takes the entry over. @return the one of that name it replaces, which is the caller's; or NULL. */
struct mirror_entry *mirror_put(struct mirror *mirror, struct mirror_entry *entry);
/* Takes the entry of the same name out. @return it, the caller's; NULL where there is none. */
struct mirror_entry *mirror_remove(struct mirror *mirror, const struct mirror_entry *named);

struct mirror_entry *mirror_find(const struct mirror *mirror, const char *bucket,
                                 struct berth_store_bytes key);
/* The bucket's first entry after the key; NULL past the last. */
struct mirror_entry *mirror_next(const struct mirror *mirror, const char *bucket,
                                 struct berth_store_bytes after);
/* The first entry of the first bucket after this one; NULL past the last. */
struct mirror_entry *mirror_next_bucket(const struct mirror *mirror, const char *after);

void mirror_finish(struct mirror *mirror);

struct revision_change {
    struct revision_change *next;
    bool is_removal;
    /* Of a removal only the name counts. */
    struct mirror_entry *entry;
    /* The replaced entry, once the change is applied. */
    struct mirror_entry *before;
};

/* The changes of one revision. */
struct revision {
    struct revision *next;
    int64_t number;
    bool is_applied;
    bool moves_head;
    /* The new head; empty if the head was removed. */
    bool removes_head;
    char head[LAYOUT_ID_MAX];
    /* Change in the number of daemons. */
    int nodes;
    /* Upper bound of what applying it adds to a mirror. */
    uint64_t bytes;
    /* Memory used by the revision itself, including removals. */
    uint64_t memory;
    struct revision_change *first;
    struct revision_change **end;
};

/* NULL without memory. */
struct revision *revision_create(int64_t number);
void revision_destroy(struct revision *revision);

/* Adds an event; keys that are not the store's are ignored. @return false without memory. */
bool revision_add(struct revision *revision, const struct layout *layout, const Mvccpb__Event *event);

/* Moves the mirror. */
void revision_apply(struct revision *revision, struct mirror *mirror);
/* Tells the watchers, after it was applied. */
void revision_tell(const struct revision *revision, struct berth_store_core *core,
                   enum berth_store_cause cause);

/* Tells what differs between two states, CAUGHT_UP. */
void revision_tell_difference(const struct mirror *before, const struct mirror *after,
                              struct berth_store_core *core);

#endif
