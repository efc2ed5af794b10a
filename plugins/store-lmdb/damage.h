/* SPDX-License-Identifier: Apache-2.0 */
/* The entries that are known to be damaged, until they are written again. */
#ifndef STORE_LMDB_DAMAGE_H
#define STORE_LMDB_DAMAGE_H

#include <stdbool.h>
#include <sys/queue.h>

#include <lmdb.h>

#include <berth/store_engine.h>

#include "layout.h"

/** Maximum number remembered by name; beyond that only their existence is known. */
#define DAMAGE_MAX 256

SLIST_HEAD(damage_list, damage_entry);

/** Zeroed is empty. */
struct damage {
    struct damage_list entries;
    size_t count;
    /** There were more, or memory ran out; only another check can tell. */
    bool is_incomplete;
};

/** @return whether it was not known before. */
bool damage_add(struct damage *damage, const char *bucket, struct berth_store_bytes key);
/** Forgets what the batch has written or removed. */
void damage_forget(struct damage *damage, const struct berth_store_batch *batch);
bool damage_is_empty(const struct damage *damage);
/** How many, and one of them. Only where it is not empty. */
void damage_describe(const struct damage *damage, const char *path, struct berth_error *err);
void damage_finish(struct damage *damage);

/**
 * Compares every entry with its checksum. Reads the map: file_check comes first.
 *
 * @param is_cancelled  may be NULL; true ends it with BERTH_CANCELLED.
 * @return BERTH_OK, and the damaged ones are added; BERTH_CANCELLED; as failure_set.
 */
enum berth_code damage_scan(struct damage *damage, MDB_txn *txn, MDB_dbi entries, const char *path,
                            bool (*is_cancelled)(void *context), void *context, struct berth_error *err);

#endif
