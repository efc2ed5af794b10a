/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers in rounds what has changed, and sends it to each watcher that can take it. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include <berth/ending.h>

#include "report.h"

/* While a thousand plugins start, each turn of the loop brings a change. */
#define CHANGE_DELAY_MS 100
/* The share of the loop that rounds may take: one part in so many. */
#define ROUND_SHARE 20

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
    struct berth_json_writer *scratch;
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

/* @return the plugin's track with its newest version; NULL without memory. */
static const struct track *look_at(struct look *look, uint64_t name, uint64_t content)
{
    struct tracks *tracks = look->tracks;
    size_t at = look->at;
    struct track *track;

    if (at == tracks->capacity && !tracks_grow(tracks)) {
        look->failed = true;
        return NULL;
    }
    look->at++;
    track = &tracks->items[at];
    if (at < tracks->count && track->name == name && track->content == content)
        return track;
    look->is_reset = look->is_reset || at >= tracks->count || track->name != name;
    *track = (struct track){.name = name, .content = content, .version = look->version};
    tracks->version = look->version;
    return track;
}

static void append_item(struct berth_json_writer *list, const struct berth_json_writer *item)
{
    if (list->length > 0)
        berth_json_raw(list, ",", 1);
    berth_json_raw(list, item->bytes, item->length);
    list->failed = list->failed || item->failed;
}

static void keep_item(const struct look *look, const struct track *track)
{
    struct tracks *tracks = look->tracks;

    if (track->version == look->version)
        append_item(&tracks->news, look->scratch);
    if (tracks->oldest != UINT64_MAX && track->version > tracks->oldest)
        append_item(&tracks->past, look->scratch);
}

static void clear(struct berth_json_writer *json)
{
    json->length = 0;
    json->failed = false;
}

static bool look_at_plugin(void *context, const struct berth_plugin_info *plugin)
{
    struct look *look = context;
    uint64_t name = hash_text(hash_text(HASH_SEED, plugin->uri), plugin->path);
    const struct track *track;

    clear(look->scratch);
    report_plugin(look->scratch, plugin);
    track = look_at(look, name, hash(HASH_SEED, look->scratch->bytes, look->scratch->length));
    if (track != NULL)
        keep_item(look, track);
    return track != NULL;
}

static uint64_t hash_costs(const struct berth_plugin_costs *costs)
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
    return content;
}

static bool look_at_costs(void *context, const struct berth_plugin_costs *costs)
{
    struct look *look = context;
    const struct track *track = look_at(look, hash_text(HASH_SEED, costs->uri), hash_costs(costs));

    if (track == NULL)
        return false;
    if (track->version != look->version && track->version <= look->tracks->oldest)
        return true;
    clear(look->scratch);
    report_costs(look->scratch, costs);
    keep_item(look, track);
    return true;
}

static void visit_plugins(const struct berth_inspect *inspect, struct look *look)
{
    inspect->each(inspect, look_at_plugin, look);
}

static void visit_costs(const struct berth_inspect *inspect, struct look *look)
{
    if (BERTH_HAS(inspect, costs))
        inspect->costs(inspect, look_at_costs, look);
}

/* Where memory was out, those behind keep what they have. @return were there others than before? */
static bool look_once(const struct berth_inspect *inspect, struct tracks *tracks,
                      void (*visit)(const struct berth_inspect *inspect, struct look *look))
{
    struct berth_json_writer scratch = {0};
    struct look look = {.tracks = tracks, .version = tracks->version + 1, .scratch = &scratch};

    clear(&tracks->news);
    clear(&tracks->past);
    visit(inspect, &look);
    berth_json_finish(&scratch);
    if (look.failed) {
        tracks->news.failed = tracks->past.failed = true;
        return false;
    }
    look.is_reset = look.is_reset || look.at != tracks->count;
    tracks->count = look.at;
    if (look.is_reset)
        tracks->version = tracks->reset = look.version;
    return look.is_reset;
}

/* Others than before are news for everybody, as a whole. */
static void look(const struct berth_inspect *inspect, struct tracks *tracks,
                 void (*visit)(const struct berth_inspect *inspect, struct look *look))
{
    tracks->before = tracks->version;
    if (!look_once(inspect, tracks, visit))
        return;
    tracks->before = UINT64_MAX;
    if (tracks->oldest == 0)
        return;
    tracks->oldest = 0;
    look_once(inspect, tracks, visit);
}

