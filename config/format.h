/* SPDX-License-Identifier: Apache-2.0 */
/* What a text has to be, where a pattern could not say what is wrong with it. */
#ifndef CONFIG_FORMAT_H
#define CONFIG_FORMAT_H

#include <stdbool.h>

#include <berth/error.h>

enum config_format {
    CONFIG_FORMAT_ANY,
    /** Where to connect to: "unix:/PATH", "/PATH", "tcp:HOST:PORT" or "HOST:PORT", the port from 1. */
    CONFIG_FORMAT_ADDRESS,
    /** Where to listen: "HOST:PORT", the host an IP address or localhost, the port from 0. */
    CONFIG_FORMAT_HOST_PORT,
    /** Of a path: short enough for a unix socket. */
    CONFIG_FORMAT_SOCKET,
    /** Of a path: a regular file that this user can read. */
    CONFIG_FORMAT_FILE,
    /** Of a path: a directory. */
    CONFIG_FORMAT_DIRECTORY,
};

#define CONFIG_FORMAT_COUNT 6

/** "host_port", as manifests spell it. */
const char *config_format_name(enum config_format format);
/** Is it for settings of type path, or else of type string? */
bool config_format_is_of_path(enum config_format format);

/** Checks the text alone. @return false with a sentence that says what was expected. */
bool config_format_check(enum config_format format, const char *text, struct berth_error *err);
/** Looks at the file that the text names; true for formats that need none. As config_format_check. */
bool config_format_check_file(enum config_format format, const char *path, struct berth_error *err);

#endif
