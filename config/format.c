/* SPDX-License-Identifier: Apache-2.0 */
/* Checks addresses and paths, each with a sentence of its own. */
#include "format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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

static bool check_socket_path(const char *path, struct berth_error *err)
{
    const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    size_t length = strlen(path);

    if (length <= most)
        return true;
    return refuse(err, "\"%.200s\" is too long for a unix socket: %zu bytes, the kernel allows %zu", path,
                  length, most);
}

/* `host` ends where the port's colon is. */
static bool check_host(const char *text, const char *host, size_t length, struct berth_error *err)
{
    if (length == 0)
        return refuse(err, "\"%.200s\" has no host before the port (try 127.0.0.1%.20s)", text, host);
    if (host[0] == '[') {
        if (length < 3 || host[length - 1] != ']' ||
            strspn(host + 1, "0123456789abcdefABCDEF:.") < strcspn(host + 1, "%]"))
            return refuse(err, "\"%.200s\" is not an IPv6 address in brackets and a port (try [::1]:50051)",
                          text);
        return true;
    }
    if (memchr(host, ':', length) != NULL)
        return refuse(err, "\"%.200s\": an IPv6 address is written in brackets (try [::1]:50051)", text);
    for (size_t i = 0; i < length; i++)
        if (strchr("/\\ \t@[]%\"'", host[i]) != NULL)
            return refuse(err, "\"%.200s\" is not a host and a port: '%c' is not part of a host name", text,
                          host[i]);
    return true;
}

/* `at` is where host and port begin in `text`. */
static bool check_host_port(const char *text, const char *at, long least, struct berth_error *err)
{
    const char *colon = strrchr(at, ':');
    const char *digits = colon == NULL ? "" : colon + 1;
    size_t digit_count = strspn(digits, "0123456789");
    long port;

    if (strstr(text, "://") != NULL)
        return refuse(err, "\"%.200s\" is a URL; write the host and port alone, such as 127.0.0.1:2379",
                      text);
    if (colon == NULL || at[strlen(at) - 1] == ']')
        return refuse(err, "\"%.200s\" has no port (try %.100s:50051)", text, at);
    if (digit_count == 0 || digits[digit_count] != '\0')
        return refuse(err, "\"%.200s\": \"%.40s\" is not a port number", text, digits);
    port = digit_count > 6 ? 1000000 : strtol(digits, NULL, 10);
    if (port < least || port > 65535)
        return refuse(err, "\"%.200s\": port %.20s is out of range (%ld to 65535)", text, digits, least);
    return check_host(text, at, (size_t)(colon - at), err);
}

static bool check_address(const char *text, struct berth_error *err)
{
    if (strncmp(text, "unix:/", 6) == 0)
        return check_socket_path(text + strlen("unix:"), err);
    if (strncmp(text, "unix:", 5) == 0)
        return refuse(err, "\"%.200s\": the path of a unix socket has to be absolute (unix:/PATH)", text);
    if (text[0] == '/')
        return check_socket_path(text, err);
    return check_host_port(
        text, strncmp(text, "tcp:", 4) == 0 && strstr(text, "://") == NULL ? text + 4 : text, 1, err);
}

bool config_format_check(enum config_format format, const char *text, struct berth_error *err)
{
    switch (format) {
    case CONFIG_FORMAT_ADDRESS:
        return check_address(text, err);
    case CONFIG_FORMAT_HOST_PORT:
        return check_host_port(text, text, 0, err);
    case CONFIG_FORMAT_SOCKET:
        return check_socket_path(text, err);
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
