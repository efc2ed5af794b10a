/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events: what has changed of the plugins and their costs, and the log's new lines, to everybody
 * who watches. Each plugin has the version at which it changed last, and each watcher the version that it has
 * been sent; so one that reads slowly misses only states that are outdated by the time it reads on, and
 * nothing is queued for it. All plugins are visited once a round, however many watch, and rounds keep a
 * distance of twenty times what they take.
 */
#ifndef PAGE_STREAM_H
#define PAGE_STREAM_H

#include <sys/queue.h>

#include <berth/plugin.h>
#include <berth/types/http.h>

#include "lines.h"

/* Of one plugin. */
struct track {
    /** Hashes of its name and of what was reported last. */
    uint64_t name, content;
    uint64_t version;
};

/* Of all plugins, in the order in which the host visits them. */
struct tracks {
    struct track *items;
    size_t count, capacity;
    /** Of the newest change; 0: nothing was reported yet. And before the round. */
    uint64_t version, before;
    /** The version at which other plugins were visited, or in another order. */
    uint64_t reset;
    /** Items of this round: of those that it found changed, and of all above `oldest`. */
    struct berth_json_writer news, past;
    /** What the furthest behind of those has who can be sent anything; UINT64_MAX: nobody is behind. */
    uint64_t oldest;
};

struct watcher {
    LIST_ENTRY(watcher) link;
    struct berth_http_request *request;
    /** What it has been sent. */
    uint64_t plugins, costs, status, line;
};

struct stream {
    const struct berth_host *host;
    struct lines *lines;
    uint64_t interval_ms;
    size_t max_watchers, watcher_count;
    LIST_HEAD(, watcher) watchers;
    struct tracks plugins, costs;
    /** Hash of the last status without its uptime, and how often that changed. */
    uint64_t status_content, status_version;
    /** Of this round. */
    struct berth_json_writer status, daemon;
    /** NULL while nobody watches. */
    struct berth_watch *watch;
    /** Something has changed since the plugins were looked at. */
    bool is_outdated;
    /** Somebody has no costs yet. */
    bool lacks_costs;
    /** What the last round took. */
    uint64_t round_ns;
    bool is_draining;
    /** The interval; and the short time for which changes are gathered. */
    uv_timer_t interval_timer, change_timer;
    unsigned open_handles;
    void (*on_closed)(struct stream *stream);
};

/** Starts two timers that stream_close closes. */
void stream_init(struct stream *stream, const struct berth_host *host, struct lines *lines);

/** New lines of the log were added: they are sent soon. */
void stream_lines_added(struct stream *stream);

enum stream_refusal {
    STREAM_ACCEPTED,
    STREAM_FULL,
    STREAM_DRAINING,
    STREAM_NO_MEMORY,
};

/** Sends events until the request ends; `headers` precede them. Nothing is sent where it refuses. */
enum stream_refusal stream_add(struct stream *stream, struct berth_http_request *request,
                               const struct berth_http_header *headers, size_t count);
/** There is room again for one of the watchers. */
void stream_on_writable(struct stream *stream);
/** The request has ended. */
void stream_remove(struct stream *stream, struct watcher *watcher);

/** Ends all requests; refuses further ones if the daemon stops. */
void stream_drain(struct stream *stream);
/** Calls on_closed once the timers are closed. */
void stream_close(struct stream *stream, void (*on_closed)(struct stream *stream));

#endif
