/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon with HTTP requests to a worker that answers anything. The input is a row of what happens to one of
 * three requests: what, which, two bytes of length, bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sdk/base/container_of.h>

#include <core/crossing/crossing.h>

#define REQUESTS 3

/* As a server has it. */
struct request {
    struct berth_http_request base;
    uint32_t number;
    bool is_there, has_begun, has_ended, is_full;
};

static struct request requests[REQUESTS];
static struct crossing crossing;
static struct channel channel;
static unsigned open_parts;

static struct request *of_base(struct berth_http_request *base)
{
    return CONTAINER_OF(base, struct request, base);
}

static enum berth_code begin(struct berth_http_request *base, unsigned status,
                             const struct berth_http_header *headers, size_t count, int64_t length)
{
    struct request *request = of_base(base);

    assert(request->is_there && length >= -1);
    for (size_t i = 0; i < count; i++)
        assert(strlen(headers[i].name) + strlen(headers[i].value) < PACKET_BODY_MAX);
    if (request->has_begun || status < 200 || status > 599)
        return BERTH_INVALID_ARGUMENT;
    request->has_begun = true;
    return BERTH_OK;
}

static enum berth_code write_part(struct berth_http_request *base, const void *bytes, size_t length)
{
    struct request *request = of_base(base);

    assert(request->is_there && bytes != NULL);
    if (!request->has_begun || request->has_ended)
        return BERTH_FAILED_PRECONDITION;
    return request->is_full ? BERTH_RESOURCE_EXHAUSTED : BERTH_OK;
}

static bool can_write(struct berth_http_request *base)
{
    assert(of_base(base)->is_there);
    return !of_base(base)->is_full;
}

static void end(struct berth_http_request *base)
{
    assert(of_base(base)->is_there);
    of_base(base)->has_ended = true;
}

static const struct berth_http_ops operations = {.size = sizeof(operations),
                                                 .begin = begin,
                                                 .write = write_part,
                                                 .can_write = can_write,
                                                 .end = end,
                                                 .abort = end};

static void on_packet(struct channel *unused, const struct packet *packet)
{
}

static void on_broken(struct channel *unused, const char *reason)
{
    assert(reason[0] != '\0');
}

static void on_channel_closed(struct channel *unused)
{
    open_parts--;
}

static void on_crossing_closed(struct crossing *unused)
{
    open_parts--;
}

/* The worker reads all that is sent to it. @return the number of the last request in it; 0: there is none. */
static uint32_t read_all(uv_loop_t *loop, int fd)
{
    static uint8_t bytes[4u << 20];
    size_t length = 0, needed;
    uint32_t number = 0;
    struct packet packet;
    ssize_t got;

    do {
        uv_run(loop, UV_RUN_NOWAIT);
        got = recv(fd, bytes + length, sizeof(bytes) - length, MSG_DONTWAIT);
        length += got > 0 ? (size_t)got : 0;
    } while (got > 0 || channel_queued(&channel) > 0);
    for (size_t at = 0; at < length; at += needed) {
        assert(packet_parse(bytes + at, length - at, &packet, &needed) == PACKET_WHOLE);
        if (packet.type == PACKET_CALL)
            number = packet.call;
    }
    return number;
}

static void open_request(struct request *request, uv_loop_t *loop, int fd)
{
    static const char body[PACKET_WINDOW + 100000];
    static const struct berth_peer peer = {.size = sizeof(peer), .address = "a"};
    static const struct berth_http_header header = {"host", "h"};

    *request = (struct request){
        .base = {.size = sizeof(request->base),
                 .ops = &operations,
                 .method = "POST",
                 .path = "/x/y",
                 .rest = "/y",
                 .query = "",
                 .headers = &header,
                 .header_count = 1,
                 .body = body,
                 .body_length = request == requests ? sizeof(body) : 100,
                 .peer = &peer,
                 .instance = &crossing.forward},
        .is_there = true,
    };
    crossing.http.handler.on_request(&request->base);
    request->number = read_all(loop, fd);
}

