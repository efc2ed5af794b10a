/* SPDX-License-Identifier: Apache-2.0 */
/* Trusts a file only if nobody but root and ourselves could have written it or put it in its place. */
#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/trust.h>

#include <sdk/base/error_code.h>

/* Anyone who may write to a folder may have created the symlinks in it, sticky or not. */
static enum berth_code check_link(const char *path, const struct stat *link, const struct stat *folder,
                                  struct berth_error *err)
{
    bool is_strange = link->st_uid != 0 && link->st_uid != geteuid();

    if (!is_strange || ((folder->st_mode & (S_IWGRP | S_IWOTH)) == 0 && folder->st_uid != link->st_uid))
        return BERTH_OK;
    return berth_error_set(
        err, BERTH_PERMISSION_DENIED,
        "%s: is a symlink of user %u in a folder writable by others: remove it or choose another folder",
        path, (unsigned)link->st_uid);
}

#define LINKS_MAX 40

/* A path as the kernel walks it: `at` has no symlinks, `rest` is still to go. */
struct way {
    char at[PATH_MAX];
    char rest[PATH_MAX];
    unsigned links;
};

static enum berth_code too_long(const char *path, struct berth_error *err)
{
    return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%.200s: too long, or too many symlinks", path);
}

/* Prepends the target of a symlink to the rest. */
static enum berth_code enter_link(struct way *way, const char *link, struct berth_error *err)
{
    char target[PATH_MAX], rest[PATH_MAX];
    ssize_t length = readlink(link, target, sizeof(target) - 1);

    if (length < 0)
        return berth_error_set(err, berth_code_of_errno(errno, BERTH_INVALID_ARGUMENT),
                               "%s: cannot be read: %s", link, strerror(errno));
    target[length] = '\0';
    if (++way->links > LINKS_MAX ||
        snprintf(rest, sizeof(rest), "%s/%s", target, way->rest) >= (int)sizeof(rest))
        return too_long(link, err);
    memcpy(way->rest, rest, sizeof(rest));
    if (target[0] == '/')
        way->at[0] = '\0';
    return BERTH_OK;
}

/* Cuts the next name off the rest. @return false at its end. */
static bool next_name(struct way *way, char ret_name[NAME_MAX + 1])
{
    char *begin = way->rest + strspn(way->rest, "/");
    size_t length = strcspn(begin, "/");

    if (length == 0)
        return false;
    /* A longer name cannot exist. */
    snprintf(ret_name, NAME_MAX + 1, "%.*s", (int)(length < NAME_MAX ? length : NAME_MAX), begin);
    memmove(way->rest, begin + length, strlen(begin + length) + 1);
    return true;
}

/* Follows the path to its end or to the first missing component, and checks every step, or only symlinks. */
static enum berth_code walk(const char *path, bool is_all_checked, struct berth_error *err)
{
    struct way way = {.at = ""};
    struct stat status, parent;
    char name[NAME_MAX + 1], next[PATH_MAX];
    enum berth_code code = BERTH_OK;

    if (path[0] != '/' || snprintf(way.rest, sizeof(way.rest), "%s", path) >= (int)sizeof(way.rest))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%.200s: must be an absolute path shorter than %d bytes", path, PATH_MAX);
    if (is_all_checked)
        code = berth_trust_one_folder("/", err);
    while (code == BERTH_OK && next_name(&way, name)) {
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            char *slash = strrchr(way.at, '/');

            if (slash != NULL)
                *slash = '\0';
            continue;
        }
        if (snprintf(next, sizeof(next), "%s/%s", way.at, name) >= (int)sizeof(next))
            return too_long(path, err);
        if (lstat(next, &status) != 0)
            return errno == ENOENT || errno == ENOTDIR
                       ? BERTH_OK
                       : berth_error_set(err, berth_code_of_errno(errno, BERTH_INVALID_ARGUMENT),
                                         "%s: cannot be inspected: %s", next, strerror(errno));
        if (S_ISLNK(status.st_mode)) {
            if (!is_all_checked && lstat(way.at[0] == '\0' ? "/" : way.at, &parent) == 0)
                code = check_link(next, &status, &parent, err);
            if (code == BERTH_OK)
                code = enter_link(&way, next, err);
            continue;
        }
        if (is_all_checked)
            code = berth_trust_status(next, &status, err);
        memcpy(way.at, next, sizeof(next));
    }
    return code;
}

enum berth_code verify_way(const char *path, struct berth_error *err)
{
    return walk(path, true, err);
}

enum berth_code verify_links(const char *path, struct berth_error *err)
{
    return walk(path, false, err);
}

/* Is `path` below the directory? */
static bool is_below(const char *directory, const char *path)
{
    size_t length = strlen(directory);

    if (strcmp(directory, "/") == 0)
        return true;
    return strncmp(path, directory, length) == 0 && path[length] == '/';
}

/* The target of a symlink, unless it is outside the directory. */
static enum berth_code follow(const char *directory, const char *link, bool needs_owner, char **ret_path,
                              struct berth_error *err)
{
    char *path = realpath(link, NULL);
    enum berth_code code = BERTH_OK;
    char *slash;

