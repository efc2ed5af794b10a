/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the daemon's log: one event, one line, one write(2), so that threads need no lock. */
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <berth/utf8.h>

/* Room for the longest text of a plugin with some of it escaped; what is over it is cut, and marked so. */
#define LINE_MAX_BYTES 8192
#define CUT_MARK "..."

/* How long a line may keep its writer. */
#define PATIENCE_MS 200

static struct {
    enum berth_log_level level;
    enum log_format format;
    int fd;
} output = {BERTH_LOG_INFO, LOG_TEXT, STDERR_FILENO};

/* Lines since the last one that could be written. */
static atomic_uint lost;

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t length;
    bool is_cut;
};

void log_start(enum berth_log_level level, enum log_format format, int fd)
{
    output.level = level;
    output.format = format;
    output.fd = fd;
}

bool log_is_on(enum berth_log_level level)
{
    return level <= output.level;
}

/* systemd.exec(5): the device and inode of what it connected our standard error to. */
enum log_format log_format_of(int fd)
{
    const char *journal = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    if (journal == NULL || sscanf(journal, "%llu:%llu", &device, &inode) != 2 || fstat(fd, &status) != 0)
        return LOG_TEXT;
    return status.st_dev == device && status.st_ino == inode ? LOG_JOURNAL : LOG_TEXT;
}

