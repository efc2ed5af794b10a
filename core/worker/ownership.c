/* SPDX-License-Identifier: Apache-2.0 */
/* Changes owners by open descriptors, so that nobody can put a link in the way. */
#include "ownership.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/base/error_code.h>

#define DEPTH_MAX 64

/* Files are given with the folder that they are in. One that is gone by now is nobody's. */
static bool is_owned(int base, const char *name, uid_t user, gid_t group)
{
    struct stat status;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    if (fstatat(base, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT;
    return !S_ISDIR(status.st_mode) || (status.st_uid == user && status.st_gid == group);
}

bool ownership_is_uniform(const char *base, uid_t user, gid_t group)
{
    DIR *entries = opendir(base);
    const struct dirent *entry;
    bool is_uniform = true;

    if (entries == NULL)
        return errno == ENOENT;
    while (is_uniform && (errno = 0, entry = readdir(entries)) != NULL)
        is_uniform = is_owned(dirfd(entries), entry->d_name, user, group);
    is_uniform = is_uniform && errno == 0;
    closedir(entries);
    return is_uniform;
}

static int give_all(int folder, dev_t device, uid_t user, gid_t group, unsigned depth);

/* @return 0 or an errno. */
static int give_entry(int folder, const char *name, dev_t device, uid_t user, gid_t group, unsigned depth)
{
    struct stat status;
    int fd, error;

    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno;
    /* A file with other names may be somebody's outside. */
    if (status.st_dev != device || (!S_ISDIR(status.st_mode) && status.st_nlink > 1))
        return 0;
    if (!S_ISDIR(status.st_mode))
        return fchownat(folder, name, user, group, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOENT ? 0 : errno;
    fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno;
    error = depth < DEPTH_MAX ? give_all(fd, device, user, group, depth + 1) : ELOOP;
    close(fd);
    return error;
}

static int give_all(int folder, dev_t device, uid_t user, gid_t group, unsigned depth)
{
    int copy = dup(folder), error = 0;
    DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
    const struct dirent *entry;

    if (entries == NULL) {
        error = errno;
        if (copy >= 0)
            close(copy);
        return error;
    }
    while (error == 0 && (entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            error = give_entry(folder, entry->d_name, device, user, group, depth);
    closedir(entries);
    /* Last, so that a walk that was interrupted begins again. */
    return error == 0 && fchown(folder, user, group) != 0 ? errno : error;
}

enum berth_code ownership_give(const char *path, uid_t user, gid_t group, bool creates,
                               struct berth_error *err)
{
    struct stat status;
    int fd, error = 0;

    if (creates && mkdir(path, 0700) != 0 && errno != EEXIST)
        return berth_error_set(err, berth_code_of_errno(errno, BERTH_FAILED_PRECONDITION),
                               "%s: cannot be created: %s", path, strerror(errno));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && !creates)
        return BERTH_OK;
    if (fd < 0 || fstat(fd, &status) != 0)
        error = errno;
    else if (status.st_uid != user || status.st_gid != group)
        error = give_all(fd, status.st_dev, user, group, 0);
    if (fd >= 0)
        close(fd);
    if (error == 0)
        return BERTH_OK;
    return berth_error_set(err, berth_code_of_errno(error, BERTH_FAILED_PRECONDITION),
                           "%s: cannot change its owner to user %u, which the plugin runs as: %s", path, user,
                           strerror(error));
}
