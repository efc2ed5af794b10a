/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers what has changed and sends it to each watcher that can take it. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "report.h"

/* While a thousand plugins start, each turn of the loop brings a change. */
#define CHANGE_DELAY_MS 100

static uint64_t hash(uint64_t seed, const void *data, size_t length)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < length; i++)
        seed = (seed ^ bytes[i]) * 0x100000001b3;
    return seed;
}

#define HASH_SEED 0xcbf29ce484222325

static uint64_t hash_text(uint64_t seed, const char *text)
{
    return text != NULL ? hash(seed, text, strlen(text) + 1) : seed;
}

/* One look at all plugins: `tracks` are brought up to date on the way. */
struct look {
    struct tracks *tracks;
    size_t at;
    uint64_t version;
    bool is_reset, failed;
    struct json *scratch;
};

static bool tracks_grow(struct tracks *tracks)
{
    size_t capacity = tracks->capacity > 0 ? 2 * tracks->capacity : 64;
    struct track *items = reallocarray(tracks->items, capacity, sizeof(*items));

    if (items == NULL)
        return false;
    tracks->items = items;
    tracks->capacity = capacity;
    return true;
}

static bool look_at(struct look *look, uint64_t name, uint64_t content)
{
    struct tracks *tracks = look->tracks;
    struct track *track;

    if (look->at == tracks->capacity && !tracks_grow(tracks)) {
        look->failed = true;
        return false;
    }
    track = &tracks->items[look->at];
    if (look->at >= tracks->count || track->name != name) {
        look->is_reset = true;
        *track = (struct track){.name = name, .content = content, .version = look->version};
    } else if (track->content != content) {
        track->content = content;
        track->version = look->version;
    } else {
        look->at++;
        return true;
    }
    tracks->version = look->version;
    look->at++;
    return true;
}

static struct look look_begin(struct tracks *tracks, struct json *scratch)
{
    return (struct look){.tracks = tracks, .version = tracks->version + 1, .scratch = scratch};
}

/* Where memory was out, those behind keep what they have. */
static void look_end(struct look *look)
{
    struct tracks *tracks = look->tracks;

    if (look->failed)
        return;
    if (look->at != tracks->count)
        look->is_reset = true;
    tracks->count = look->at;
    if (look->is_reset)
        tracks->version = tracks->reset = look->version;
}

static bool look_at_plugin(void *context, const struct berth_plugin_info *plugin)
{
    struct look *look = context;
    uint64_t name = hash_text(hash_text(HASH_SEED, plugin->uri), plugin->path);

    look->scratch->length = 0;
    look->scratch->failed = false;
    report_plugin(look->scratch, plugin);
    return look_at(look, name, hash(HASH_SEED, look->scratch->bytes, look->scratch->length));
}

static void look_at_plugins(struct stream *stream)
{
    const struct berth_inspect *inspect = stream->host->inspect;
    struct json scratch = {0};
    struct look look = look_begin(&stream->plugins, &scratch);

    stream->is_outdated = false;
    inspect->each(inspect, look_at_plugin, &look);
    look_end(&look);
    json_finish(&scratch);
}

static bool look_at_costs(void *context, const struct berth_plugin_costs *costs)
{
    const uint64_t numbers[] = {costs->loop_ns, costs->entries, costs->slow,        costs->stalls,
                                costs->misuses, costs->handles, costs->degradations};
    uint64_t content = hash(HASH_SEED, numbers, sizeof(numbers));

    for (size_t i = 0; i < costs->method_count; i++) {
        const struct berth_method_costs *method = &costs->methods[i];
        const uint64_t more[] = {method->opened, method->in_flight, method->messages_received,
                                 method->messages_sent};

        content = hash(content, more, sizeof(more));
    }
    return look_at(context, hash_text(HASH_SEED, costs->uri), content);
}

static void look_at_all_costs(struct stream *stream)
{
    const struct berth_inspect *inspect = stream->host->inspect;
    struct look look = look_begin(&stream->costs, NULL);

    if (BERTH_HAS(inspect, costs))
        inspect->costs(inspect, look_at_costs, &look);
    look_end(&look);
}

/* Of those whose version is above what a watcher has. */
struct selection {
    const struct tracks *tracks;
    struct json *json;
    uint64_t above;
    size_t at;
};

static bool is_selected(struct selection *selection)
{
    size_t at = selection->at++;

    return at < selection->tracks->count && selection->tracks->items[at].version > selection->above;
}

static bool put_plugin(void *context, const struct berth_plugin_info *plugin)
{
    struct selection *selection = context;

    if (is_selected(selection))
        report_plugin(selection->json, plugin);
    return !selection->json->failed;
}

