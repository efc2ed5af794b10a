/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's log: one line an event, as text, as JSON, or with the service manager's priorities. Any
 * thread. */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include <berth/plugin.h>

#include "running.h"

enum log_format {
    LOG_TEXT,
    /** One object a line. Data at the end of a text, as in "opened path=/x size=3", become `fields`. */
    LOG_JSON,
    /** Text without a time, with "<3>" in front, for a journal that reads standard error. */
    LOG_JOURNAL,
};

/** Sees each line, also some that the log itself has not. Any thread. */
struct log_tap {
    void (*on_line)(void *context, enum berth_log_level level, bool is_logged, const char *uri,
                    const char *text);
    void *context;
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
/** From any thread; each line has one format. */
void log_set_format(enum log_format format);
/** The format in use, and whether lines begin with "<3>". Async-signal-safe. */
enum log_format log_format_in_use(void);
bool log_has_priorities(void);
/** By its berth_log_level_name. @return false if no level has that name. */
bool log_level_parse(const char *name, enum berth_log_level *ret_level);
/** May anybody want a line of this level? Then log_write looks whose it is. */
bool log_is_on(enum berth_log_level level);
/** Does anybody want such a line of this plugin? NULL: of the daemon. */
bool log_is_on_for(const struct running_plugin *plugin, enum berth_log_level level);

enum berth_log_level log_level(void);
void log_set_level(enum berth_log_level level);
/** For one plugin, instead of the daemon's: for all records of its URI, whichever of its versions runs. -1:
 * the plugin uses the daemon's. */
int log_plugin_level(const struct running_plugin *plugin);
void log_set_plugin_level(struct running_plugin *plugin, int level);
/**
 * Shows every line to the tap, and beyond what the log has all up to `level`; -1: nothing beyond.
 * @param tap  borrowed for good; NULL: none.
 */
void log_use_tap(const struct log_tap *tap, int level);
/**
 * Asks, for each line, which trace the calling thread works for: the line ends with " trace_id=…" then.
 * @param find  any thread; returns NULL for none. NULL: nobody knows.
 */
void log_use_trace(const struct berth_trace *(*find)(void));
/**
 * The meaning of `format: auto` for a descriptor: LOG_JOURNAL if the service manager reads it, else LOG_TEXT.
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
