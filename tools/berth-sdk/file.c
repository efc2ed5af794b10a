/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes whole files. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/base/error_code.h>
#include <tools/protoc-gen-berth/names.h>

static enum berth_code refuse(struct berth_error *err, const char *path, const char *what, int error)
{
    return berth_error_set(err, berth_code_of_errno(error, BERTH_UNAVAILABLE), "%s: %s: %s", path, what,
                           strerror(error));
}

static enum berth_code read_open(int fd, const char *path, size_t max_bytes, char **ret_text,
                                 size_t *ret_length, struct berth_error *err)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return refuse(err, path, "cannot be looked at", errno);
    if (!S_ISREG(status.st_mode))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: is no regular file", path);
    if ((uint64_t)status.st_size > max_bytes)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: has %lld bytes, at most %zu are taken", path,
                               (long long)status.st_size, max_bytes);

    size_t size = (size_t)status.st_size;
    char *text = malloc(size + 1);
    size_t length = 0;

    if (text == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for its %zu bytes", path, size);
    while (length < size) {
        ssize_t n = read(fd, text + length, size - length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(text);
            return refuse(err, path, "cannot be read", errno);
        }
        if (n == 0)
            break;
        length += (size_t)n;
    }
    text[length] = '\0';
    *ret_text = text;
    *ret_length = length;
    return BERTH_OK;
}

enum berth_code file_read(const char *path, size_t max_bytes, char **ret_text, size_t *ret_length,
                          struct berth_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum berth_code code;

    if (fd < 0)
        return refuse(err, path, "cannot be opened", errno);
    code = read_open(fd, path, max_bytes, ret_text, ret_length, err);
    close(fd);
    return code;
}

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        text += n;
        length -= (size_t)n;
    }
    return 0;
}

enum berth_code file_write(const char *path, const char *text, size_t length, struct berth_error *err)
{
    char *temporary = names_format("%s.XXXXXX", path);
    mode_t mask = umask(022);
    int fd = mkostemp(temporary, O_CLOEXEC);
    int error = fd < 0 ? errno : 0;

    umask(mask);
    if (fd >= 0) {
        error = write_all(fd, text, length);
        if (error == 0 && fchmod(fd, 0666 & ~mask) != 0)
            error = errno;
        if (close(fd) != 0 && error == 0)
            error = errno;
        if (error == 0 && rename(temporary, path) != 0)
            error = errno;
        if (error != 0)
            unlink(temporary);
    }
    free(temporary);
    return error == 0 ? BERTH_OK : refuse(err, path, "cannot be written", error);
}
