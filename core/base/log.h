/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's log: one line an event, as text, as JSON, or with the service manager's priorities. Any
 * thread. */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include <berth/plugin.h>

enum log_format {
    LOG_TEXT,
    /** One object a line. Data at the end of a text, as in "opened path=/x size=3", become `fields`. */
    LOG_JSON,
    /** Text without a time, with "<3>" in front, for a journal that reads standard error. */
    LOG_JOURNAL,
};

/** Names for one line, the first few of them. Zero-initialise. */
struct log_names {
    size_t count;
    char text[768];
};

/**
 * Where the lines go; starts as LOG_INFO and LOG_TEXT on standard error. Where the journal reads `fd`, lines
 * of every format have its priorities. Before any thread is started.
 */
void log_start(enum berth_log_level level, enum log_format format, int fd);
/** The format in use, and whether lines begin with "<3>". Async-signal-safe. */
enum log_format log_format_in_use(void);
bool log_has_priorities(void);
bool log_is_on(enum berth_log_level level);
/** What `format: auto` means for a descriptor: LOG_JOURNAL where the service manager reads it, else LOG_TEXT.
 */
enum log_format log_format_of(int fd);
/** `uri` is NULL for the daemon itself. Control characters in the text are escaped: one event is one line. */
void log_write(enum berth_log_level level, const char *uri, const char *text);
BERTH_PRINTF(2, 3)
void log_line(enum berth_log_level level, const char *format, ...);
BERTH_PRINTF(3, 4)
void log_plugin(enum berth_log_level level, const char *uri, const char *format, ...);

/** Adds a name, separated by commas; beyond the first few they are only counted. */
BERTH_PRINTF(2, 3)
void log_names_add(struct log_names *names, const char *format, ...);
/** The names, and how many were left out. */
const char *log_names_text(struct log_names *names);

#endif