static bool put_costs(void *context, const struct berth_plugin_costs *costs)
{
    struct selection *selection = context;

    if (is_selected(selection))
        report_costs(selection->json, costs);
    return !selection->json->failed;
}

static struct selection select_above(const struct tracks *tracks, struct json *json, uint64_t seen)
{
    return (struct selection){.tracks = tracks, .json = json, .above = seen < tracks->reset ? 0 : seen};
}

static void begin_event(struct json *json, const char *name)
{
    json_raw(json, "event: ", 7);
    json_raw(json, name, strlen(name));
    json_raw(json, "\ndata: ", 7);
}

static void end_event(struct json *json)
{
    json_raw(json, "\n\n", 2);
}

static void put_plugins(struct stream *stream, struct json *json, uint64_t seen)
{
    struct selection selection = select_above(&stream->plugins, json, seen);

    begin_event(json, "plugins");
    json_open(json, NULL, '{');
    json_bool(json, "reset", selection.above == 0);
    json_open(json, "plugins", '[');
    stream->host->inspect->each(stream->host->inspect, put_plugin, &selection);
    json_close(json, ']');
    json_close(json, '}');
    end_event(json);
}

static void put_all_costs(struct stream *stream, struct json *json, uint64_t seen)
{
    const struct berth_inspect *inspect = stream->host->inspect;
    struct selection selection = select_above(&stream->costs, json, seen);

    begin_event(json, "costs");
    json_open(json, NULL, '{');
    report_daemon_costs(json, "daemon", inspect);
    json_open(json, "plugins", '[');
    if (BERTH_HAS(inspect, costs))
        inspect->costs(inspect, put_costs, &selection);
    json_close(json, ']');
    json_close(json, '}');
    end_event(json);
}

static void put_status(struct stream *stream, struct json *json)
{
    begin_event(json, "status");
    report_status(json, stream->host->inspect);
    end_event(json);
}

static void put_lines(struct stream *stream, struct json *json, uint64_t above)
{
    begin_event(json, "log");
    json_open(json, NULL, '{');
    lines_report(stream->lines, json, "lines", above, NULL);
    json_close(json, '}');
    end_event(json);
}

/* All that this watcher does not have yet. */
static void put_news(struct stream *stream, const struct watcher *watcher, struct json *json)
{
    if (watcher->status != stream->status_version)
        put_status(stream, json);
    if (watcher->plugins != stream->plugins.version)
        put_plugins(stream, json, watcher->plugins);
    if (watcher->tick != stream->tick)
        put_all_costs(stream, json, watcher->costs);
    if (watcher->line != stream->lines->last)
        put_lines(stream, json, watcher->line);
}

/* What could not be sent stays news. Whatever else the write returns, the watcher may be gone by then. */
static void send_text(struct stream *stream, struct watcher *watcher, const struct json *json)
{
    const struct watcher before = *watcher;

    watcher->status = stream->status_version;
    watcher->plugins = stream->plugins.version;
    watcher->costs = stream->costs.version;
    watcher->tick = stream->tick;
    watcher->line = stream->lines->last;
    if (berth_http_write(watcher->request, json->bytes, json->length) != BERTH_RESOURCE_EXHAUSTED)
        return;
    watcher->status = before.status;
    watcher->plugins = before.plugins;
    watcher->costs = before.costs;
    watcher->tick = before.tick;
    watcher->line = before.line;
}

static void send_news(struct stream *stream, struct watcher *watcher)
{
    struct json json = {0};

    if (!berth_http_can_write(watcher->request))
        return;
    put_news(stream, watcher, &json);
    if (json.failed) {
        json_finish(&json);
        json_raw(&json, "event: trouble\ndata: {}\n\n", 25);
    }
    if (!json.failed && json.length > 0)
        send_text(stream, watcher, &json);
    json_finish(&json);
}

/* A write may end the request, and on_end unlinks its watcher. */
static void send_to_all(struct stream *stream)
{
    struct watcher *watcher = LIST_FIRST(&stream->watchers);

    while (watcher != NULL) {
        struct watcher *next = LIST_NEXT(watcher, link);

        send_news(stream, watcher);
        watcher = next;
    }
}

/* The uptime alone is no news. */
static void look_at_status(struct stream *stream)
{
    const struct berth_daemon_info *daemon = stream->host->inspect->daemon;
    const uint64_t numbers[] = {daemon->ready, daemon->draining, daemon->ready_ns, stream->plugins.version};
    uint64_t content = hash(HASH_SEED, numbers, sizeof(numbers));

    if (content != stream->status_content)
        stream->status_version++;
    stream->status_content = content;
}

