/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ETCD_REVISION_H
#define STORE_ETCD_REVISION_H

#include <etcd/mvccpb/kv.pb-c.h>

#include <berth/store_engine.h>

#include "mirror.h"

struct revision_change {
    struct revision_change *next;
    bool is_removal;
    /* Of a removal only the name counts. */
    struct mirror_entry *entry;
    /* What was there, once it is applied. */
    struct mirror_entry *before;
};

/* All that became true together. */
struct revision {
    struct revision *next;
    int64_t number;
    bool is_applied;
    bool moves_head;
    /* Where it moves the head: to nowhere where somebody removed it. */
    bool removes_head;
    char head[LAYOUT_ID_MAX];
    /* How many more daemons there are. */
    int nodes;
    /* What applying it adds to a mirror at most. */
    uint64_t bytes;
    /* What it takes itself, removals counted. */
    uint64_t memory;
    struct revision_change *first;
    struct revision_change **end;
};

/* NULL without memory. */
struct revision *revision_create(int64_t number);
void revision_destroy(struct revision *revision);

/* One event more; what is none of the store's is passed over. False without memory. */
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
