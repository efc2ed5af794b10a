/* SPDX-License-Identifier: Apache-2.0 */
/* Hands each packet of a worker to the file of its kind. */
#include "crossing.h"

#include <stdlib.h>

#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "kinds.h"

/* By the type of a packet that belongs to no call; NULL where only the daemon sends it. */
static void (*const takers[])(struct crossing *crossing, const struct packet *packet,
                              struct packet_reader *reader) = {
    [PACKET_LOG] = log_take,
    [PACKET_EXPORT] = published_take,
    [PACKET_PLATFORM] = published_take,
    [PACKET_CAPABILITY] = published_take,
    [PACKET_HOLD] = holds_take,
    [PACKET_RELEASE] = holds_take,
    [PACKET_REPORT] = conditions_take,
    [PACKET_FAIL] = conditions_take,
    [PACKET_DESCRIPTORS] = descriptors_take,
    [PACKET_STATE] = state_take,
    [PACKET_SPAN] = spans_take,
    [PACKET_HTTP_HANDLER] = http_take_handler,
    [PACKET_ASK] = asked_take,
    [PACKET_EVENTS_CREDIT] = events_take_credit,
    [PACKET_STORE_COMMIT] = store_take,
    [PACKET_METRICS] = metrics_take,
    [PACKET_REMOTE_CALL] = remote_take,
    [PACKET_REMOTE_REPLY] = remote_take,
    [PACKET_REMOTE_CANCEL] = remote_take,
};

/* What a worker had, by the kinds that keep something for it. */
static void (*const enders[])(struct crossing *crossing) = {
    holds_end, conditions_end, metrics_end, log_end, events_end, spans_end, used_end,
};

static void on_forward_change(struct forward *forward)
{
    http_follow(CONTAINER_OF(forward, struct crossing, forward));
}

void crossing_init(struct crossing *crossing)
{
    const struct manifest_plugin *plugin = crossing->plugin;

    crossing->services = memory_allocate(plugin->service_count + 1, sizeof(*crossing->services));
    crossing->service_count = plugin->service_count;
    for (size_t i = 0; i < plugin->service_count; i++)
        crossing->services[i] = memory_or_abort(forward_create_service(&plugin->services[i]));
    crossing->forward.uri = plugin->uri;
    crossing->forward.on_change = on_forward_change;
    http_init(crossing);
    remote_init(crossing);
}

void crossing_finish(struct crossing *crossing)
{
    for (size_t i = 0; i < crossing->service_count; i++)
        forward_free_service(crossing->services[i]);
    free(crossing->services);
    metrics_forget(crossing);
    forward_finish(&crossing->forward);
    http_finish(crossing);
    requests_finish(&crossing->requests);
    remote_finish(crossing);
}

void crossing_begin(struct crossing *crossing, const struct berth_host *host)
{
    metrics_forget(crossing);
    crossing->makes_no_spans = false;
    crossing->host = crossing->requests.host = host;
    crossing->requests.channel = crossing->channel;
    crossing->forward.channel = crossing->remote.channel = crossing->channel;
    crossing->requests.number = crossing->forward.number = crossing->remote.plugin = crossing->number;
}

static void on_tick(uv_timer_t *timer)
{
    struct crossing *crossing = CONTAINER_OF(timer, struct crossing, tick);
    bool logs = log_tick(crossing), reports = conditions_tick(crossing), calls = remote_tick(crossing);

    if (!logs && !reports && !calls)
        uv_timer_stop(timer);
}

static void on_tick_closed(uv_handle_t *handle)
{
    struct crossing *crossing = CONTAINER_OF((uv_timer_t *)handle, struct crossing, tick);

    crossing->on_closed(crossing);
}

static void rest(struct crossing *crossing)
{
    if (!crossing->is_closing || crossing->changes > 0)
        return;
    crossing->is_closing = false;
    uv_close((uv_handle_t *)&crossing->tick, on_tick_closed);
}

void crossing_open(struct crossing *crossing, uv_loop_t *loop)
{
    uv_timer_init(loop, &crossing->tick);
    uv_unref((uv_handle_t *)&crossing->tick);
    crossing->on_tick = on_tick;
    crossing->on_change_ended = rest;
}

void crossing_close(struct crossing *crossing, void (*on_closed)(struct crossing *crossing))
{
    crossing->on_closed = on_closed;
    crossing->is_closing = true;
    rest(crossing);
}

void crossing_take(struct crossing *crossing, const struct packet *packet)
{
    struct packet_reader reader;

    packet_reader_init(&reader, packet);
    if (packet->call != 0 && (packet->flags & PACKET_OUTGOING) != 0)
        requests_take(&crossing->requests, packet);
    else if (packet->call != 0 && (packet->flags & PACKET_HTTP) != 0)
        http_take(crossing, packet);
    else if (packet->call != 0)
        forward_take(&crossing->forward, packet);
    else if (packet->type < sizeof(takers) / sizeof(takers[0]) && takers[packet->type] != NULL)
        takers[packet->type](crossing, packet, &reader);
    else
        channel_break(crossing->channel, "sent a packet of a kind that only the daemon sends");
}

void crossing_begin_close(struct crossing *crossing)
{
    spans_stop(crossing);
}

void crossing_end(struct crossing *crossing)
{
    for (size_t i = 0; i < sizeof(enders) / sizeof(enders[0]); i++)
        enders[i](crossing);
    uv_timer_stop(&crossing->tick);
    crossing->refused = 0;
    requests_end(&crossing->requests);
    remote_end(crossing);
}
