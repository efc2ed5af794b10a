/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's log: one line an event, as text, as JSON, or with the service manager's priorities. Any
 * thread. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <berth/plugin.h>

enum log_format {
    LOG_TEXT,
    LOG_JSON,
    /** Text with "<3>" in front, for a journal that reads standard error. */
    LOG_JOURNAL,
};

/** Where the lines go; starts as LOG_INFO and LOG_TEXT on standard error. Before any thread is started. */
void log_start(enum berth_log_level level, enum log_format format, int fd);
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

#endif
