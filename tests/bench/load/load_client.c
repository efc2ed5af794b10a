/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libberth-rpc's client as a load: so many calls, so many of them at a time, on so many connections.
 *
 *     load_client grpc|ttrpc ADDRESS PATH CALLS CONNECTIONS CALLS_AT_A_TIME [REQUEST_HEX]
 *     load_client write ADDRESS PATH MESSAGES BYTES
 *
 * It prints what a second brings, and after how long calls were answered.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/rpc/client.h>

#define CONNECTIONS_MAX 256
#define MESSAGE_MAX (64 * 1024 * 1024)

struct load {
    struct berth_rpc_channel *channels[CONNECTIONS_MAX];
    size_t channel_count;
    const char *path;
    unsigned char request[64];
    size_t request_length;
    size_t calls, started, ended;
    uint64_t *latencies_ns;
    uint64_t messages, bytes;
    uint64_t begin_ns;
    /** Of a call that writes: what each of its messages is, and how many are left. */
    unsigned char *chunk;
    size_t chunk_length, chunks_left;
};

struct one {
    struct load *load;
    struct berth_rpc_channel *channel;
    uint64_t begin_ns;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "load_client: %s: %s\n", what, why);
    exit(1);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        die("calloc", "no memory");
    return memory;
}

static void start(struct one *one);

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    struct one *one = context;

    one->load->messages++;
    one->load->bytes += length;
}

static void write_on(struct berth_rpc_call *call, struct load *load)
{
    while (load->chunks_left > 0 && berth_rpc_call_can_send(call)) {
        if (berth_rpc_call_send(call, load->chunk, load->chunk_length) != BERTH_OK)
            die(load->path, "a message cannot be sent");
        load->bytes += load->chunk_length;
        if (--load->chunks_left == 0)
            berth_rpc_call_half_close(call);
    }
}

static void on_writable(void *context, struct berth_rpc_call *call)
{
    write_on(call, ((struct one *)context)->load);
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct one *one = context;
    struct load *load = one->load;

    if (code != BERTH_OK)
        die(load->path, message);
    load->latencies_ns[load->ended++] = uv_hrtime() - one->begin_ns;
    if (load->started < load->calls) {
        start(one);
        return;
    }
    free(one);
    if (load->ended == load->calls)
        for (size_t i = 0; i < load->channel_count; i++)
            berth_rpc_channel_close(load->channels[i], NULL, NULL);
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers),
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

static void start(struct one *one)
{
    struct load *load = one->load;
    const struct berth_rpc_call_options options = {.size = sizeof(options), .path = load->path};
    struct berth_rpc_call *call;
    struct berth_error err;

    load->started++;
    one->begin_ns = uv_hrtime();
    if (berth_rpc_call_start(one->channel, &options, &handlers, one, &call, &err) != BERTH_OK)
        die(load->path, err.message);
    if (load->chunk != NULL) {
        write_on(call, load);
        return;
    }
    if (berth_rpc_call_send(call, load->request, load->request_length) != BERTH_OK)
        die(load->path, "the request cannot be sent");
    berth_rpc_call_half_close(call);
}

static void open_channels(struct load *load, uv_loop_t *loop, const char *address,
                          enum berth_rpc_protocol protocol)
{
    const struct berth_rpc_channel_options options = {
        .size = sizeof(options),
        .address = address,
        .max_recv_message_bytes = MESSAGE_MAX,
        .max_send_message_bytes = MESSAGE_MAX,
        .protocol = protocol,
    };
    struct berth_error err;

    for (size_t i = 0; i < load->channel_count; i++)
        if (berth_rpc_channel_create(loop, &options, &load->channels[i], &err) != BERTH_OK)
            die(address, err.message);
}

static void run(struct load *load, uv_loop_t *loop, size_t at_a_time)
{
    load->latencies_ns = allocate(load->calls, sizeof(*load->latencies_ns));
    load->begin_ns = uv_hrtime();
    for (size_t i = 0; i < at_a_time * load->channel_count && load->started < load->calls; i++) {
        struct one *one = allocate(1, sizeof(*one));

        *one = (struct one){.load = load, .channel = load->channels[i % load->channel_count]};
        start(one);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    if (load->ended != load->calls)
        die(load->path, "not all calls have ended");
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void report(const struct load *load)
{
    double seconds = (double)(uv_hrtime() - load->begin_ns) / 1e9;

    qsort(load->latencies_ns, load->calls, sizeof(*load->latencies_ns), by_size);
    printf("seconds=%.6f calls=%zu messages=%" PRIu64 " bytes=%" PRIu64 " p50_us=%.1f p99_us=%.1f\n", seconds,
           load->calls, load->messages, load->bytes, (double)load->latencies_ns[load->calls / 2] / 1e3,
           (double)load->latencies_ns[load->calls * 99 / 100] / 1e3);
}

static size_t number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*end != '\0' || value == 0)
        die(text, "is no number above 0");
    return value;
}

static void set_request(struct load *load, const char *hex)
{
    for (; *hex != '\0' && load->request_length < sizeof(load->request); hex += 2)
        if (sscanf(hex, "%2hhx", &load->request[load->request_length++]) != 1)
            die(hex, "is no hexadecimal");
}

/* berth.bench.v1.Chunk with so many bytes of data. */
static void set_chunk(struct load *load, size_t bytes)
{
    size_t left = bytes;

    load->chunk = allocate(bytes + 16, 1);
    load->chunk[load->chunk_length++] = 0x0a;
    for (; left > 0x7f; left >>= 7)
        load->chunk[load->chunk_length++] = (unsigned char)(left | 0x80);
    load->chunk[load->chunk_length++] = (unsigned char)left;
    load->chunk_length += bytes;
}

int main(int argc, char **argv)
{
    struct load load = {.channel_count = 1, .calls = 1};
    enum berth_rpc_protocol protocol = BERTH_RPC_GRPC;
    size_t at_a_time = 1;
    uv_loop_t loop;

    if (argc == 6 && strcmp(argv[1], "write") == 0) {
        load.chunks_left = number(argv[4]);
        set_chunk(&load, number(argv[5]));
    } else if (argc == 7 || argc == 8) {
        protocol = strcmp(argv[1], "ttrpc") == 0 ? BERTH_RPC_TTRPC : BERTH_RPC_GRPC;
        load.calls = number(argv[4]);
        load.channel_count = number(argv[5]);
        at_a_time = number(argv[6]);
        set_request(&load, argc == 8 ? argv[7] : "");
    } else {
        die("usage", "load_client grpc|ttrpc ADDRESS PATH CALLS CONNECTIONS CALLS_AT_A_TIME [REQUEST_HEX]");
    }
    load.path = argv[3];
    if (load.channel_count > CONNECTIONS_MAX)
        die(argv[5], "are too many connections");
    uv_loop_init(&loop);
    open_channels(&load, &loop, argv[2], protocol);
    run(&load, &loop, at_a_time);
    report(&load);
    free(load.chunk);
    free(load.latencies_ns);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