static void close_request(struct request *request)
{
    if (request->is_there)
        crossing.http.handler.on_end(&request->base);
    request->is_there = false;
}

static void ask_to_begin(const struct request *request, const uint8_t *data, size_t length)
{
    const uint32_t number = 1;
    const uint8_t kind = ASK_HTTP_BEGIN;
    uint8_t *body = malloc(9 + length);
    struct packet packet = {.type = PACKET_ASK, .body = body, .length = 9 + length};

    assert(body != NULL);
    memcpy(body, &number, 4);
    memcpy(body + 4, &kind, 1);
    memcpy(body + 5, &request->number, 4);
    memcpy(body + 9, data, length);
    crossing_take(&crossing, &packet);
    free(body);
}

static void happen(uint8_t what, struct request *request, const uint8_t *data, size_t length, uv_loop_t *loop,
                   int fd)
{
    struct packet packet = {.flags = PACKET_HTTP | (what >> 7), .call = request->number, .body = data};

    packet.length = length;
    switch (what % 8) {
    case 0:
        ask_to_begin(request, data, length);
        break;
    case 1:
        packet.type = PACKET_MESSAGE;
        crossing_take(&crossing, &packet);
        break;
    case 2:
        packet.type = PACKET_CREDIT;
        crossing_take(&crossing, &packet);
        break;
    case 3:
        packet.type = PACKET_END;
        crossing_take(&crossing, &packet);
        break;
    case 4:
        if (request->is_there)
            close_request(request);
        else
            open_request(request, loop, fd);
        break;
    case 5:
        request->is_full = !request->is_full;
        if (request->is_there && !request->is_full)
            crossing.http.handler.on_writable(&request->base);
        break;
    case 6:
        if (crossing.forward.state == FORWARD_OPEN)
            forward_hold(&crossing.forward, "it is gone");
        else
            forward_open(&crossing.forward);
        break;
    case 7:
        packet.call = 0;
        packet.flags = 0;
        packet.type = PACKET_HTTP_HANDLER;
        crossing_take(&crossing, &packet);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct manifest_plugin plugin = {.uri = "io.berth.http.v1.x",
                                                  .type = "io.berth.http.v1",
                                                  .interface = "berth_http",
                                                  .http_prefix = "/x"};
    static const struct berth_host host = {.size = sizeof(host), .uri = "io.berth.http.v1.x"};
    uv_loop_t loop;
    int pair[2];

    channel = (struct channel){.on_packet = on_packet, .on_broken = on_broken};
    crossing = (struct crossing){.plugin = &plugin, .channel = &channel, .number = 1};
    assert(uv_loop_init(&loop) == 0);
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    assert(channel_open(&channel, &loop, pair[0]) == 0);
    crossing_init(&crossing);
    crossing_begin(&crossing, &host);
    crossing_open(&crossing, &loop);
    forward_open(&crossing.forward);
    for (size_t i = 0; i < REQUESTS; i++)
        open_request(&requests[i], &loop, pair[1]);
    while (size >= 4 && !channel.is_broken) {
        size_t length = (size_t)data[2] << 8 | data[3];

        length = length < size - 4 ? length : size - 4;
        happen(data[0], &requests[data[1] % REQUESTS], data + 4, length, &loop, pair[1]);
        read_all(&loop, pair[1]);
        data += 4 + length;
        size -= 4 + length;
    }
    forward_close(&crossing.forward, "closed");
    for (size_t i = 0; i < REQUESTS; i++) {
        assert(!requests[i].is_there || requests[i].has_ended);
        close_request(&requests[i]);
    }
    assert(crossing.http.remotes.count == 0 && crossing.http.held == 0 && crossing.http.bytes == 0);
    crossing_end(&crossing);
    open_parts = 2;
    crossing_close(&crossing, on_crossing_closed);
    channel_close(&channel, on_channel_closed);
    while (open_parts > 0)
        uv_run(&loop, UV_RUN_ONCE);
    crossing_finish(&crossing);
    close(pair[1]);
    assert(uv_loop_close(&loop) == 0);
    return 0;
}
