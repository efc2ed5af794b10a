/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a store's file: lock, check, LMDB, schema; and enlarges its memory map later. */
#include "environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "failure.h"
#include "file_check.h"
#include "schema.h"

#define FILE_NAME "berth.mdb"
#define FILE_MODE 0600
#define OPEN_FLAGS (MDB_NOSUBDIR | MDB_NOTLS)
/* Size of LMDB's reader table, rounded up: LMDB writes to it through a map, so its blocks must be allocated.
 */
#define READERS_SIZE 16384

static enum berth_code refuse_second(int fd, const char *folder, struct berth_error *err)
{
    char text[16] = "";
    ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
    long holder = length > 0 ? strtol(text, NULL, 10) : 0;

    if (holder > 0)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: process %ld has this store open; two daemons need two roots", folder,
                               holder);
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "%s: another process has this store open; two daemons need two roots", folder);
}

/* For the message of a second daemon. A full disk does not prevent opening an existing store. */
static void write_holder(int fd)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    if (pwrite(fd, text, (size_t)length, 0) == length && ftruncate(fd, length) == 0)
        return;
    (void)!ftruncate(fd, 0);
}

/* Locks the directory for this process until the descriptor is closed. LMDB would let several processes
 * change the file, but none would learn of the others' changes. */
static enum berth_code take_lock(const char *folder, int *ret_fd, struct berth_error *err)
{
    char path[PATH_MAX];
    enum berth_code code;
    int fd;

    snprintf(path, sizeof(path), "%s/lock", folder);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return failure_set(err, errno, path, "cannot be opened");
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        write_holder(fd);
        *ret_fd = fd;
        return BERTH_OK;
    }
    code = errno == EWOULDBLOCK ? refuse_second(fd, folder, err)
                                : failure_set(err, errno, path, "cannot be locked");
    close(fd);
    return code;
}

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

/* LMDB opens the data file without O_CLOEXEC: a child of any plugin could then write to it. */
static int open_path(MDB_env *lmdb, const char *path, unsigned flags)
{
    mdb_filehandle_t fd;
    int number = mdb_env_open(lmdb, path, flags, FILE_MODE);

    if (number == 0)
        number = mdb_env_get_fd(lmdb, &fd);
    if (number == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        number = errno;
    return number;
}

static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), number;

    if (fd < 0)
        return errno;
    do
        number = fsync(fd) == 0 ? 0 : errno;
    while (number == EINTR);
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
    number = open_path(lmdb, path, OPEN_FLAGS | MDB_NOLOCK);
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

/* The file gets its name only when it is complete, so a store exists entirely or not at all. */
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

