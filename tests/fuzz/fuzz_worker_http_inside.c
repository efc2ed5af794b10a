/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker whose daemon sends any HTTP requests, and answers anything when a response begins. The input is
 * what comes over the connection.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <berth/types/http.h>

#include <core/inside/table.h>

static struct process process;
static struct inside inside = {.process = &process, .number = 1};
static bool is_closed;
static unsigned handed_out, credits;

static void take(struct channel *channel, const struct packet *packet)
{
    /* Nobody reads meanwhile what the handler sends. */
    if (packet->call != 0 && (packet->type != PACKET_CREDIT || credits++ < 16))
        http_take(&inside, packet);
}

static void on_broken(struct channel *channel, const char *reason)
{
    assert(reason[0] != '\0');
}

static void on_closed(struct channel *channel)
{
    is_closed = true;
}

static void on_writable(struct berth_http_request *request)
{
    static const char block[100000];

    while (berth_http_can_write(request) && berth_http_write(request, block, sizeof(block)) == BERTH_OK)
        ;
    if (!berth_http_can_write(request))
        return;
    if (request->query[0] == 'a')
        berth_http_abort(request);
    else
        berth_http_end(request);
}

static void on_request(struct berth_http_request *request)
{
    unsigned sum = 0;

    handed_out++;
    for (size_t i = 0; i < request->body_length; i++)
        sum += ((const uint8_t *)request->body)[i];
    assert(sum <= 255 * request->body_length);
    assert(strlen(request->method) + strlen(request->path) + strlen(request->rest) < PACKET_BODY_MAX);
    for (size_t i = 0; i < request->header_count; i++)
        assert(request->headers[i].name != NULL && request->headers[i].value != NULL);
    if (berth_http_begin(request, 200, request->headers, request->header_count, -1) == BERTH_OK)
        on_writable(request);
    else
        berth_http_end(request);
}

static void on_end(struct berth_http_request *request)
{
    assert(handed_out-- > 0);
}

static const struct berth_http handler = {.size = sizeof(handler),
                                          .prefix = "/x",
                                          .methods = "GET",
                                          .on_request = on_request,
                                          .on_writable = on_writable,
                                          .on_end = on_end};
static const struct berth_plugin plugin = {.size = sizeof(plugin), .interface = &handler};
static const struct plugin_start start = {.type = "io.berth.http.v1", .http_prefix = "/x"};

static void begin_process(void)
{
    static bool has_begun;

    if (has_begun)
        return;
    has_begun = true;
    assert(uv_loop_init(&process.loop) == 0);
    process.thread = pthread_self();
    inside.plugin = &plugin;
    inside.start = &start;
    inside.table = (struct berth_host){.size = sizeof(inside.table), .uri = "a.v1.b", .loop = &process.loop};
    log_fill(&inside.table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2], room = 1 << 20;

    if (size > 1u << 16)
        return 0;
    begin_process();
    inside.questions = 0;
    credits = 0;
    process.channel = (struct channel){.on_packet = take, .on_broken = on_broken};
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    assert(channel_open(&process.channel, &process.loop, pair[0]) == 0);
    assert(send(pair[1], data, size, MSG_NOSIGNAL) == (ssize_t)size);
    shutdown(pair[1], SHUT_WR);
    for (int i = 0; i < 10 && !process.channel.is_broken; i++) {
        static char sink[1u << 20];

        uv_run(&process.loop, UV_RUN_NOWAIT);
        while (recv(pair[1], sink, sizeof(sink), MSG_DONTWAIT) > 0)
            ;
    }
    http_close(&inside);
    assert(handed_out == 0);
    is_closed = false;
    channel_close(&process.channel, on_closed);
    while (!is_closed)
        uv_run(&process.loop, UV_RUN_ONCE);
    close(pair[1]);
    return 0;
}
