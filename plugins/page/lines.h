/* SPDX-License-Identifier: Apache-2.0 */
/* The recent lines of the log, within a bound. */
#ifndef PAGE_LINES_H
#define PAGE_LINES_H

#include <sys/queue.h>

#include <berth/plugin.h>

#include <berth/json_writer.h>

struct line {
    TAILQ_ENTRY(line) link;
    /** Increments by one from line to line. */
    uint64_t number;
    int64_t time_ns;
    uint64_t lost;
    int level;
    size_t size;
    /** Points behind `text`; NULL: the daemon's own. */
    const char *uri;
    char text[];
};

struct lines {
    const struct berth_inspect *inspect;
    struct berth_log_follower *follower;
    /** Told when lines were added. */
    void (*on_added)(void *context);
    void *context;
    size_t bytes, max_bytes;
    /** Of the newest line; 0: there was none. */
    uint64_t last;
    TAILQ_HEAD(line_list, line) list;
};

/** Follows the log from here on. Where the host has no such function, there are no lines. */
void lines_init(struct lines *lines, const struct berth_inspect *inspect, size_t max_bytes,
                void (*on_added)(void *context), void *context);
/** Drops the oldest lines beyond it. */
void lines_set_max(struct lines *lines, size_t max_bytes);
void lines_finish(struct lines *lines);

/** Appends, in order, the lines above a number as an array. @param uri  NULL: of everybody. */
void lines_report(const struct lines *lines, struct berth_json_writer *json, const char *key, uint64_t above,
                  const char *uri);

#endif
