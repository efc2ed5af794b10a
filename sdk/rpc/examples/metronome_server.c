/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A streaming server with typed handlers generated from metronome.proto: metronome_server
 * ADDRESS-OF-A-UNIX-SOCKET
 */
#include <stdio.h>
#include <stdlib.h>

#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#include "metronome.berth.h"

/* One caller who listens. */
struct listener {
    uv_timer_t timer;
    struct berth_call *call;
    uint32_t sent;
    uint32_t beats;
};

static uv_loop_t *loop_of(struct berth_call *call)
{
    return call->instance;
}

static void on_beat(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    Example__Beat beat = EXAMPLE__BEAT__INIT;

    if (listener->sent == listener->beats) {
        berth_call_finish(listener->call, BERTH_OK, NULL);
        return;
    }
    /* A caller that does not read misses beats; they are not queued. */
    beat.number = ++listener->sent;
    beat.at_ms = uv_now(timer->loop);
    if (berth_call_can_send(listener->call))
        example_metronome_listen_send(listener->call, &beat);
}

static void listen_to_it(struct berth_call *call, const Example__ListenRequest *request)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    if (listener == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    listener->call = call;
    listener->beats = request->beats;
    call->state = listener;
    uv_timer_init(loop_of(call), &listener->timer);
    listener->timer.data = listener;
    uv_timer_start(&listener->timer, on_beat, 0, request->interval_ms > 0 ? request->interval_ms : 1);
}

static void free_listener(uv_handle_t *timer)
{
    free(timer->data);
}

/* Called for every call, even if the caller disconnected. */
static void end_listening(struct berth_call *call, enum berth_code code)
{
    struct listener *listener = call->state;

    (void)code;
    if (listener != NULL)
        uv_close((uv_handle_t *)&listener->timer, free_listener);
}

struct taps {
    uint32_t beats;
    uint64_t first_ms;
    uint64_t last_ms;
};

static void start_tapping(struct berth_call *call)
{
    call->state = calloc(1, sizeof(struct taps));
    if (call->state == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "out of memory");
}

static void tap(struct berth_call *call, const Example__Beat *beat)
{
    struct taps *taps = call->state;

    if (taps->beats++ == 0)
        taps->first_ms = beat->at_ms;
    taps->last_ms = beat->at_ms;
}

static void tell_tempo(struct berth_call *call)
{
    const struct taps *taps = call->state;
    Example__Tempo tempo = EXAMPLE__TEMPO__INIT;

    if (taps->beats < 2 || taps->last_ms <= taps->first_ms) {
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "a tempo takes two taps, one after the other");
        return;
    }
    tempo.beats = taps->beats;
    tempo.per_minute = (taps->beats - 1) * 60000.0 / (double)(taps->last_ms - taps->first_ms);
    example_metronome_tap_reply(call, &tempo);
}

static void end_tapping(struct berth_call *call, enum berth_code code)
{
    (void)code;
    free(call->state);
}

static const struct example_metronome_handlers handlers = {
    .listen = {.on_message = listen_to_it, .on_end = end_listening},
    .tap = {.on_start = start_tapping, .on_message = tap, .on_half_close = tell_tempo, .on_end = end_tapping},
};

static const struct berth_service service = EXAMPLE_METRONOME_SERVICE(&handlers);

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    const struct berth_rpc_service_entry entry = {.service = &service, .instance = loop};
    struct berth_rpc_unix_options where = {.size = sizeof(where)};
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    struct berth_error err;

    if (argc != 2) {
        fprintf(stderr, "usage: metronome_server SOCKET\n");
        return 2;
    }
    where.path = argv[1];
    if (berth_rpc_services_create(&entry, 1, &services, &err) != BERTH_OK ||
        berth_rpc_server_create(loop, NULL, berth_rpc_services_router(services), &server, &err) != BERTH_OK ||
        berth_rpc_server_listen_unix(server, &where, &err) != BERTH_OK) {
        fprintf(stderr, "metronome_server: %s\n", err.message);
        return 1;
    }
    printf("listening on %s\n", argv[1]);
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
