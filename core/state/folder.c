/* SPDX-License-Identifier: Apache-2.0 */
/* Creates the folders that the daemon and its plugins write to; refuses those that others could tamper with.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/base/error_code.h>

#include <core/scan/scan.h>

#define PLUGIN_MODE 0700
#define PARENT_MODE 0755

static enum berth_code fail(const char *what, const char *path, const char *doing, int error,
                            struct berth_error *err)
{
    if (error == EFBIG)
        return berth_error_set(err, berth_code_of_errno(error, BERTH_FAILED_PRECONDITION),
                               "%s: %s: cannot %s: %s; raise the daemon's file size limit (LimitFSIZE=, "
                               "ulimit -f)",
                               what, path, doing, strerror(error));
    return berth_error_set(err, berth_code_of_errno(error, BERTH_FAILED_PRECONDITION),
                           "%s: %s: cannot %s: %s; set `%s` to a folder that %s", what, path, doing,
                           strerror(error), what,
                           error == ENOSPC || error == EDQUOT ? "has free space" : "this user can write to");
}

/* Like mkdir -p; `path` is changed and restored on the way. */
static int make_parents(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int error = mkdir(path, PARENT_MODE) == 0 || errno == EEXIST ? 0 : errno;
        *slash = '/';
        if (error != 0 && error != EROFS && error != EACCES)
            return error;
    }
    return 0;
}

static int make(const char *path, mode_t mode)
{
    char *copy = strdup(path);
    int error;

    if (copy == NULL)
        return ENOMEM;
    error = make_parents(copy);
    free(copy);
    if (error == 0 && mkdir(path, mode) != 0 && errno != EEXIST)
        error = errno;
    return error;
}

static enum berth_code check_mode(const char *what, const char *path, const struct stat *status,
                                  struct berth_error *err)
{
    if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status->st_mode & S_ISVTX) != 0)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%s: %s is shared (sticky, mode %04o); use a folder inside it", what, path,
                               (unsigned)status->st_mode & 07777);
    if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%s: %s is writable by others (mode %04o); run chmod go-w %s", what, path,
                               (unsigned)status->st_mode & 07777, path);
    return BERTH_OK;
}

/* Only the last folder: whoever chose the path is responsible for its parents. */
static enum berth_code check_owner(const char *what, const char *path, int fd, struct berth_error *err)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return fail(what, path, "access it", errno, err);
    if (status.st_uid != geteuid() && status.st_uid != 0)
        return berth_error_set(
            err, BERTH_PERMISSION_DENIED,
            "%s: %s is owned by user %u, but this daemon runs as user %u; change the owner", what, path,
            (unsigned)status.st_uid, (unsigned)geteuid());
    return check_mode(what, path, &status, err);
}

/* Writes a block to an unnamed file, because only a write reveals a full disk. A short write does not say
 * why; the next write does. */
static int try_write(const char *path)
{
    static const char block[4096] = {1};
    int fd = open(path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    size_t done = 0;
    int error = 0;

    if (fd < 0)
        return errno == EOPNOTSUPP || errno == EISDIR ? 0 : errno;
    while (done < sizeof(block) && error == 0) {
        ssize_t written = write(fd, block, sizeof(block) - done);

        if (written > 0)
            done += (size_t)written;
        else if (written == 0 || errno != EINTR)
            error = written == 0 ? EIO : errno;
    }
    close(fd);
    return error;
}

static enum berth_code check_way(const char *what, const char *path, struct berth_error *err)
{
    struct berth_error reason;
    enum berth_code code = verify_links(path, &reason);

    return code == BERTH_OK ? code : berth_error_set(err, code, "%s: %s", what, reason.message);
}

enum berth_code folder_prepare(const char *what, const char *path, mode_t mode, struct berth_error *err)
{
    enum berth_code code = check_way(what, path, err);
    int error, fd;

    if (code != BERTH_OK)
        return code;
    error = make(path, mode);
    if (error != 0)
        return fail(what, path, "create it", error, err);
    /* Again: a symlink may have been placed on the path in the meantime. */
    code = check_way(what, path, err);
    if (code != BERTH_OK)
        return code;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(what, path, "open it", errno, err);
    code = check_owner(what, path, fd, err);
    close(fd);
    return code;
}

enum berth_code folder_check(const char *what, const char *path, struct berth_error *err)
{
    struct stat status;

    if (stat(path, &status) == 0)
        return S_ISDIR(status.st_mode) ? check_mode(what, path, &status, err)
                                       : fail(what, path, "open it", ENOTDIR, err);
    if (errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG)
        return fail(what, path, "create it", errno, err);
    return BERTH_OK;
}

enum berth_code folder_try(const char *what, const char *path, struct berth_error *err)
{
    int error = try_write(path);

    return error == 0 ? BERTH_OK : fail(what, path, "write to it", error, err);
}

/* A folder that belongs to another user, or that others may enter, is not handed to a plugin. */
static enum berth_code check_private(const struct folder *folder, const char *path, struct berth_error *err)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return berth_error_set(err, berth_code_of_errno(errno, BERTH_FAILED_PRECONDITION),
                               "%s: cannot access it: %s", path, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s is not a folder; move it away", path);
    if (status.st_uid != geteuid() && !(folder->has_owner && status.st_uid == folder->owner))
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%s is owned by user %u, but this daemon runs as user %u; change the owner",
                               path, (unsigned)status.st_uid, (unsigned)geteuid());
    if ((status.st_mode & 0077) != 0)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%s has mode %04o, expected 0700; run chmod 700 %s", path,
                               (unsigned)status.st_mode & 07777, path);
    return BERTH_OK;
}

enum berth_code folder_get(struct folder *folder, const char **ret_path, struct berth_error *err)
{
    char path[PATH_MAX];
    enum berth_code code;

    if (folder->path == NULL) {
        if (snprintf(path, sizeof(path), "%s/%s", folder->base, folder->name) >= (int)sizeof(path))
            return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s/%s: path too long", folder->base,
                                   folder->name);
        if (mkdir(path, PLUGIN_MODE) != 0 && errno != EEXIST)
            return berth_error_set(err, berth_code_of_errno(errno, BERTH_FAILED_PRECONDITION),
                                   "%s: cannot create it: %s", path, strerror(errno));
        code = check_private(folder, path, err);
        if (code != BERTH_OK)
            return code;
        folder->path = strdup(path);
        if (folder->path == NULL)
            return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory");
    }
    *ret_path = folder->path;
    return BERTH_OK;
}

void folder_finish(struct folder *folder)
{
    free(folder->path);
    folder->path = NULL;
}
