/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon whose worker says anything about the calls that it makes. The input is a row of records: a type,
 * flags, a call and the length of the body; the loop turns behind each.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <core/crossing/requests.h>
#include <sdk/calls/outgoing.h>
#include <sdk/calls/router.h>

#include "echo_service.h"

static struct outgoing_caller caller;
static bool is_closed, room_is_closed;

static enum berth_code start_outgoing(const struct berth_host *host,
                                      const struct berth_outgoing_options *options,
                                      const struct berth_outgoing_handlers *handlers, void *context,
                                      struct berth_outgoing **ret_call, struct berth_error *err)
{
    return outgoing_start(&caller, options, handlers, context, ret_call, err);
}

static void on_packet(struct channel *channel, const struct packet *packet)
{
}

static void on_broken(struct channel *channel, const char *reason)
{
    assert(reason[0] != '\0');
}

static void on_closed(struct channel *channel)
{
    is_closed = true;
}

static void on_room_closed(void *context)
{
    room_is_closed = true;
}

/* A call that can be read, to a method that exists, more often than chance would have it. */
static void open_call(struct requests *requests, const uint8_t *record)
{
    struct packet_writer writer = {0};
    struct packet packet;
    size_t bytes;

    packet_begin(&writer, PACKET_CALL, PACKET_OUTGOING, 0x10000u | record[2] % 8);
    packet_put_text(&writer, record[1] & 1 ? "/s/U" : "/s/B");
    packet_put_u64(&writer, record[1] & 2 ? 1 : 0);
    packet_put_u32(&writer, 1);
    packet_put_text(&writer, "traceparent");
    packet_put_bytes(&writer, "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", 55);
    packet_end(&writer);
    assert(!writer.is_bad && packet_parse(writer.bytes, writer.length, &packet, &bytes) == PACKET_WHOLE);
    requests_take(requests, &packet);
    packet_writer_finish(&writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct berth_host host = {.size = sizeof(host), .start_outgoing = start_outgoing};
    struct channel channel = {.on_packet = on_packet, .on_broken = on_broken};
    struct requests requests = {.channel = &channel, .host = &host};
    struct router *router = router_create();
    struct outgoings room;
    uv_loop_t loop;
    int pair[2];

    assert(router != NULL && uv_loop_init(&loop) == 0);
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    assert(channel_open(&channel, &loop, pair[0]) == 0);
    outgoings_init(&room, router, &loop, 4);
    outgoing_caller_init(&caller, &room, "p", NULL);
    assert(router_provide(router, "p", &echo_service, NULL, NULL) == BERTH_OK);
    while (size >= 4 && !channel.is_broken) {
        size_t length = data[3] < size - 4 ? data[3] : size - 4;
        const struct packet packet = {.type = (enum packet_type)(data[0] % PACKET_TYPES),
                                      .flags = data[1],
                                      .call = 0x10000u | data[2] % 8,
                                      .body = data + 4,
                                      .length = length};

        if (data[0] == 0xff)
            open_call(&requests, data);
        else if (data[0] == 0xfe)
            requests_end(&requests);
        else
            requests_take(&requests, &packet);
        uv_run(&loop, UV_RUN_NOWAIT);
        data += 4 + length;
        size -= 4 + length;
    }
    requests_end(&requests);
    assert(requests.calls.count == 0 && requests.bytes == 0);
    outgoing_caller_close(&caller, true);
    outgoing_caller_finish(&caller);
    requests_finish(&requests);
    is_closed = room_is_closed = false;
    outgoings_close(&room, on_room_closed, NULL);
    channel_close(&channel, on_closed);
    while (!is_closed || !room_is_closed)
        uv_run(&loop, UV_RUN_ONCE);
    close(pair[1]);
    assert(uv_loop_close(&loop) == 0);
    router_destroy(router);
    return 0;
}