static void look_at_states(struct stream *stream)
{
    look_at_plugins(stream);
    look_at_status(stream);
}

static void on_change_time(uv_timer_t *timer)
{
    struct stream *stream = timer->data;

    if (stream->is_outdated)
        look_at_states(stream);
    send_to_all(stream);
}

static void on_interval(uv_timer_t *timer)
{
    struct stream *stream = timer->data;

    stream->tick++;
    look_at_all_costs(stream);
    if (stream->is_outdated)
        look_at_states(stream);
    send_to_all(stream);
}

static void send_soon(struct stream *stream)
{
    if (!uv_is_active((uv_handle_t *)&stream->change_timer))
        uv_timer_start(&stream->change_timer, on_change_time, CHANGE_DELAY_MS, 0);
}

static void on_change(void *context)
{
    struct stream *stream = context;

    stream->is_outdated = true;
    send_soon(stream);
}

void stream_lines_added(struct stream *stream)
{
    if (stream->watcher_count > 0)
        send_soon(stream);
}

void stream_init(struct stream *stream, const struct berth_host *host, struct lines *lines)
{
    stream->host = host;
    stream->lines = lines;
    LIST_INIT(&stream->watchers);
    uv_timer_init(host->loop, &stream->interval_timer);
    uv_timer_init(host->loop, &stream->change_timer);
    stream->interval_timer.data = stream->change_timer.data = stream;
    stream->open_handles = 2;
}

static void start_watching(struct stream *stream)
{
    const struct berth_inspect *inspect = stream->host->inspect;

    if (stream->watch == NULL)
        stream->watch = inspect->watch(inspect, on_change, stream);
    if (!uv_is_active((uv_handle_t *)&stream->interval_timer))
        uv_timer_start(&stream->interval_timer, on_interval, stream->interval_ms, stream->interval_ms);
}

static void stop_watching(struct stream *stream)
{
    if (stream->watch != NULL)
        stream->host->inspect->unwatch(stream->host->inspect, stream->watch);
    stream->watch = NULL;
    uv_timer_stop(&stream->interval_timer);
    uv_timer_stop(&stream->change_timer);
}

enum stream_refusal stream_add(struct stream *stream, struct berth_http_request *request,
                               const struct berth_http_header *headers, size_t count)
{
    struct watcher *watcher;

    if (stream->is_draining)
        return STREAM_DRAINING;
    if (stream->watcher_count >= stream->max_watchers)
        return STREAM_FULL;
    watcher = calloc(1, sizeof(*watcher));
    if (watcher == NULL)
        return STREAM_NO_MEMORY;
    watcher->request = request;
    request->state = watcher;
    LIST_INSERT_HEAD(&stream->watchers, watcher, link);
    stream->watcher_count++;
    start_watching(stream);
    stream->tick++;
    look_at_states(stream);
    look_at_all_costs(stream);
    if (berth_http_begin(request, 200, headers, count, -1) == BERTH_OK)
        send_news(stream, watcher);
    return STREAM_ACCEPTED;
}

/* It may have waited long: what changed meanwhile has been seen by others, or is seen now. */
void stream_on_writable(struct stream *stream, struct watcher *watcher)
{
    if (stream->is_outdated)
        look_at_states(stream);
    send_news(stream, watcher);
}

void stream_remove(struct stream *stream, struct watcher *watcher)
{
    LIST_REMOVE(watcher, link);
    free(watcher);
    if (--stream->watcher_count == 0)
        stop_watching(stream);
}

void stream_drain(struct stream *stream)
{
    struct watcher *watcher = LIST_FIRST(&stream->watchers);

    stream->is_draining = true;
    while (watcher != NULL) {
        struct watcher *next = LIST_NEXT(watcher, link);

        berth_http_end(watcher->request);
        watcher = next;
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;

    if (--stream->open_handles > 0)
        return;
    free(stream->plugins.items);
    free(stream->costs.items);
    stream->on_closed(stream);
}

void stream_close(struct stream *stream, void (*on_closed)(struct stream *stream))
{
    stream->on_closed = on_closed;
    stop_watching(stream);
    while (!LIST_EMPTY(&stream->watchers)) {
        LIST_FIRST(&stream->watchers)->request->state = NULL;
        stream_remove(stream, LIST_FIRST(&stream->watchers));
    }
    uv_close((uv_handle_t *)&stream->interval_timer, on_timer_closed);
    uv_close((uv_handle_t *)&stream->change_timer, on_timer_closed);
}
