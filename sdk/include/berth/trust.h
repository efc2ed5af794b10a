/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether files in a directory may be run with the daemon's rights: only if nobody but root and the daemon's
 * user could have put them there. Whoever can write to a program, its directory or a directory above controls
 * the daemon. The same rule for the host's modules and for plugins that run programs.
 */
#ifndef BERTH_TRUST_H
#define BERTH_TRUST_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Are root and the daemon's user the only ones who can write to the file that `status` describes? An ACL that
 * lets others write appears as a writable group. A sticky directory is shared on purpose, like /tmp, so the
 * remedy is not to change it.
 *
 * @param path  for the message.
 * @return BERTH_OK; BERTH_PERMISSION_DENIED with the reason and the remedy.
 */
static inline enum berth_code berth_trust_status(const char *path, const struct stat *status,
                                                 struct berth_error *err)
{
    bool is_shared = S_ISDIR(status->st_mode) && (status->st_mode & S_ISVTX) != 0;
    uid_t us = status->st_uid == 0 ? 0 : geteuid();

    if (status->st_uid != 0 && us == 0)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%.900s: is not trusted: owned by user %u, must be owned by root (chown root "
                               "%.900s)",
                               path, (unsigned)status->st_uid, path);
    if (status->st_uid != 0 && status->st_uid != us)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%.900s: is not trusted: owned by user %u, must be owned by root or by user "
                               "%u, who runs berthd (chown %u %.900s)",
                               path, (unsigned)status->st_uid, (unsigned)us, (unsigned)us, path);
    if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%.900s: is not trusted: %s may write to it (mode %04o, owner %u, group %u; "
                               "%s%.900s)",
                               path, (status->st_mode & S_IWOTH) != 0 ? "everybody" : "its group",
                               (unsigned)(status->st_mode & 07777), (unsigned)status->st_uid,
                               (unsigned)status->st_gid, is_shared ? "use another directory" : "chmod go-w ",
                               is_shared ? "" : path);
    return BERTH_OK;
}

/** Checks one directory without its parents; otherwise as berth_trust_folder. */
static inline enum berth_code berth_trust_one_folder(const char *path, struct berth_error *err)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return berth_error_set(
            err, errno == ENOENT || errno == ENOTDIR ? BERTH_NOT_FOUND : BERTH_PERMISSION_DENIED,
            "%.1500s: cannot be inspected: %s", path, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%.1500s: is not a directory%s", path,
                               S_ISLNK(status.st_mode) ? " but a symlink; use its target" : "");
    return berth_trust_status(path, &status, err);
}

/**
 * Checks a directory and all its parents. Blocks, so call it in prepare or on a thread of uv_queue_work.
 *
 * @param path  absolute; symlinks are not followed.
 * @return BERTH_OK; BERTH_NOT_FOUND if it does not exist; BERTH_INVALID_ARGUMENT if it is not absolute or not
 *         a directory; BERTH_PERMISSION_DENIED. Each with a message.
 */
static inline enum berth_code berth_trust_folder(const char *path, struct berth_error *err)
{
    char above[PATH_MAX];
    size_t length = strlen(path);
    enum berth_code code;

    if (path[0] != '/' || length >= sizeof(above))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%.200s: must be an absolute path shorter than %d bytes", path, PATH_MAX);
    code = berth_trust_one_folder("/", err);
    for (size_t i = 1; code == BERTH_OK && i < length; i++) {
        i += strcspn(path + i, "/");
        memcpy(above, path, i);
        above[i] = '\0';
        code = berth_trust_one_folder(above, err);
    }
    return code;
}

#ifdef __cplusplus
}
#endif

#endif
