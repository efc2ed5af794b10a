/* SPDX-License-Identifier: Apache-2.0 */
/* Reads whole files; writes them to a temporary neighbour, which takes their place when it is complete. */
#include "text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/base/error_code.h>
#include <sdk/base/write_all.h>

static enum berth_code fail(const char *path, const char *what, struct berth_error *err)
{
    int error = errno;

    return berth_error_set(err, berth_code_of_errno(error, BERTH_INTERNAL), "%s: cannot %s: %s", path, what,
                           strerror(error));
}

static enum berth_code read_open(int fd, const char *path, size_t max_bytes, char **ret_text,
                                 size_t *ret_length, struct berth_error *err)
{
    struct stat status;
    size_t size, length = 0;
    ssize_t count = 1;
    char *text;

    if (fstat(fd, &status) != 0)
        return fail(path, "examine it", err);
    if (!S_ISREG(status.st_mode))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: not a regular file", path);
    if ((uint64_t)status.st_size > max_bytes)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: too large: %lld bytes, at most %zu", path,
                               (long long)status.st_size, max_bytes);
    size = (size_t)status.st_size;
    text = malloc(size + 1);
    if (text == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for its %zu bytes", path, size);
    while (length < size && count != 0) {
        count = read(fd, text + length, size - length);
        if (count < 0 && errno != EINTR) {
            free(text);
            return fail(path, "read it", err);
        }
        length += count > 0 ? (size_t)count : 0;
    }
    text[length] = '\0';
    *ret_text = text;
    *ret_length = length;
    return BERTH_OK;
}

enum berth_code text_file_read(const char *path, size_t max_bytes, char **ret_text, size_t *ret_length,
                               struct berth_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum berth_code code;

    if (fd < 0)
        return fail(path, "open it", err);
    code = read_open(fd, path, max_bytes, ret_text, ret_length, err);
    close(fd);
    return code;
}

/* `like`: whose owner and mode it takes, or NULL. */
static enum berth_code write_new(const char *path, mode_t mode, const char *text, const struct stat *like,
                                 bool is_lasting, struct berth_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    enum berth_code code = BERTH_OK;

    if (fd < 0)
        return fail(path, "create it", err);
    if (like != NULL &&
        (fchown(fd, like->st_uid, like->st_gid) != 0 || fchmod(fd, like->st_mode & 07777) != 0))
        code = fail(path, "set its owner and mode", err);
    if (code == BERTH_OK)
        code = berth_write_all(fd, text, strlen(text)) ? BERTH_OK : fail(path, "write to it", err);
    if (code == BERTH_OK && is_lasting && fsync(fd) != 0)
        code = fail(path, "write to it", err);
    if (close(fd) != 0 && code == BERTH_OK)
        code = fail(path, "write to it", err);
    if (code != BERTH_OK)
        unlink(path);
    return code;
}

enum berth_code text_file_create(const char *path, mode_t mode, const char *text, struct berth_error *err)
{
    return write_new(path, mode, text, NULL, true, err);
}

/* Gives the new file its name. */
static enum berth_code move(const char *next, const char *path, struct berth_error *err)
{
    enum berth_code code;

    if (rename(next, path) == 0)
        return BERTH_OK;
    code = fail(path, "replace it", err);
    unlink(next);
    return code;
}

static enum berth_code refuse_path(const char *path, struct berth_error *err)
{
    return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: the path is too long", path);
}

enum berth_code text_file_keep(const char *path, const char *text, const struct stat *like,
                               struct berth_error *err)
{
    char next[PATH_MAX];
    enum berth_code code;

    if ((size_t)snprintf(next, sizeof(next), "%s.new", path) >= sizeof(next))
        return refuse_path(path, err);
    unlink(next);
    code = write_new(next, 0600, text, like, true, err);
    return code == BERTH_OK ? move(next, path, err) : code;
}

enum berth_code text_file_replace(const char *path, const char *text, struct berth_error *err)
{
    char next[PATH_MAX], kept[PATH_MAX];
    struct stat status;
    enum berth_code code;

    if ((size_t)snprintf(next, sizeof(next), "%s.new", path) >= sizeof(next) ||
        (size_t)snprintf(kept, sizeof(kept), "%s.bak", path) >= sizeof(kept))
        return refuse_path(path, err);
    if (stat(path, &status) != 0)
        return fail(path, "read it", err);
    code = write_new(next, 0600, text, &status, true, err);
    if (code != BERTH_OK)
        return code;
    unlink(kept);
    if (link(path, kept) == 0)
        return move(next, path, err);
    code = fail(kept, "create it", err);
    unlink(next);
    return code;
}

enum berth_code text_file_write(const char *path, const char *text, struct berth_error *err)
{
    char next[PATH_MAX];
    enum berth_code code;

    /* Builds that run at once may write the same file. */
    if ((size_t)snprintf(next, sizeof(next), "%s.%d.new", path, (int)getpid()) >= sizeof(next))
        return refuse_path(path, err);
    code = write_new(next, 0666, text, NULL, false, err);
    return code == BERTH_OK ? move(next, path, err) : code;
}
