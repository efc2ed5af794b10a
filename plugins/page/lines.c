/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the newest lines of the log: a follower gets only what is written from then on. */
#include "lines.h"

#include <stdlib.h>
#include <string.h>

static void drop_oldest(struct lines *lines)
{
    struct line *line = TAILQ_FIRST(&lines->list);

    TAILQ_REMOVE(&lines->list, line, link);
    lines->bytes -= line->size;
    free(line);
}

static void drop_excess(struct lines *lines)
{
    while (lines->bytes > lines->max_bytes)
        drop_oldest(lines);
}

static struct line *copy(const struct berth_log_line *told)
{
    size_t text = strlen(told->text) + 1, uri = told->uri != NULL ? strlen(told->uri) + 1 : 0;
    struct line *line = malloc(sizeof(*line) + text + uri);

    if (line == NULL)
        return NULL;
    *line = (struct line){
        .time_ns = told->time_ns,
        .lost = told->lost,
        .level = told->level,
        .size = sizeof(*line) + text + uri,
        .uri = uri > 0 ? line->text + text : NULL,
    };
    memcpy(line->text, told->text, text);
    if (uri > 0)
        memcpy(line->text + text, told->uri, uri);
    return line;
}

static void on_lines(void *context)
{
    struct lines *lines = context;
    struct berth_log_line told = {.size = sizeof(told)};

    while (lines->inspect->next_line(lines->inspect, lines->follower, &told)) {
        struct line *line = copy(&told);

        /* A number without a line shows that one is missing. */
        lines->last++;
        if (line == NULL)
            continue;
        line->number = lines->last;
        TAILQ_INSERT_TAIL(&lines->list, line, link);
        lines->bytes += line->size;
        drop_excess(lines);
    }
    lines->on_added(lines->context);
}

void lines_init(struct lines *lines, const struct berth_inspect *inspect, size_t max_bytes,
                void (*on_added)(void *context), void *context)
{
    const struct berth_log_filter filter = {.size = sizeof(filter), .level = -1};

    *lines =
        (struct lines){.inspect = inspect, .on_added = on_added, .context = context, .max_bytes = max_bytes};
    TAILQ_INIT(&lines->list);
    if (BERTH_HAS(inspect, unfollow_log))
        lines->follower = inspect->follow_log(inspect, &filter, on_lines, lines);
}

void lines_set_max(struct lines *lines, size_t max_bytes)
{
    lines->max_bytes = max_bytes;
    drop_excess(lines);
}

void lines_finish(struct lines *lines)
{
    if (lines->follower != NULL)
        lines->inspect->unfollow_log(lines->inspect, lines->follower);
    while (!TAILQ_EMPTY(&lines->list))
        drop_oldest(lines);
}

static const char *level_name(int level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    return level >= 0 && (size_t)level < sizeof(names) / sizeof(names[0]) ? names[level] : "unknown";
}

/* The first of those above the number, found from the newest on: mostly few are wanted. */
static const struct line *first_above(const struct lines *lines, uint64_t above)
{
    const struct line *first = NULL;
    const struct line *line;

    TAILQ_FOREACH_REVERSE(line, &lines->list, line_list, link)
    {
        if (line->number <= above)
            break;
        first = line;
    }
    return first;
}

void lines_report(const struct lines *lines, struct berth_json_writer *json, const char *key, uint64_t above,
                  const char *uri)
{
    berth_json_open(json, key, '[');
    for (const struct line *line = first_above(lines, above); line != NULL; line = TAILQ_NEXT(line, link)) {
        if (uri != NULL && (line->uri == NULL || strcmp(line->uri, uri) != 0))
            continue;
        berth_json_open(json, NULL, '{');
        berth_json_count(json, "number", line->number);
        berth_json_integer(json, "time_ns", line->time_ns);
        berth_json_string(json, "level", level_name(line->level));
        berth_json_string(json, "uri", line->uri);
        berth_json_string(json, "text", line->text);
        if (line->lost > 0)
            berth_json_count(json, "lost", line->lost);
        berth_json_close(json, '}');
    }
    berth_json_close(json, ']');
}