    if (path == NULL)
        return berth_error_set(err, berth_code_of_errno(errno, BERTH_INVALID_ARGUMENT),
                               "%s: is a dangling symlink: %s", link, strerror(errno));
    if (!is_below(directory, path)) {
        code = berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%s: is not trusted: it is a symlink out of its directory, to %s; copy the "
                               "file or add its directory to plugin_dirs",
                               link, path);
    } else {
        slash = strrchr(path, '/');
        *slash = '\0';
        if (needs_owner && strcmp(path, directory) != 0)
            code = berth_trust_folder(path[0] != '\0' ? path : "/", err);
        *slash = '/';
    }
    if (code == BERTH_OK)
        *ret_path = path;
    else
        free(path);
    return code;
}

static const char *kind_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a pipe";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "something else";
    }
}

static enum berth_code check_file(int fd, const char *path, bool needs_owner, struct stat *ret_status,
                                  struct berth_error *err)
{
    struct stat status;
    enum berth_code code = BERTH_OK;

    if (fstat(fd, &status) != 0)
        return berth_error_set(err, berth_code_of_errno(errno, BERTH_INVALID_ARGUMENT),
                               "%s: cannot be inspected: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: is %s, not a regular file", path,
                               kind_name(status.st_mode));
    if (needs_owner)
        code = berth_trust_status(path, &status, err);
    if (code == BERTH_OK)
        *ret_status = status;
    return code;
}

/* Opens any kind of file, but never waits for the other end of a pipe. */
static int open_file(const char *path)
{
    return open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static enum berth_code say_unopened(const char *path, int error, struct berth_error *err)
{
    /* A socket cannot be opened at all. */
    if (error == ENXIO)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: is a socket, not a regular file", path);
    return berth_error_set(err, berth_code_of_errno(error, BERTH_INVALID_ARGUMENT),
                           "%s: cannot be opened: %s", path, strerror(error));
}

/* Opens a file, or what a symlink leads to; `*path` is the real path in the end. Malloced, owned by the
 * caller. */
static enum berth_code open_real(const char *directory, char **path, bool needs_owner, int *ret_fd,
                                 struct berth_error *err)
{
    int fd = open_file(*path);
    enum berth_code code;
    char *real = NULL;

    if (fd < 0 && errno == ELOOP) {
        code = follow(directory, *path, needs_owner, &real, err);
        if (code != BERTH_OK)
            return code;
        free(*path);
        *path = real;
        fd = open_file(real);
    }
    if (fd < 0)
        return say_unopened(*path, errno, err);
    *ret_fd = fd;
    return BERTH_OK;
}

enum berth_code verify_open(const char *directory, const char *name, bool needs_owner, int *ret_fd,
                            char **ret_path, struct stat *ret_status, struct berth_error *err)
{
    const char *slash = strcmp(directory, "/") == 0 ? "" : "/";
    enum berth_code code;
    char *path = NULL;
    int fd = -1;

    if (strchr(name, '/') != NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%.200s: is not a plain file name", name);
    if (asprintf(&path, "%s%s%s", directory, slash, name) < 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s/%s: no memory for its path", directory,
                               name);
    code = open_real(directory, &path, needs_owner, &fd, err);
    if (code != BERTH_OK)
        goto free_path;
    code = check_file(fd, path, needs_owner, ret_status, err);
    if (code != BERTH_OK)
        goto close_file;
    *ret_path = path;
    *ret_fd = fd;
    return BERTH_OK;

close_file:
    close(fd);
free_path:
    free(path);
    return code;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool verify_is_same_content(const struct stat *before, const struct stat *after)
{
    return before->st_dev == after->st_dev && before->st_ino == after->st_ino &&
           before->st_size == after->st_size && is_same_time(before->st_mtim, after->st_mtim);
}

bool verify_is_untouched(const struct stat *before, const struct stat *after)
{
    return verify_is_same_content(before, after) && is_same_time(before->st_ctim, after->st_ctim);
}

static enum berth_code compare(const char *path, const struct stat *status, const struct stat *current,
                               struct berth_error *err)
{
    if (current->st_dev != status->st_dev || current->st_ino != status->st_ino)
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: was replaced since it was checked (inode %llu then, %llu now); run `berthctl reload`", path,
            (unsigned long long)status->st_ino, (unsigned long long)current->st_ino);
    if (!verify_is_untouched(status, current))
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: was changed since it was checked (%lld bytes then, %lld now); run `berthctl reload`", path,
            (long long)status->st_size, (long long)current->st_size);
    return BERTH_OK;
}

static enum berth_code disappeared(const char *path, struct berth_error *err)
{
    return berth_error_set(err, berth_code_of_errno(errno, BERTH_INVALID_ARGUMENT),
                           "%s: disappeared since it was checked: %s", path, strerror(errno));
}

enum berth_code verify_same(const char *path, const struct stat *status, struct berth_error *err)
{
    struct stat current;

    return lstat(path, &current) != 0 ? disappeared(path, err) : compare(path, status, &current, err);
}

enum berth_code verify_same_behind(const char *path, const struct stat *status, struct berth_error *err)
{
    struct stat current;

    return stat(path, &current) != 0 ? disappeared(path, err) : compare(path, status, &current, err);
}

enum berth_code verify_same_open(int fd, const char *path, const struct stat *status, struct berth_error *err)
{
    struct stat current;

    return fstat(fd, &current) != 0 ? disappeared(path, err) : compare(path, status, &current, err);
}
