/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon whose worker says anything about its calls. The input is a row of records: what to do, for which
 * call, and a body. Packets reach the forwarding side as the channel would hand them over.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <core/crossing/forward.h>
#include <sdk/calls/router.h>

#define CALLS 8

struct berth_stream {
    struct berth_call *call;
    bool is_open;
};

static struct berth_stream streams[CALLS];
static struct forward forward;
static struct channel channel;
static bool is_closed;

static enum berth_code on_send(struct berth_stream *stream, const void *message, size_t length)
{
    return length > 4096 ? BERTH_RESOURCE_EXHAUSTED : BERTH_OK;
}

static bool can_send(struct berth_stream *stream)
{
    return true;
}

static enum berth_code on_pair(struct berth_stream *stream, const char *key, const void *value, size_t length)
{
    assert(strlen(key) < 1u << 20 && (length == 0 || value != NULL));
    return BERTH_OK;
}

static enum berth_code on_headers(struct berth_stream *stream)
{
    return BERTH_OK;
}

static void on_finish(struct berth_stream *stream, enum berth_code code, const char *message,
                      const void *details, size_t length)
{
    assert(stream->is_open && code <= BERTH_UNAUTHENTICATED);
    stream->is_open = false;
}

static void on_flow(struct berth_stream *stream)
{
}

static const struct berth_stream_ops operations = {
    .size = sizeof(operations),
    .send = on_send,
    .can_send = can_send,
    .add_header = on_pair,
    .add_trailer = on_pair,
    .send_headers = on_headers,
    .finish = on_finish,
    .pause = on_flow,
    .resume = on_flow,
};

static void on_packet(struct channel *unused, const struct packet *packet)
{
}

static void on_broken(struct channel *unused, const char *reason)
{
    assert(reason[0] != '\0');
}

static void on_closed(struct channel *unused)
{
    is_closed = true;
}

static void open_call(const struct berth_router *router, size_t i, const char *path)
{
    const struct berth_call_request request = {.size = sizeof(request),
                                               .path = path,
                                               .transport = "test",
                                               .stream = &streams[i],
                                               .stream_ops = &operations};

    streams[i].is_open = true;
    streams[i].call = router->open(router, &request);
}

/* The number of the call in a slot; one that is not in use otherwise. */
static uint32_t number_of(size_t i)
{
    return i < forward.remotes.capacity && numbers_at(&forward.remotes, i) != NULL
               ? forward.remotes.slots[i].number
               : 0x7fff0000u | (uint32_t)i;
}

static void act(const struct berth_router *router, const uint8_t *record, const uint8_t *body, size_t length)
{
    size_t i = record[1] % CALLS;
    const struct packet packet = {.type = (enum packet_type)(record[0] % PACKET_TYPES),
                                  .flags = record[2],
                                  .call = number_of(i),
                                  .body = body,
                                  .length = length};

    if (record[0] == 0xff && !streams[i].is_open)
        open_call(router, i, record[2] & 1 ? "/s/U" : "/s/B");
    else if (record[0] == 0xfe && streams[i].is_open && streams[i].call != NULL)
        router->deliver(streams[i].call, body, length);
    else if (record[0] == 0xfd && streams[i].is_open && streams[i].call != NULL)
        router->half_close(streams[i].call);
    else if (record[0] == 0xfc && streams[i].is_open && streams[i].call != NULL) {
        streams[i].is_open = false;
        router->cancel(streams[i].call, BERTH_CANCELLED);
    } else if (record[0] == 0xfb)
        forward_hold(&forward, "restarts");
    else if (record[0] == 0xfa)
        forward_open(&forward);
    else if (!channel.is_broken)
        forward_take(&forward, &packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct manifest_method methods[] = {{"U", BERTH_METHOD_UNARY},
                                                     {"B", BERTH_METHOD_BIDI_STREAM}};
    static const struct manifest_service described = {.name = "s", .methods = methods, .method_count = 2};
    struct berth_service *service = forward_create_service(&described);
    struct router *router = router_create();
    const struct berth_router *calls = router_interface(router);
    uv_loop_t loop;
    int pair[2];

    memset(streams, 0, sizeof(streams));
    channel = (struct channel){.on_packet = on_packet, .on_broken = on_broken};
    forward = (struct forward){.channel = &channel, .uri = "p"};
    assert(uv_loop_init(&loop) == 0);
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    assert(channel_open(&channel, &loop, pair[0]) == 0);
    assert(router_provide(router, "p", service, &forward, NULL) == BERTH_OK);
    forward_open(&forward);
    while (size >= 4) {
        size_t length = data[3] < size - 4 ? data[3] : size - 4;

        act(calls, data, data + 4, length);
        data += 4 + length;
        size -= 4 + length;
    }
    forward_close(&forward, "the end");
    for (size_t i = 0; i < CALLS; i++)
        assert(!streams[i].is_open);
    assert(forward.remotes.count == 0);
    forward_finish(&forward);
    is_closed = false;
    channel_close(&channel, on_closed);
    while (!is_closed)
        uv_run(&loop, UV_RUN_ONCE);
    close(pair[1]);
    assert(uv_loop_close(&loop) == 0);
    router_destroy(router);
    forward_free_service(service);
    return 0;
}
