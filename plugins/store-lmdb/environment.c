/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the file of a store: lock, check, LMDB, schema; and gives it more address space later. */
#include "environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"
#include "file_check.h"
#include "folder_lock.h"
#include "schema.h"

#define FILE_NAME "berth.mdb"
#define FILE_MODE 0600
#define OPEN_FLAGS (MDB_NOSUBDIR | MDB_NOTLS)
/* What LMDB's table of readers takes, and more: it writes there by a map, which must not meet a full disk. */
#define READERS_SIZE 16384

static int create_lmdb(uint64_t map_size, MDB_env **ret_lmdb)
{
    MDB_env *lmdb;
    int number = mdb_env_create(&lmdb);

    if (number != 0)
        return number;
    number = mdb_env_set_maxdbs(lmdb, SCHEMA_TABLES);
    if (number == 0)
        number = mdb_env_set_mapsize(lmdb, map_size);
    if (number == 0)
        *ret_lmdb = lmdb;
    else
        mdb_env_close(lmdb);
    return number;
}

static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), number = 0;

    if (fd < 0)
        return errno;
    if (fsync(fd) != 0)
        number = errno;
    close(fd);
    return number;
}

/* The tables, durable, in a file of that name. */
static int write_tables(const char *path)
{
    MDB_env *lmdb;
    MDB_txn *txn;
    int number = create_lmdb(1 << 20, &lmdb);

    if (number != 0)
        return number;
    number = mdb_env_open(lmdb, path, OPEN_FLAGS | MDB_NOLOCK, FILE_MODE);
    if (number == 0)
        number = mdb_txn_begin(lmdb, NULL, 0, &txn);
    if (number == 0) {
        number = schema_create(txn);
        if (number == 0)
            number = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    mdb_env_close(lmdb);
    return number;
}

/* A store is there as a whole or not at all: the file gets its name when it is complete. */
static enum berth_code create_file(const struct environment *environment, const char *folder,
                                   struct berth_error *err)
{
    char path[PATH_MAX + 8];
    int number;

    snprintf(path, sizeof(path), "%s.new", environment->path);
    unlink(path);
    number = write_tables(path);
    if (number == 0 && rename(path, environment->path) != 0)
        number = errno;
    if (number == 0)
        number = sync_folder(folder);
    if (number == 0)
        return BERTH_OK;
    unlink(path);
    return failure_set(err, number, environment->path, "cannot be made");
}

static enum berth_code open_file(struct environment *environment, const char *folder, struct berth_error *err)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

    environment->file_fd = open(environment->path, flags);
    if (environment->file_fd < 0 && errno == ENOENT) {
        enum berth_code code = create_file(environment, folder, err);

        if (code != BERTH_OK)
            return code;
        environment->file_fd = open(environment->path, flags);
    }
    if (environment->file_fd < 0)
        return failure_set(err, errno, environment->path, "cannot be opened");
    return BERTH_OK;
}

static enum berth_code check_file(const struct environment *environment,
                                  const struct environment_options *options, struct berth_error *err)
{
    const struct file_check check = {
        .path = environment->path,
        .is_full = options->is_checked_fully,
        .is_cancelled = options->is_cancelled,
        .context = options->context,
    };

    return file_check(environment->file_fd, &check, err);
}

/* Room for LMDB's readers, really there. */
static enum berth_code make_readers(const struct environment *environment, struct berth_error *err)
{
    char path[PATH_MAX + 8];
    int fd, number;

    snprintf(path, sizeof(path), "%s-lock", environment->path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
    if (fd < 0)
        return failure_set(err, errno, path, "cannot be opened");
    number = posix_fallocate(fd, 0, READERS_SIZE);
    close(fd);
    return number == 0 ? BERTH_OK : failure_set(err, number, path, "cannot be made");
}

static uint64_t round_up(uint64_t size)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

static void note_map_size(struct environment *environment)
{
    MDB_envinfo info;

    mdb_env_info(environment->lmdb, &info);
    environment->map_size = info.me_mapsize;
}

static enum berth_code open_lmdb(struct environment *environment, uint64_t map_size, struct berth_error *err)
{
    int number = create_lmdb(round_up(map_size), &environment->lmdb), dead;

    if (number == 0)
        number = mdb_env_open(environment->lmdb, environment->path, OPEN_FLAGS, FILE_MODE);
    if (number == 0)
        number = mdb_reader_check(environment->lmdb, &dead);
    if (number != 0)
        return failure_set(err, number, environment->path, "cannot be opened");
    note_map_size(environment);
    return BERTH_OK;
}

static enum berth_code open_tables(struct environment *environment, struct berth_error *err)
{
    MDB_txn *txn;
    enum berth_code code;
    int number = mdb_txn_begin(environment->lmdb, NULL, MDB_RDONLY, &txn);

