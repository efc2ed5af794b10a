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

#include <berth/trace.h>
#include <berth/utf8.h>
#include <sdk/base/rfc3339.h>

/* Room for the longest text of a plugin with some of it escaped; longer lines are cut and marked. */
#define LINE_MAX_BYTES 8192
#define CUT_MARK "..."

/* How long writing a line may block. */
#define PATIENCE_MS 200

static int output_fd = STDERR_FILENO;

/* Read by any thread. */
static atomic_int output_format = LOG_TEXT;
static atomic_bool has_priorities;
static atomic_int daemon_level = BERTH_LOG_INFO;
/* The highest that a plugin has for itself; -1: none has one. So most lines need no look at their plugin. */
static atomic_int highest_own_level = -1;
static _Atomic(const struct log_tap *) tap;
static atomic_int tap_level = -1;
static const struct berth_trace *(*_Atomic find_trace)(void);

/* Lines since the last one that could be written. */
static atomic_uint lost;

struct line {
    /* All of a line has the format that it began with. */
    enum log_format format;
    char bytes[LINE_MAX_BYTES];
    size_t length;
    bool is_cut;
};

void log_start(enum berth_log_level level, enum log_format format, int fd)
{
    output_fd = fd;
    log_set_level(level);
    log_set_format(format);
}

void log_set_format(enum log_format format)
{
    atomic_store(&has_priorities, format == LOG_JOURNAL || log_format_of(output_fd) == LOG_JOURNAL);
    atomic_store(&output_format, (int)format);
}

enum log_format log_format_in_use(void)
{
    return (enum log_format)atomic_load(&output_format);
}

bool log_has_priorities(void)
{
    return atomic_load(&has_priorities);
}

bool log_is_on(enum berth_log_level level)
{
    return (int)level <= atomic_load(&daemon_level) || (int)level <= atomic_load(&highest_own_level) ||
           (int)level <= atomic_load(&tap_level);
}

/* Is it written, not only shown to the tap? */
static bool is_logged(const struct running_plugin *plugin, enum berth_log_level level)
{
    int own = plugin != NULL ? log_plugin_level(plugin) : -1;

    return (int)level <= (own >= 0 ? own : atomic_load(&daemon_level));
}

bool log_is_on_for(const struct running_plugin *plugin, enum berth_log_level level)
{
    return is_logged(plugin, level) || (int)level <= atomic_load(&tap_level);
}

enum berth_log_level log_level(void)
{
    return (enum berth_log_level)atomic_load(&daemon_level);
}

void log_set_level(enum berth_log_level level)
{
    atomic_store(&daemon_level, (int)level);
}

int log_plugin_level(const struct running_plugin *plugin)
{
    return atomic_load(&plugin->log_level) - 1;
}

void log_set_plugin_level(struct running_plugin *plugin, int level)
{
    int highest = -1;

    for (plugin = running_find(plugin->uri); plugin != NULL; plugin = running_find_before(plugin))
        atomic_store(&plugin->log_level, level + 1);
    for (uint32_t i = 1; i <= running_count(); i++)
        if (log_plugin_level(running_get(i)) > highest)
            highest = log_plugin_level(running_get(i));
    atomic_store(&highest_own_level, highest);
}

void log_use_tap(const struct log_tap *new_tap, int level)
{
    atomic_store(&tap, new_tap);
    atomic_store(&tap_level, level);
}

void log_use_trace(const struct berth_trace *(*find)(void))
{
    atomic_store(&find_trace, find);
}

/* Lines name their plugin by its URI; only where some have levels of their own does it matter which it is. */
static const struct running_plugin *find_plugin(const char *uri)
{
    return uri != NULL && atomic_load(&highest_own_level) >= 0 ? running_find(uri) : NULL;
}

/* systemd.exec(5): the device and inode that our standard error was connected to. */
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

/* A byte that must be escaped: "\n", "\x1b"; in JSON "\u001b", and U+FFFD for invalid UTF-8. */
static void add_byte(struct line *line, unsigned char byte)
{
    char escape[16];

    if (byte == '\n')
        add_text(line, "\\n");
    else if (byte == '\t')
        add_text(line, "\\t");
    else if (line->format == LOG_JSON && byte >= 0x80)
        add_text(line, "\\ufffd");
    else {
        snprintf(escape, sizeof(escape), line->format == LOG_JSON ? "\\u%04x" : "\\x%02x", byte);
        add_text(line, escape);
    }
}

