/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads entries by one transaction of LMDB that stays open, pinned to a commit: it costs no lock, and what is
 * written meanwhile is not seen before it is pinned again.
 */
#ifndef STORE_LMDB_READER_H
#define STORE_LMDB_READER_H

#include <berth/types/store.h>

#include "environment.h"

/** Zero-initialise, but for the environment. */
struct reader {
    struct environment *environment;
    /* NULL before the first. */
    MDB_txn *pinned;
    MDB_cursor *cursor;
    /** The file's when it was pinned. */
    uint64_t file_size;
    /** LMDB met a damaged page, and reads nothing more by this transaction until it is pinned again. */
    bool has_failed;
};

/** To the last commit: at first, or after reader_unpin. @return BERTH_OK; as failure_set. */
enum berth_code reader_pin(struct reader *reader, struct berth_error *err);
/** Nothing is read until it is pinned again. */
void reader_unpin(struct reader *reader);
/** For good. */
void reader_drop(struct reader *reader);
/** The transaction it is pinned to. */
uint64_t reader_id(const struct reader *reader);

/** The file's size, and whether it still has a name: a map of a file that was cut ends the process where it
 * is read. */
enum environment_fate reader_look(const struct reader *reader);

/**
 * As of struct berth_store_engine. After BERTH_DATA_LOSS of one entry `ret_entry` has its key, and no value;
 * where LMDB failed, has_failed is set.
 */
enum berth_code reader_get(struct reader *reader, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err);
enum berth_code reader_next(struct reader *reader, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err);
enum berth_code reader_next_bucket(struct reader *reader, const char *after,
                                   char ret_bucket[BERTH_STORE_BUCKET_MAX + 1], struct berth_error *err);

#endif
