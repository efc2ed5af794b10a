/* SPDX-License-Identifier: Apache-2.0 */
/* The log of an isolated plugin, from any thread. */
#include <stdlib.h>
#include <string.h>

#include "table.h"

struct line {
    struct inside *inside;
    enum berth_log_level level;
    char text[];
};

static void send_line(struct inside *inside, enum berth_log_level level, const char *text)
{
    struct packet_writer *writer;

    if (inside->is_over)
        return;
    writer = table_begin(inside, PACKET_LOG);
    packet_put_u8(writer, (uint8_t)level);
    packet_put_text(writer, text);
    packet_end(writer);
}

static void on_line(void *data)
{
    struct line *line = data;

    send_line(line->inside, line->level, line->text);
    free(line);
}

void log_say(struct inside *inside, enum berth_log_level level, const char *text)
{
    size_t length = strnlen(text, BERTH_LOG_MAX - 1);
    struct line *line;

    if (pthread_equal(pthread_self(), inside->process->thread)) {
        send_line(inside, level, text);
        return;
    }
    line = malloc(sizeof(*line) + length + 1);
    if (line == NULL)
        return;
    *line = (struct line){.inside = inside, .level = level};
    memcpy(line->text, text, length);
    line->text[length] = '\0';
    if (berth_mailbox_post(inside->lines, on_line, line) != BERTH_OK)
        free(line);
}

static bool host_logs(const struct berth_host *table, enum berth_log_level level)
{
    return (int)level <= table_of(table)->start->log_level;
}

static void host_log(const struct berth_host *table, enum berth_log_level level, const char *text)
{
    if (host_logs(table, level))
        log_say(table_of(table), level, text != NULL ? text : "(null)");
}

void log_fill(struct berth_host *table)
{
    table->logs = host_logs;
    table->log = host_log;
}
