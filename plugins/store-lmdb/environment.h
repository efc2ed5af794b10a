/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a store, open: locked, checked, of our schema, mapped by LMDB. */
#ifndef STORE_LMDB_ENVIRONMENT_H
#define STORE_LMDB_ENVIRONMENT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <lmdb.h>

#include <berth/error.h>

#include "damage.h"

struct environment_options {
    /** An existing directory used by nobody else. */
    const char *folder;
    uint64_t map_size;
    uint64_t max_size;
    /** As of file_check. */
    bool is_checked_fully;
    bool (*is_cancelled)(void *context);
    void *context;
};

struct environment {
    MDB_env *lmdb;
    MDB_dbi entries;
    char path[PATH_MAX];
    /** The writer's thread reads it. */
    _Atomic uint64_t max_size;
    /** The address space that the file has. */
    uint64_t map_size;
    /** The version that the file had. */
    uint32_t found_schema;
    /** What the full check found; then the engine's. */
    struct damage damage;
    /** The map is lost for lack of address space: LMDB may only be closed. */
    bool is_lost;

    int lock_fd;
    int file_fd;
};

/**
 * Opens the store of a folder, or begins it. Blocks. Of a file that it refuses no byte was changed.
 *
 * @param ret_environment  to be given to environment_close.
 * @return BERTH_OK; as file_check, schema_open and failure_set; BERTH_FAILED_PRECONDITION where another
 *         process has the folder, which it names.
 */
enum berth_code environment_open(const struct environment_options *options,
                                 struct environment **ret_environment, struct berth_error *err);
/** Changes max_size, for what is written from here on. */
void environment_set_max_size(struct environment *environment, uint64_t max_size);
/** No transaction may be open. NULL is fine. */
void environment_close(struct environment *environment);

/**
 * Doubles the map, at most to `limit`. No transaction may be open.
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED where it is as large as that, or there is no address space.
 */
enum berth_code environment_grow(struct environment *environment, uint64_t limit, struct berth_error *err);
/** Shrinks a map that has grown beyond max_size, as far as no page is in use there. No transaction may be
 * open. */
enum berth_code environment_shrink(struct environment *environment, struct berth_error *err);
/**
 * Begins anew with LMDB, which has given up on the file, without letting go of it. No transaction may be
 * open. @return BERTH_OK; as failure_set, and it is lost.
 */
enum berth_code environment_reopen(struct environment *environment, struct berth_error *err);
/** Adopts the size to which another process has grown the map. No transaction may be open. */
enum berth_code environment_follow(struct environment *environment, struct berth_error *err);

/** State of the file since it was opened. */
enum environment_fate {
    ENVIRONMENT_IN_PLACE,
    /** It has no name any more. */
    ENVIRONMENT_DELETED,
    ENVIRONMENT_CUT,
    /** Its name is gone, or another file's. */
    ENVIRONMENT_MOVED,
};

/**
 * @param file_size  what the file had; a smaller one was cut.
 * @param at_path    looks for the file at its path too, which is a second system call. From any thread.
 */
enum environment_fate environment_look(const struct environment *environment, uint64_t file_size,
                                       bool at_path);
/** @return BERTH_OK for ENVIRONMENT_IN_PLACE; BERTH_DATA_LOSS; BERTH_UNAVAILABLE where it was moved. */
enum berth_code environment_describe(const struct environment *environment, enum environment_fate fate,
                                     struct berth_error *err);

/**
 * Asks the disk for so many bytes behind the end of the file, which is longer then; where there was no room
 * for all of them, perhaps too.
 * @return 0, and a write of them will find them; else the errno of one that would not. From any thread.
 */
int environment_find_room(const struct environment *environment, uint64_t bytes);
/** Could a change of this size run out of disk space or exceed max_size? Then only a trial tells. */
bool environment_is_low(const struct environment *environment, uint64_t bytes);
/** Size in bytes; 0 if it cannot be determined. From any thread. */
uint64_t environment_file_size(const struct environment *environment);

#endif
