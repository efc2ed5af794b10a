/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listens to a metronome and taps along: metronome_client ADDRESS BEATS INTERVAL-MS. Typed calls generated
 * from metronome.proto.
 */
#include <stdio.h>
#include <stdlib.h>

#include <berth/rpc/client.h>

#include "metronome.client.h"

struct program {
    struct berth_rpc_channel *channel;
    struct berth_rpc_call *tapping;
    enum berth_code code;
};

static void on_tempo(void *context, struct berth_rpc_call *call, const Example__Tempo *tempo)
{
    (void)context, (void)call;
    printf("%u beats, %.1f a minute\n", tempo->beats, tempo->per_minute);
}

static void on_tapped(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                      const struct berth_metadata *trailers, size_t count)
{
    struct program *program = context;

    (void)call, (void)trailers, (void)count;
    if (code != BERTH_OK)
        fprintf(stderr, "metronome_client: tapping: %s: %s\n", berth_code_name(code), message);
    program->code = code;
    berth_rpc_channel_close(program->channel, NULL, NULL);
}

static void on_beat(void *context, struct berth_rpc_call *call, const Example__Beat *beat)
{
    struct program *program = context;

    (void)call;
    printf("beat %u\n", beat->number);
    example_metronome_tap_send_request(program->tapping, beat);
}

static void on_silence(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                       const struct berth_metadata *trailers, size_t count)
{
    struct program *program = context;

    (void)call, (void)trailers, (void)count;
    if (code == BERTH_OK)
        berth_rpc_call_half_close(program->tapping);
    else
        berth_rpc_call_fail(program->tapping, code, message);
}

static const struct example_metronome_tap_events tap_events = {.on_message = on_tempo, .on_end = on_tapped};
static const struct example_metronome_listen_events listen_events = {.on_message = on_beat,
                                                                     .on_end = on_silence};

int main(int argc, char **argv)
{
    struct berth_rpc_channel_options where = {.size = sizeof(where), .connect_attempts = 10};
    Example__ListenRequest request = EXAMPLE__LISTEN_REQUEST__INIT;
    struct program program = {.code = BERTH_UNKNOWN};
    struct berth_error err;

    if (argc != 4) {
        fprintf(stderr, "usage: metronome_client ADDRESS BEATS INTERVAL-MS\n");
        return 2;
    }
    where.address = argv[1];
    request.beats = (uint32_t)atoi(argv[2]);
    request.interval_ms = (uint32_t)atoi(argv[3]);
    if (berth_rpc_channel_create(uv_default_loop(), &where, &program.channel, &err) != BERTH_OK ||
        example_metronome_tap_start(program.channel, NULL, &tap_events, &program, &program.tapping, &err) !=
            BERTH_OK ||
        example_metronome_listen_start(program.channel, NULL, &request, &listen_events, &program, NULL,
                                       &err) != BERTH_OK) {
        fprintf(stderr, "metronome_client: %s\n", err.message);
        return 1;
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return program.code == BERTH_OK ? 0 : 1;
}
