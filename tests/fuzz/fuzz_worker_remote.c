/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One side of the calls of interfaces across processes, whose other side sends anything: the same code is the
 * daemon's and the worker's. The input is a row of steps: what to do, a length, and as many bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <core/remote/remote.h>

#define LATER_MAX 64

static struct channel channel;
static struct remote_wire wire;
static struct remote_caller caller, server;
static struct berth_remote_peer *provider, *other;
/* Calls that the provider has accepted and not ended. */
static struct berth_remote_reply *later[LATER_MAX];
static size_t later_count;
static struct berth_remote_call *last;
static size_t begun, ended;
static bool is_closed;

static enum berth_code serve(const void *table, void *instance, uint32_t method, const void *bytes,
                             size_t length, struct berth_remote_reply *reply, void **ret_handle,
                             struct berth_error *err)
{
    assert(length <= BERTH_REMOTE_MAX);
    if (method % 4 == 0)
        return berth_error_set(err, BERTH_NOT_FOUND, "no such method");
    *ret_handle = reply;
    if (method % 4 == 1 || later_count == LATER_MAX)
        reply->end(reply, BERTH_OK, bytes, length, NULL);
    else
        later[later_count++] = reply;
    return BERTH_OK;
}

static void end_one(size_t place, enum berth_code code)
{
    struct berth_remote_reply *reply = later[place];

    later[place] = later[--later_count];
    reply->end(reply, code, "reply", 5, "message");
}

/* At once, though it should be later. */
static void on_cancel(const void *table, void *instance, void *handle)
{
    for (size_t i = 0; i < later_count; i++)
        if (later[i] == handle) {
            end_one(i, BERTH_CANCELLED);
            return;
        }
    assert(false);
}

static const struct berth_remote remote = {
    .size = sizeof(remote), .interface = "x", .serve = serve, .cancel = on_cancel};

static struct berth_remote_peer *find(struct remote_wire *unused, uint32_t number)
{
    return number == 0 ? provider : number == 1 ? other : NULL;
}

static void on_end(const void *context, enum berth_code code, const void *reply, size_t length,
                   const char *message)
{
    uint64_t number;

    memcpy(&number, context, sizeof(number));
    assert(number < begun && code <= BERTH_UNAUTHENTICATED && strlen(message) < BERTH_ERROR_MAX);
    assert(length <= BERTH_REMOTE_MAX && (code == BERTH_OK || length == 0));
    ended++;
    last = NULL;
}

static void begin_call(uint32_t timeout_ms)
{
    const uint64_t number = begun;
    const struct berth_remote_request request = {.size = sizeof(request),
                                                 .timeout_ms = timeout_ms,
                                                 .bytes = "ask",
                                                 .length = 3,
                                                 .on_end = on_end,
                                                 .context = &number,
                                                 .context_length = sizeof(number)};
    struct berth_error error;

    begun++;
    if (other->start(other, &request, &last, &error) != BERTH_OK)
        begun--;
}

static void step(uint8_t what, const uint8_t *bytes, size_t length)
{
    static const enum packet_type types[] = {PACKET_REMOTE_CALL, PACKET_REMOTE_REPLY, PACKET_REMOTE_CANCEL};
    struct packet packet = {.body = bytes, .length = length};
    struct packet_reader reader;

    switch (what % 8) {
    case 3:
        begin_call(length == 0 ? 1 : 0);
        break;
    case 4:
        if (last != NULL)
            other->cancel(other, last);
        break;
    case 5:
        if (later_count > 0)
            end_one(length % later_count, (enum berth_code)(length % 17));
        break;
    case 6:
        remote_wire_tick(&wire);
        break;
    case 7:
        remote_wire_end(&wire, "its process ended");
        break;
    default:
        packet.type = types[what % 8];
        packet_reader_init(&reader, &packet);
        remote_wire_take(&wire, &packet, &reader);
        break;
    }
}

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char sink[65536];
    uv_loop_t loop;
    int pair[2];

    channel = (struct channel){.on_packet = on_packet, .on_broken = on_broken};
    wire = (struct remote_wire){.channel = &channel, .plugin = 1, .find = find};
    caller = server = (struct remote_caller){0};
    later_count = begun = ended = 0;
    last = NULL;
    assert(uv_loop_init(&loop) == 0);
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    assert(channel_open(&channel, &loop, pair[0]) == 0);
    provider = remote_caller_local(&server, &remote, "table", NULL);
    other = remote_caller_peer(&caller, &wire, 0);
    assert(provider != NULL && other != NULL);
    while (size >= 2 && !channel.is_broken) {
        size_t length = data[1] < size - 2 ? data[1] : size - 2;

        step(data[0], data + 2, length);
        data += 2 + length;
        size -= 2 + length;
        uv_run(&loop, UV_RUN_NOWAIT);
        while (recv(pair[1], sink, sizeof(sink), MSG_DONTWAIT) > 0)
            ;
    }
    remote_wire_end(&wire, "its process ended");
    remote_caller_close(&caller, true);
    assert(begun == ended && wire.calls.count == 0 && wire.served_count == 0);
    while (later_count > 0)
        end_one(0, BERTH_OK);
    remote_caller_finish(&caller);
    remote_caller_finish(&server);
    remote_wire_finish(&wire);
    is_closed = false;
    channel_close(&channel, on_closed);
    while (!is_closed)
        uv_run(&loop, UV_RUN_ONCE);
    close(pair[1]);
    assert(uv_loop_close(&loop) == 0);
    return 0;
}
