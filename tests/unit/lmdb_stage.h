/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB's engine under a store that is the test itself, on a disk that fails as it is told to. */
#ifndef TESTS_LMDB_STAGE_H
#define TESTS_LMDB_STAGE_H

#include <plugins/store-lmdb/engine.h>
#include <plugins/store-lmdb/layout.h>
#include <plugins/store-lmdb/schema.h>

#include <string.h>
#include <tests/cmocka.h>

#include "scratch.h"

/** What the next calls of LMDB's writer meet: an errno, or 0. */
extern struct fault {
    int write;
    int sync;
    /* So many syncs a signal interrupts. */
    unsigned interruptions;
    /* Of the write that ends a commit; the one that takes it back goes well. */
    int meta;
    int sync_after_meta;
    bool is_short;
    /* Before the next sync. */
    void (*on_sync)(void);
    /* There is no more room, and this happens when it is looked for. */
    void (*on_room)(void);
} fault;
extern unsigned syncs;

extern struct lmdb_stage {
    char folder[PATH_MAX];
    uv_loop_t loop;
    struct berth_host host;
    struct engine engine;
    struct environment *environment;

    /* What the engine told. */
    bool is_done;
    enum berth_code code;
    char message[BERTH_ERROR_MAX];
    enum berth_code reported;
    char report[BERTH_ERROR_MAX];
    unsigned reports;
    char size[32];
    bool has_failed;
    bool is_stopped;
} store;

/** For cmocka: a store of 1 MiB that may grow to 8 MiB, and its end. */
int set_up(void **state);
int tear_down(void **state);
void open_store(uint64_t map_size, uint64_t max_size);
void close_store(void);

struct berth_store_write a_write(const char *bucket, const char *key, const char *value);
enum berth_code commit_all(const struct berth_store_write *writes, size_t count);
/** @param value  NULL: removes the entry. */
enum berth_code commit(const char *bucket, const char *key, const char *value);
enum berth_code commit_large(const char *key, size_t length);
/** The writer is done, and the loop has not heard of it. */
bool has_written(struct writer *writer);

enum berth_code read_it(const char *bucket, const char *key, struct berth_store_bytes *ret_value,
                        struct berth_error *err);
/** @param value  NULL: there is none. */
void assert_value(const char *bucket, const char *key, const char *value);
/** What operators are told is found out by a change that the engine makes by itself. */
void wait_for_report(enum berth_code code);
/** So long that whatever the engine would find out soon has been told. */
void run_for(uint64_t milliseconds);

#endif
