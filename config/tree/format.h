/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a text: formats, paths and patterns. */
#ifndef CONFIG_TREE_FORMAT_H
#define CONFIG_TREE_FORMAT_H

#include <regex.h>
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
    /** Of a path: a regular file readable by this user. */
    CONFIG_FORMAT_FILE,
    /** Of a path: a directory. */
    CONFIG_FORMAT_DIRECTORY,
};

#define CONFIG_FORMAT_COUNT 6

/** "host_port", as manifests spell it. */
const char *config_format_name(enum config_format format);
/** Is it for settings of type path rather than string? */
bool config_format_is_of_path(enum config_format format);

/** Checks the text alone. @return false, with what was expected in `err`. */
bool config_format_check(enum config_format format, const char *text, struct berth_error *err);
/** Checks the named file, for formats that require one; true for others. As config_format_check. */
bool config_format_check_file(enum config_format format, const char *path, struct berth_error *err);

/** Refuses variables and ~, which are not expanded, and Windows paths. As config_format_check. */
bool config_format_check_path(const char *text, struct berth_error *err);

/**
 * Compiles a POSIX extended expression that must match the whole text.
 *
 * @param ret_regex  free it with regfree.
 * @return false, with the reason in `err`: malformed, too long, back-references, or too costly to compile.
 */
bool config_pattern_compile(const char *pattern, regex_t *ret_regex, struct berth_error *err);

#endif