    if (number != 0)
        return failure_set(err, number, environment->path, "cannot be read");
    code = schema_open(txn, environment->path, &environment->entries, &environment->found_schema, err);
    if (code != BERTH_OK) {
        mdb_txn_abort(txn);
        return code;
    }
    number = mdb_txn_commit(txn);
    return number == 0 ? BERTH_OK : failure_set(err, number, environment->path, "cannot be read");
}

/* All steps in one transaction: until it is durable the file is what it was. */
static int migrate_once(struct environment *environment)
{
    MDB_txn *txn;
    int number = mdb_txn_begin(environment->lmdb, NULL, 0, &txn);

    if (number != 0)
        return number;
    number = schema_migrate(txn, environment->entries, environment->found_schema);
    if (number == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return number;
}

static enum berth_code migrate(struct environment *environment, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;
    int number;

    if (environment->found_schema == SCHEMA_VERSION)
        return BERTH_OK;
    while ((number = migrate_once(environment)) == MDB_MAP_FULL && code == BERTH_OK)
        code = environment_grow(environment, UINT64_MAX, err);
    if (number == 0 || code != BERTH_OK)
        return code;
    return failure_set(err, number, environment->path, "cannot be brought up to date");
}

enum berth_code environment_reopen(struct environment *environment, struct berth_error *err)
{
    enum berth_code code;

    mdb_env_close(environment->lmdb);
    environment->lmdb = NULL;
    code = open_lmdb(environment, environment->map_size, err);
    if (code == BERTH_OK)
        code = open_tables(environment, err);
    environment->is_lost = code != BERTH_OK;
    return code;
}

static enum berth_code open_all(struct environment *environment, const struct environment_options *options,
                                struct berth_error *err)
{
    enum berth_code code = folder_lock_take(options->folder, &environment->lock_fd, err);

    if (code == BERTH_OK)
        code = open_file(environment, options->folder, err);
    if (code == BERTH_OK)
        code = check_file(environment, options, err);
    if (code == BERTH_OK)
        code = make_readers(environment, err);
    if (code == BERTH_OK)
        code = open_lmdb(environment, options->map_size, err);
    if (code == BERTH_OK)
        code = open_tables(environment, err);
    if (code == BERTH_OK)
        code = migrate(environment, err);
    return code;
}

enum berth_code environment_open(const struct environment_options *options,
                                 struct environment **ret_environment, struct berth_error *err)
{
    struct environment *environment = calloc(1, sizeof(*environment));
    enum berth_code code;

    if (environment == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the store");
    environment->lock_fd = environment->file_fd = -1;
    environment->max_size = round_up(options->max_size);
    if (snprintf(environment->path, sizeof(environment->path), "%s/" FILE_NAME, options->folder) >=
        (int)sizeof(environment->path))
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: the path is too long", options->folder);
    else
        code = open_all(environment, options, err);
    if (code == BERTH_OK)
        *ret_environment = environment;
    else
        environment_close(environment);
    return code;
}

void environment_close(struct environment *environment)
{
    if (environment == NULL)
        return;
    if (environment->lmdb != NULL)
        mdb_env_close(environment->lmdb);
    if (environment->file_fd >= 0)
        close(environment->file_fd);
    if (environment->lock_fd >= 0)
        close(environment->lock_fd);
    free(environment);
}

/* LMDB lets go of the old map before it asks for a new one; so it is found out first whether there will be
 * one. */
static int resize(struct environment *environment, uint64_t size)
{
    void *trial = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int number;

    if (trial == MAP_FAILED)
        return errno;
    munmap(trial, size);
    number = mdb_env_set_mapsize(environment->lmdb, size);
    if (number == 0)
        note_map_size(environment);
    else
        environment->is_lost = true;
    return number;
}

enum berth_code environment_grow(struct environment *environment, uint64_t limit, struct berth_error *err)
{
    uint64_t size = environment->map_size > limit / 2 ? limit : round_up(2 * environment->map_size);
    int number;

    if (size <= environment->map_size)
        return berth_error_set(
            err, BERTH_RESOURCE_EXHAUSTED,
            "%s has reached its max_size of %llu bytes: remove entries, or set a larger one",
            environment->path, (unsigned long long)environment->max_size);
    number = resize(environment, size);
    return number == 0 ? BERTH_OK : failure_set(err, number, environment->path, "cannot be mapped");
}

enum berth_code environment_shrink(struct environment *environment, struct berth_error *err)
{
    int number = 0;

    if (environment->map_size > environment->max_size)
        number = resize(environment, environment->max_size);
    return number == 0 ? BERTH_OK : failure_set(err, number, environment->path, "cannot be mapped");
}

enum berth_code environment_follow(struct environment *environment, struct berth_error *err)
{
    int number = mdb_env_set_mapsize(environment->lmdb, 0);

    if (number == 0) {
        note_map_size(environment);
        return BERTH_OK;
    }
    environment->is_lost = true;
    return failure_set(err, number, environment->path, "cannot be mapped");
}

uint64_t environment_file_size(const struct environment *environment)
{
    struct stat status;

    return fstat(environment->file_fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

int environment_find_room(const struct environment *environment, uint64_t bytes)
{
    off_t size = (off_t)environment_file_size(environment);

    return posix_fallocate(environment->file_fd, size, (off_t)bytes);
}
