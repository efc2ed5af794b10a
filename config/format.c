/* SPDX-License-Identifier: Apache-2.0 */
/* Checks addresses and paths, each with a sentence of its own. */
#include "format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <berth/address.h>

static const char *const names[CONFIG_FORMAT_COUNT] = {
    [CONFIG_FORMAT_ANY] = "any",
    [CONFIG_FORMAT_ADDRESS] = "address",
    [CONFIG_FORMAT_HOST_PORT] = "host_port",
    [CONFIG_FORMAT_SOCKET] = "socket",
    [CONFIG_FORMAT_FILE] = "file",
    [CONFIG_FORMAT_DIRECTORY] = "directory",
};

const char *config_format_name(enum config_format format)
{
    return names[format];
}

bool config_format_is_of_path(enum config_format format)
{
    return format == CONFIG_FORMAT_SOCKET || format == CONFIG_FORMAT_FILE ||
           format == CONFIG_FORMAT_DIRECTORY;
}

BERTH_PRINTF(2, 3)
static bool refuse(struct berth_error *err, const char *format, ...)
{
    char text[BERTH_ERROR_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s", text);
    return false;
}

static bool check_address(const char *text, struct berth_error *err)
{
    struct berth_address address;

    if (berth_address_parse(text, &address, err) != BERTH_OK)
        return false;
    if (address.path == NULL || address.path[0] == '/')
        return true;
    if (strncmp(text, "unix:", 5) == 0)
        return refuse(err, "\"%.200s\": the path of a unix socket has to be absolute (unix:/PATH)", text);
    return refuse(err, "\"%.200s\" has no port (try %.100s:50051)", text, text);
}

bool config_format_check(enum config_format format, const char *text, struct berth_error *err)
{
    struct berth_address address;

    switch (format) {
    case CONFIG_FORMAT_ADDRESS:
        return check_address(text, err);
    case CONFIG_FORMAT_HOST_PORT:
        return berth_address_parse_listener(text, &address, err) == BERTH_OK;
    case CONFIG_FORMAT_SOCKET:
        return berth_address_check_path(text, err) == BERTH_OK;
    case CONFIG_FORMAT_ANY:
    case CONFIG_FORMAT_FILE:
    case CONFIG_FORMAT_DIRECTORY:
        break;
    }
    return true;
}

/* Opened as its later reader would, but never waiting for a writer of a FIFO. */
static bool check_readable(const char *path, struct berth_error *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool is_file;

    if (fd < 0)
        return refuse(err, "cannot read %.300s: %s", path, strerror(errno));
    is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    close(fd);
    return is_file || refuse(err, "%.300s is not a regular file", path);
}

static bool check_directory(const char *path, struct berth_error *err)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return refuse(err, "cannot use the directory %.300s: %s", path, strerror(errno));
    return S_ISDIR(status.st_mode) || refuse(err, "%.300s is not a directory", path);
}

bool config_format_check_file(enum config_format format, const char *path, struct berth_error *err)
{
    switch (format) {
    case CONFIG_FORMAT_FILE:
        return check_readable(path, err);
    case CONFIG_FORMAT_DIRECTORY:
        return check_directory(path, err);
    case CONFIG_FORMAT_ANY:
    case CONFIG_FORMAT_ADDRESS:
    case CONFIG_FORMAT_HOST_PORT:
    case CONFIG_FORMAT_SOCKET:
        break;
    }
    return true;
}