static void note_oldest(struct tracks *tracks, uint64_t seen)
{
    if (seen == tracks->version && tracks->version > 0)
        return;
    seen = seen < tracks->reset ? 0 : seen;
    tracks->oldest = seen < tracks->oldest ? seen : tracks->oldest;
}

static void note_who_is_behind(struct stream *stream)
{
    const struct watcher *watcher;

    stream->plugins.oldest = stream->costs.oldest = UINT64_MAX;
    LIST_FOREACH(watcher, &stream->watchers, link)
    {
        if (!berth_http_can_write(watcher->request))
            continue;
        note_oldest(&stream->plugins, watcher->plugins);
        note_oldest(&stream->costs, watcher->costs);
    }
}

static void begin_event(struct berth_json_writer *json, const char *name)
{
    berth_json_raw(json, "event: ", 7);
    berth_json_raw(json, name, strlen(name));
    berth_json_raw(json, "\ndata: ", 7);
}

static void end_event(struct berth_json_writer *json)
{
    berth_json_raw(json, "\n\n", 2);
}

/* The items as "plugins", behind what stands in the object. */
static void put_items(struct berth_json_writer *json, const struct tracks *tracks, uint64_t seen)
{
    const struct berth_json_writer *items = seen == tracks->before ? &tracks->news : &tracks->past;

    berth_json_open(json, "plugins", '[');
    berth_json_raw(json, items->bytes, items->length);
    json->failed = json->failed || items->failed;
    berth_json_close(json, ']');
    berth_json_close(json, '}');
    end_event(json);
}

static void put_plugins(const struct tracks *tracks, struct berth_json_writer *json, uint64_t seen)
{
    begin_event(json, "plugins");
    berth_json_open(json, NULL, '{');
    berth_json_bool(json, "reset", seen != tracks->before && tracks->oldest == 0);
    put_items(json, tracks, seen);
}

static void put_costs(const struct stream *stream, struct berth_json_writer *json, uint64_t seen)
{
    begin_event(json, "costs");
    berth_json_open(json, NULL, '{');
    berth_json_raw(json, stream->daemon.bytes, stream->daemon.length);
    put_items(json, &stream->costs, seen);
}

static void put_lines(struct stream *stream, struct berth_json_writer *json, uint64_t above)
{
    begin_event(json, "log");
    berth_json_open(json, NULL, '{');
    lines_report(stream->lines, json, "lines", above, NULL);
    berth_json_close(json, '}');
    end_event(json);
}

/* What a round has for this watcher. */
static void put_news(struct stream *stream, const struct watcher *watcher, bool has_costs,
                     struct berth_json_writer *json)
{
    if (watcher->status != stream->status_version)
        berth_json_raw(json, stream->status.bytes, stream->status.length);
    if (watcher->plugins != stream->plugins.version)
        put_plugins(&stream->plugins, json, watcher->plugins);
    if (has_costs)
        put_costs(stream, json, watcher->costs);
    if (watcher->line != stream->lines->last)
        put_lines(stream, json, watcher->line);
}

/* What could not be sent stays news. Whatever else the write returns, the watcher may be gone by then. */
static void send_text(struct stream *stream, struct watcher *watcher, bool has_costs,
                      const struct berth_json_writer *json)
{
    const struct watcher before = *watcher;

    watcher->status = stream->status_version;
    watcher->plugins = stream->plugins.version;
    watcher->costs = has_costs ? stream->costs.version : watcher->costs;
    watcher->line = stream->lines->last;
    if (berth_http_write(watcher->request, json->bytes, json->length) != BERTH_RESOURCE_EXHAUSTED)
        return;
    watcher->status = before.status;
    watcher->plugins = before.plugins;
    watcher->costs = before.costs;
    watcher->line = before.line;
}

static void send_news(struct stream *stream, struct watcher *watcher, bool has_costs)
{
    struct berth_json_writer json = {0};

    if (!berth_http_can_write(watcher->request))
        return;
    put_news(stream, watcher, has_costs, &json);
    if (json.failed) {
        berth_json_finish(&json);
        berth_json_raw(&json, "event: trouble\ndata: {}\n\n", 25);
    }
    if (!json.failed && json.length > 0)
        send_text(stream, watcher, has_costs, &json);
    berth_json_finish(&json);
}