/* Keeps room for the mark, the quotes and braces of JSON, and the newline. */
static void add(struct line *line, const char *bytes, size_t length)
{
    if (line->is_cut || length > sizeof(line->bytes) - line->length - 16) {
        line->is_cut = true;
        return;
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

static void add_text(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

/* One byte that may not stand as it is: "\n", "\x1b"; in JSON "\u001b", and U+FFFD for what is no UTF-8. */
static void add_byte(struct line *line, unsigned char byte)
{
    char escape[16];

    if (byte == '\n')
        add_text(line, "\\n");
    else if (byte == '\t')
        add_text(line, "\\t");
    else if (output.format == LOG_JSON && byte >= 0x80)
        add_text(line, "\\ufffd");
    else {
        snprintf(escape, sizeof(escape), output.format == LOG_JSON ? "\\u%04x" : "\\x%02x", byte);
        add_text(line, escape);
    }
}

/* A character that must not reach a terminal: in JSON as its code point, else byte by byte. */
static void add_character(struct line *line, const char *text, size_t bytes)
{
    unsigned point = berth_utf8_code_point(text, bytes);
    char escape[16];

    if (output.format != LOG_JSON || bytes == 1) {
        for (size_t i = 0; i < bytes; i++)
            add_byte(line, (unsigned char)text[i]);
        return;
    }
    if (point < 0x10000)
        snprintf(escape, sizeof(escape), "\\u%04x", point);
    else
        snprintf(escape, sizeof(escape), "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10),
                 0xdc00 + (point & 0x3ff));
    add_text(line, escape);
}

static void add_escaped(struct line *line, const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length;) {
        size_t bytes = berth_utf8_character(text + i, length - i);

        if (output.format == LOG_JSON && (text[i] == '"' || text[i] == '\\'))
            add(line, "\\", 1);
        if (bytes == 0)
            add_byte(line, (unsigned char)text[i]);
        else if (berth_utf8_is_printable(text + i, bytes))
            add(line, text + i, bytes);
        else
            add_character(line, text + i, bytes);
        i += bytes > 0 ? bytes : 1;
    }
}

/* RFC 3339 in UTC with milliseconds. */
static void add_time(struct line *line)
{
    struct timespec moment;
    struct tm parts;
    char text[40];
    size_t length;

    clock_gettime(CLOCK_REALTIME, &moment);
    gmtime_r(&moment.tv_sec, &parts);
    length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, sizeof(text) - length, ".%03ldZ", moment.tv_nsec / 1000000);
    add_text(line, text);
}

static const char *level_name(enum berth_log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    return names[level];
}

static void add_head(struct line *line, enum berth_log_level level)
{
    static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
    char name[16];

    if (output.format == LOG_JOURNAL) {
        add_text(line, priorities[level]);
        return;
    }
    add_time(line);
    snprintf(name, sizeof(name), " %-5s ", level_name(level));
    add_text(line, name);
}

static void format_text(struct line *line, enum berth_log_level level, const char *uri, const char *text)
{
    add_head(line, level);
    if (uri != NULL) {
        add_escaped(line, uri);
        add_text(line, ": ");
    }
    add_escaped(line, text);
}

static void format_json(struct line *line, enum berth_log_level level, const char *uri, const char *text)
{
    add_text(line, "{\"time\":\"");
    add_time(line);
    add_text(line, "\",\"level\":\"");
    add_text(line, level_name(level));
    if (uri != NULL) {
        add_text(line, "\",\"plugin\":\"");
        add_escaped(line, uri);
    }
    add_text(line, "\",\"message\":\"");
    add_escaped(line, text);
}

static void end_line(struct line *line)
{
    const char *end = output.format == LOG_JSON ? "\"}\n" : "\n";
    const char *mark = line->is_cut ? CUT_MARK : "";

    line->length +=
        (size_t)snprintf(line->bytes + line->length, sizeof(line->bytes) - line->length, "%s%s", mark, end);
}

/* Waits a little, but only for a reader that has taken the line before. */
static bool has_room(void)
{
    struct pollfd poll_output = {.fd = output.fd, .events = POLLOUT};
    int ready;

    do
        ready = poll(&poll_output, 1, atomic_load(&lost) > 0 ? 0 : PATIENCE_MS);
    while (ready < 0 && errno == EINTR);
    return ready != 0;
}

/* At most PIPE_BUF at a time, for which there is room where poll(2) says that there is any. */
static bool write_bytes(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written;

        if (!has_room())
            return false;
        written = write(output.fd, bytes, length < PIPE_BUF ? length : PIPE_BUF);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return true;
}

static void format_line(struct line *line, enum berth_log_level level, const char *uri, const char *text)
{
    line->length = 0;
    line->is_cut = false;
    if (output.format == LOG_JSON)
        format_json(line, level, uri, text);
    else
        format_text(line, level, uri, text);
    end_line(line);
}

static void tell_of_lost(void)
{
    unsigned missed = atomic_load(&lost);
    struct line line;
    char text[96];

    if (missed == 0)
        return;
    snprintf(text, sizeof(text), "%u lines before the last one are lost: nobody read this log", missed);
    format_line(&line, BERTH_LOG_WARN, NULL, text);
    if (write_bytes(line.bytes, line.length))
        atomic_fetch_sub(&lost, missed);
}

/* A reader that is gone or does not read must not stop the daemon: what cannot be written is lost. */
void log_write(enum berth_log_level level, const char *uri, const char *text)
{
    int saved_errno = errno;
    struct line line;

    if ((int)level < BERTH_LOG_ERROR || level > BERTH_LOG_DEBUG)
        level = BERTH_LOG_INFO;
    if (!log_is_on(level))
        return;
    format_line(&line, level, uri, text);
    if (write_bytes(line.bytes, line.length))
        tell_of_lost();
    else
        atomic_fetch_add(&lost, 1);
    errno = saved_errno;
}

static void log_arguments(enum berth_log_level level, const char *uri, const char *format, va_list arguments)
{
    char text[BERTH_ERROR_MAX + 1024];

    vsnprintf(text, sizeof(text), format, arguments);
    log_write(level, uri, text);
}

void log_line(enum berth_log_level level, const char *format, ...)
{
    va_list arguments;

    if (!log_is_on(level))
        return;
    va_start(arguments, format);
    log_arguments(level, NULL, format, arguments);
    va_end(arguments);
}

void log_plugin(enum berth_log_level level, const char *uri, const char *format, ...)
{
    va_list arguments;

    if (!log_is_on(level))
        return;
    va_start(arguments, format);
    log_arguments(level, uri, format, arguments);
    va_end(arguments);
}
