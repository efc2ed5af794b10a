/* SPDX-License-Identifier: Apache-2.0 */
/* Turns errors of LMDB and of system calls into a code and a message. */
#include "failure.h"

#include <errno.h>

#include <lmdb.h>

enum kind {
    DISK_FULL,
    FILE_LIMITED,
    DISK_FAILS,
    NOT_ALLOWED,
    NO_MEMORY,
    DAMAGED,
    TOO_LARGE,
    OTHER,
};

static enum kind tell_kind(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return DISK_FULL;
    case EFBIG:
        return FILE_LIMITED;
    case EIO:
        return DISK_FAILS;
    case EROFS:
    case EACCES:
    case EPERM:
        return NOT_ALLOWED;
    case ENOMEM:
        return NO_MEMORY;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
    case MDB_BAD_TXN:
        return DAMAGED;
    case MDB_TXN_FULL:
    case MDB_MAP_FULL:
        return TOO_LARGE;
    default:
        return OTHER;
    }
}

enum berth_code failure_set(struct berth_error *err, int number, const char *path, const char *what)
{
    const char *reason = mdb_strerror(number);

    switch (tell_kind(number)) {
    case DISK_FULL:
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: %s: %s; free space on its disk", path,
                               what, reason);
    case FILE_LIMITED:
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "%s: %s: %s; raise the daemon's file size limit (LimitFSIZE=, ulimit -f)",
                               path, what, reason);
    case DISK_FAILS:
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s: %s: %s; the disk is failing, see the kernel log",
                               path, what, reason);
    case NOT_ALLOWED:
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: %s: %s; the daemon's user needs write access", path, what, reason);
    case NO_MEMORY:
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: %s: out of memory or address space", path,
                               what);
    case DAMAGED:
        return berth_error_set(err, BERTH_DATA_LOSS,
                               "%s: %s: the file is damaged (%s); run `berthctl plugins restart "
                               "io.berth.store.v1.lmdb` to check it",
                               path, what, reason);
    case TOO_LARGE:
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: %s: %s", path, what, reason);
    case OTHER:
        break;
    }
    return berth_error_set(err, BERTH_UNAVAILABLE, "%s: %s: %s", path, what, reason);
}