/* A write may end the request, and on_end unlinks its watcher. */
static void send_to_all(struct stream *stream, bool has_costs)
{
    struct watcher *watcher = LIST_FIRST(&stream->watchers);

    while (watcher != NULL) {
        struct watcher *next = LIST_NEXT(watcher, link);

        send_news(stream, watcher, has_costs);
        watcher = next;
    }
}

static uint64_t hash_residents(uint64_t seed, const struct berth_daemon_info *daemon)
{
    size_t total = BERTH_HAS(daemon, resident_count) ? daemon->resident_count : 0;

    for (size_t i = 0; i < total; i++)
        seed = hash_text(hash_text(seed, daemon->residents[i].path), daemon->residents[i].reason);
    return seed;
}

/* The uptime alone is no news. */
static void look_at_status(struct stream *stream)
{
    const struct berth_inspect *inspect = stream->host->inspect;
    const uint64_t numbers[] = {inspect->daemon->ready, inspect->daemon->draining, inspect->daemon->ready_ns,
                                stream->plugins.version};
    uint64_t content = hash_residents(hash(HASH_SEED, numbers, sizeof(numbers)), inspect->daemon);

    if (content == stream->status_content)
        return;
    stream->status_content = content;
    stream->status_version++;
    berth_json_finish(&stream->status);
    begin_event(&stream->status, "status");
    report_status(&stream->status, inspect);
    end_event(&stream->status);
}

/* What one round found is kept no longer: most of the time nobody is behind. */
static void forget(struct stream *stream)
{
    berth_json_finish(&stream->plugins.news);
    berth_json_finish(&stream->plugins.past);
    berth_json_finish(&stream->costs.news);
    berth_json_finish(&stream->costs.past);
    berth_json_finish(&stream->daemon);
}

static void run_round(struct stream *stream, bool has_costs)
{
    const struct berth_inspect *inspect = stream->host->inspect;
    uint64_t start = uv_hrtime();

    note_who_is_behind(stream);
    stream->plugins.before = stream->plugins.version;
    if (stream->is_outdated || stream->plugins.oldest != UINT64_MAX)
        look(inspect, &stream->plugins, visit_plugins);
    stream->is_outdated = false;
    if (has_costs) {
        look(inspect, &stream->costs, visit_costs);
        report_daemon_costs(&stream->daemon, "daemon", inspect);
        stream->lacks_costs = false;
    }
    look_at_status(stream);
    send_to_all(stream, has_costs);
    forget(stream);
    stream->round_ns = uv_hrtime() - start;
}

/* Not before the loop has had time for others. */
static uint64_t delay_ms(const struct stream *stream, uint64_t least_ms)
{
    uint64_t rest_ms = stream->round_ns * ROUND_SHARE / 1000000;

    return rest_ms > least_ms ? rest_ms : least_ms;
}

static void on_change_time(uv_timer_t *timer)
{
    struct stream *stream = timer->data;

    run_round(stream, stream->lacks_costs);
}

static void on_interval(uv_timer_t *timer)
{
    struct stream *stream = timer->data;

    run_round(stream, true);
    if (stream->watcher_count > 0)
        uv_timer_start(timer, on_interval, delay_ms(stream, stream->interval_ms), 0);
}

static void send_soon(struct stream *stream, uint64_t least_ms)
{
    if (!uv_is_active((uv_handle_t *)&stream->change_timer))
        uv_timer_start(&stream->change_timer, on_change_time, delay_ms(stream, least_ms), 0);
}

static void on_change(void *context)
{
    struct stream *stream = context;

    stream->is_outdated = true;
    send_soon(stream, CHANGE_DELAY_MS);
}

void stream_lines_added(struct stream *stream)
{
    if (stream->watcher_count > 0)
        send_soon(stream, CHANGE_DELAY_MS);
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
        uv_timer_start(&stream->interval_timer, on_interval, stream->interval_ms, 0);
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
    /* What changed while nobody watched was not noticed. */
    stream->is_outdated = stream->is_outdated || stream->watch == NULL;
    start_watching(stream);
    berth_http_begin(request, 200, headers, count, -1);
    stream->lacks_costs = true;
    send_soon(stream, stream->watcher_count == 1 ? 0 : CHANGE_DELAY_MS);
    return STREAM_ACCEPTED;
}

void stream_on_writable(struct stream *stream)
{
    send_soon(stream, 0);
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

    stream->is_draining = berth_is_stopping(stream->host);
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
    berth_json_finish(&stream->status);
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