/* LMDB maps as much as the first pages say, which is an arbitrary number if they are damaged. */
static enum berth_code check_head(const struct environment *environment, struct berth_error *err)
{
    return file_check(environment->file_fd, &(struct file_check){.path = environment->path}, err);
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

static int allocate(int fd, off_t at, off_t length)
{
    int number;

    do
        number = posix_fallocate(fd, at, length);
    while (number == EINTR);
    return number;
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
    number = allocate(fd, 0, READERS_SIZE);
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
        number = open_path(environment->lmdb, environment->path, OPEN_FLAGS);
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

/* Damaged entries do not affect the others. */
static enum berth_code check_entries(struct environment *environment,
                                     const struct environment_options *options, struct berth_error *err)
{
    MDB_txn *txn;
    enum berth_code code;
    int number;

    if (!options->is_checked_fully)
        return BERTH_OK;
    number = mdb_txn_begin(environment->lmdb, NULL, MDB_RDONLY, &txn);
    if (number != 0)
        return failure_set(err, number, environment->path, "cannot be read");
    code = damage_scan(&environment->damage, txn, environment->entries, environment->path,
                       options->is_cancelled, options->context, err);
    mdb_txn_abort(txn);
    return code;
}

enum berth_code environment_reopen(struct environment *environment, struct berth_error *err)
{
    enum berth_code code;

    mdb_env_close(environment->lmdb);
    environment->lmdb = NULL;
    code = check_head(environment, err);
    if (code == BERTH_OK)
        code = open_lmdb(environment, environment->map_size, err);
    if (code == BERTH_OK)
        code = open_tables(environment, err);
    environment->is_lost = code != BERTH_OK;
    return code;
}

static enum berth_code open_all(struct environment *environment, const struct environment_options *options,
                                struct berth_error *err)
{
    enum berth_code code = take_lock(options->folder, &environment->lock_fd, err);

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
    if (code == BERTH_OK)
        code = check_entries(environment, options, err);
    return code;
}

void environment_set_max_size(struct environment *environment, uint64_t max_size)
{
    environment->max_size = round_up(max_size);
}

enum berth_code environment_open(const struct environment_options *options,
                                 struct environment **ret_environment, struct berth_error *err)
{
    struct environment *environment = calloc(1, sizeof(*environment));
    enum berth_code code;

    if (environment == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the store");
    environment->lock_fd = environment->file_fd = -1;
    environment_set_max_size(environment, options->max_size);
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
    damage_finish(&environment->damage);
    free(environment);
}

/* Is there address space for a map of that size? LMDB lets go of the old one before it asks. */
static bool can_map(uint64_t size)
{
    void *trial = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (trial == MAP_FAILED)
        return false;
    munmap(trial, size);
    return true;
}

/* `size` 0: as large as another process has made it. */
static enum berth_code map(struct environment *environment, uint64_t size, struct berth_error *err)
{
    enum berth_code code = check_head(environment, err);
    int number;

    if (code != BERTH_OK)
        return code;
    if (size > 0 && !can_map(size))
        return failure_set(err, ENOMEM, environment->path, "cannot be mapped");
    number = mdb_env_set_mapsize(environment->lmdb, size);
    if (number == 0) {
        note_map_size(environment);
        return BERTH_OK;
    }
    environment->is_lost = true;
    return failure_set(err, number, environment->path, "cannot be mapped");
}

enum berth_code environment_grow(struct environment *environment, uint64_t limit, struct berth_error *err)
{
    uint64_t size = environment->map_size > limit / 2 ? limit : round_up(2 * environment->map_size);

    if (size <= environment->map_size)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "%s has reached its max_size of %llu bytes; remove entries or raise max_size",
                               environment->path, (unsigned long long)environment->max_size);
    return map(environment, size, err);
}

enum berth_code environment_shrink(struct environment *environment, struct berth_error *err)
{
    return environment->map_size > environment->max_size ? map(environment, environment->max_size, err)
                                                         : BERTH_OK;
}

enum berth_code environment_follow(struct environment *environment, struct berth_error *err)
{
    return map(environment, 0, err);
}

uint64_t environment_file_size(const struct environment *environment)
{
    struct stat status;

    return fstat(environment->file_fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* Any other error of stat(2) says nothing about the file. */
static bool is_at_path(const struct environment *environment, const struct stat *file)
{
    struct stat there;

    if (lstat(environment->path, &there) == 0)
        return there.st_dev == file->st_dev && there.st_ino == file->st_ino;
    return errno != ENOENT && errno != ENOTDIR;
}

enum environment_fate environment_look(const struct environment *environment, uint64_t file_size,
                                       bool at_path)
{
    struct stat file;

    if (fstat(environment->file_fd, &file) != 0)
        return ENVIRONMENT_IN_PLACE;
    if (file.st_nlink == 0)
        return ENVIRONMENT_DELETED;
    if ((uint64_t)file.st_size < file_size)
        return ENVIRONMENT_CUT;
    return at_path && !is_at_path(environment, &file) ? ENVIRONMENT_MOVED : ENVIRONMENT_IN_PLACE;
}

enum berth_code environment_describe(const struct environment *environment, enum environment_fate fate,
                                     struct berth_error *err)
{
    switch (fate) {
    case ENVIRONMENT_IN_PLACE:
        break;
    case ENVIRONMENT_DELETED:
        return berth_error_set(err, BERTH_DATA_LOSS,
                               "%s was deleted while it was open: its entries are lost when the store stops; "
                               "rescue them by cp /proc/%ld/fd/%d to there, then run "
                               "`berthctl plugins restart io.berth.store.v1.lmdb`",
                               environment->path, (long)getpid(), environment->file_fd);
    case ENVIRONMENT_CUT:
        return berth_error_set(
            err, BERTH_DATA_LOSS,
            "%s was truncated while it was open; stop berthd, restore a backup, then start it again",
            environment->path);
    case ENVIRONMENT_MOVED:
        return berth_error_set(
            err, BERTH_UNAVAILABLE,
            "%s was moved away or replaced while it was open: changes would be lost; move "
            "the file back, or run `berthctl plugins restart io.berth.store.v1.lmdb` to use what "
            "is there",
            environment->path);
    }
    return BERTH_OK;
}

int environment_find_room(const struct environment *environment, uint64_t bytes)
{
    off_t size = (off_t)environment_file_size(environment);

    return allocate(environment->file_fd, size, (off_t)bytes);
}

bool environment_is_low(const struct environment *environment, uint64_t bytes)
{
    struct statvfs disk;
    MDB_envinfo info;
    MDB_stat stat;

    if (environment->is_lost || mdb_env_info(environment->lmdb, &info) != 0 ||
        mdb_env_stat(environment->lmdb, &stat) != 0)
        return false;
    if ((info.me_last_pgno + 1) * stat.ms_psize + bytes > environment->max_size)
        return true;
    return fstatvfs(environment->file_fd, &disk) == 0 && disk.f_bavail * disk.f_frsize < bytes;
}