/* A character that must not reach a terminal: in JSON as its code point, else byte by byte. */
static void add_character(struct line *line, const char *text, size_t bytes)
{
    unsigned point = berth_utf8_code_point(text, bytes);
    char escape[16];

    if (line->format != LOG_JSON || bytes == 1) {
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

        if (line->format == LOG_JSON && (text[i] == '"' || text[i] == '\\'))
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

static void add_time(struct line *line)
{
    struct timespec moment;
    char text[RFC3339_MAX];

    clock_gettime(CLOCK_REALTIME, &moment);
    add_text(line, rfc3339_format(moment.tv_sec, (uint32_t)moment.tv_nsec, 3, text));
}

bool log_level_parse(const char *name, enum berth_log_level *ret_level)
{
    for (int level = BERTH_LOG_ERROR; level <= BERTH_LOG_DEBUG; level++)
        if (strcmp(berth_log_level_name((enum berth_log_level)level), name) == 0) {
            *ret_level = (enum berth_log_level)level;
            return true;
        }
    return false;
}

static void add_priority(struct line *line, enum berth_log_level level)
{
    static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};

    if (log_has_priorities())
        add_text(line, priorities[level]);
}

static void add_head(struct line *line, enum berth_log_level level)
{
    char name[16];

    if (line->format == LOG_JOURNAL)
        return;
    add_time(line);
    snprintf(name, sizeof(name), " %-5s ", berth_log_level_name(level));
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

/* The bytes of a key and "=" at the beginning of a text, or 0. */
static size_t key_length(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.");

    return text[0] >= 'a' && text[0] <= 'z' && text[length] == '=' ? length + 1 : 0;
}

/* The bytes of a value: up to a blank, or in double quotes with backslashes; 0 if there is none. */
static size_t value_length(const char *text)
{
    size_t length = 1;

    if (text[0] != '"')
        return strcspn(text, " ");
    while (text[length] != '"' && text[length] != '\0')
        length += text[length] == '\\' && text[length + 1] != '\0' ? 2 : 1;
    return text[length] == '"' ? length + 1 : 0;
}

/* Where the key=value data at the end of a text begins; the end of the text if there is none. */
static const char *find_fields(const char *text)
{
    const char *at = strchr(text, ' '), *start = NULL;

    while (at != NULL) {
        size_t key = key_length(at + 1);
        size_t value = key > 0 ? value_length(at + 1 + key) : 0;
        const char *end = at + 1 + key + value;

        /* An unclosed quote: no later field can be one either. */
        if (key > 0 && value == 0 && *end == '"')
            break;
        if (value > 0 && (*end == ' ' || *end == '\0')) {
            if (start == NULL)
                start = at;
            if (*end == '\0')
                return start;
            at = end;
        } else {
            start = NULL;
            at = strchr(at + 1, ' ');
        }
    }
    return text + strlen(text);
}

/* JSON's numbers, of as many digits as a double keeps. */
static bool is_number(const char *text, size_t length)
{
    size_t at = length > 0 && text[0] == '-' ? 1 : 0, digits = strspn(text + at, "0123456789"), more = 0;

    if (digits == 0 || (digits > 1 && text[at] == '0'))
        return false;
    at += digits;
    if (at < length && text[at] == '.') {
        more = strspn(text + at + 1, "0123456789");
        at += 1 + more;
    }
    return at == length && digits + more <= 15 && text[length - 1] != '.';
}

static void add_value(struct line *line, const char *text, size_t length)
{
    char value[LINE_MAX_BYTES];
    size_t count = 0;

    if (is_number(text, length)) {
        add(line, text, length);
        return;
    }
    for (size_t i = text[0] == '"' ? 1 : 0; i < length - (text[0] == '"') && count < sizeof(value) - 1; i++) {
        if (text[0] == '"' && text[i] == '\\')
            i++;
        value[count++] = text[i];
    }
    value[count] = '\0';
    add_text(line, "\"");
    add_escaped(line, value);
    add_text(line, "\"");
}

/* If a key is repeated, the first one counts. */
static bool is_repeated(const char *fields, const char *at, size_t key)
{
    for (const char *other = fields; other < at;) {
        size_t length = key_length(other + 1);

        if (length == key && memcmp(other + 1, at + 1, key) == 0)
            return true;
        other += 1 + length + value_length(other + 1 + length);
    }
    return false;
}

static void add_fields(struct line *line, const char *fields)
{
    const char *separator = "\",\"fields\":{\"";

    for (const char *at = fields; *at != '\0';) {
        size_t key = key_length(at + 1), value = value_length(at + 1 + key);

        if (!is_repeated(fields, at, key)) {
            add_text(line, separator);
            add(line, at + 1, key - 1);
            add_text(line, "\":");
            add_value(line, at + 1 + key, value);
            separator = ",\"";
        }
        at += 1 + key + value;
    }
    add_text(line, "}");
}

static void begin_json(struct line *line, enum berth_log_level level, const char *uri)
{
    add_text(line, "{\"time\":\"");
    add_time(line);
    add_text(line, "\",\"level\":\"");
    add_text(line, berth_log_level_name(level));
    if (uri != NULL) {
        add_text(line, "\",\"plugin\":\"");
        add_escaped(line, uri);
    }
    add_text(line, "\",\"message\":\"");
}

static void end_line(struct line *line, const char *end)
{
    const char *mark = line->is_cut ? CUT_MARK : "";

    line->length +=
        (size_t)snprintf(line->bytes + line->length, sizeof(line->bytes) - line->length, "%s%s", mark, end);
}

/* An object that would be cut within its fields has them in its message, whose end may be anywhere. */
static void format_json(struct line *line, enum berth_log_level level, const char *uri, const char *text)
{
    const char *fields = find_fields(text);
    size_t head;

    begin_json(line, level, uri);
    head = line->length;
    if (*fields != '\0') {
        char *message = strndup(text, (size_t)(fields - text));

        if (message != NULL) {
            add_escaped(line, message);
            add_fields(line, fields);
        }
        free(message);
        if (message != NULL && !line->is_cut) {
            end_line(line, "}\n");
            return;
        }
        line->length = head;
        line->is_cut = false;
    }
    add_escaped(line, text);
    end_line(line, "\"}\n");
}

/* Waits briefly, unless the previous line was lost. */
static bool has_room(void)
{
    struct pollfd poll_output = {.fd = output_fd, .events = POLLOUT};
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
        written = write(output_fd, bytes, length < PIPE_BUF ? length : PIPE_BUF);
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
    line->format = log_format_in_use();
    line->length = 0;
    line->is_cut = false;
    add_priority(line, level);
    if (line->format == LOG_JSON) {
        format_json(line, level, uri, text);
    } else {
        format_text(line, level, uri, text);
        end_line(line, "\n");
    }
}

static void tell_of_lost(void)
{
    unsigned missed = atomic_exchange(&lost, 0);
    struct line line;
    char text[96];

    if (missed == 0)
        return;
    snprintf(text, sizeof(text), "%u lines before the previous line were lost: log output was not being read",
             missed);
    format_line(&line, BERTH_LOG_WARN, NULL, text);
    if (!write_bytes(line.bytes, line.length))
        atomic_fetch_add(&lost, missed);
}

/* A reader that is gone or stuck must not stop the daemon: lines that cannot be written are lost. */
static void write_line(enum berth_log_level level, const char *uri, const char *text)
{
    struct line line;

    format_line(&line, level, uri, text);
    if (write_bytes(line.bytes, line.length))
        tell_of_lost();
    else
        atomic_fetch_add(&lost, 1);
}

#define TRACE_FIELD " trace_id="

struct traced_text {
    char bytes[LINE_MAX_BYTES];
};

/* Appends the trace of what is running, unless the text names one. @return the text. */
static const char *add_trace(const char *text, struct traced_text *space)
{
    const struct berth_trace *(*find)(void) = atomic_load(&find_trace);
    const struct berth_trace *trace = find != NULL ? find() : NULL;
    char id[BERTH_TRACE_ID_LENGTH + 1];
    int length;

    if (trace == NULL || strstr(text, TRACE_FIELD) != NULL)
        return text;
    berth_trace_format_id(trace, id);
    length = snprintf(space->bytes, sizeof(space->bytes), "%s" TRACE_FIELD "%s", text, id);
    return length > 0 && (size_t)length < sizeof(space->bytes) ? space->bytes : text;
}

void log_write(enum berth_log_level level, const char *uri, const char *text)
{
    const struct log_tap *reader = atomic_load(&tap);
    int saved_errno = errno;
    struct traced_text space;
    bool is_for_log;

    if ((int)level < BERTH_LOG_ERROR || level > BERTH_LOG_DEBUG)
        level = BERTH_LOG_INFO;
    if (!log_is_on(level))
        return;
    text = add_trace(text, &space);
    is_for_log = is_logged(find_plugin(uri), level);
    if (is_for_log)
        write_line(level, uri, text);
    if (reader != NULL)
        reader->on_line(reader->context, level, is_for_log, uri, text);
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

/* More are only counted. */
#define NAMES_MAX 8

void log_names_add(struct log_names *names, const char *format, ...)
{
    size_t used = strlen(names->text);
    va_list arguments;

    if (names->count++ >= NAMES_MAX)
        return;
    if (used > 0 && used < sizeof(names->text) - 1)
        used += (size_t)snprintf(names->text + used, sizeof(names->text) - used, ", ");
    if (used >= sizeof(names->text))
        return;
    va_start(arguments, format);
    vsnprintf(names->text + used, sizeof(names->text) - used, format, arguments);
    va_end(arguments);
}

const char *log_names_text(struct log_names *names)
{
    size_t used = strlen(names->text);

    if (names->count > NAMES_MAX)
        snprintf(names->text + used, sizeof(names->text) - used, " and %zu more", names->count - NAMES_MAX);
    return names->text;
}
