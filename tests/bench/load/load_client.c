/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libberth-rpc's client as a load: so many calls, so many of them at a time, on so many connections.
 *
 *     load_client grpc|ttrpc ADDRESS PATH CALLS CONNECTIONS CALLS_AT_A_TIME
 *                 [REQUEST [NAMESPACE [FIRST [NUMBERS]]]]
 *     load_client write ADDRESS PATH MESSAGES BYTES
 *
 * REQUEST is hexadecimal, or @ and the name of a file; where eight # stand in it each call puts its number,
 * counted from FIRST, and after so many NUMBERS from there again. NAMESPACE is containerd's. It prints what a
 * second brings, after how long calls were answered, and when the first message came. SIGTERM ends it once
 * the calls that have begun are answered. Any call that does not end well ends it with an error.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/rpc/client.h>

#define CONNECTIONS_MAX 256
#define MESSAGE_MAX (64 * 1024 * 1024)
#define REQUEST_MAX (1024 * 1024)
#define PLACEHOLDER "########"

struct load {
    struct berth_rpc_channel *channels[CONNECTIONS_MAX];
    size_t channel_count;
    const char *path;
    const char *namespace_name;
    unsigned char *request;
    size_t request_length;
    /** Where in the request a call's number goes; NULL: nowhere. */
    unsigned char *number;
    size_t calls, started, ended, first_number, numbers;
    uint64_t *latencies_ns;
    uint64_t messages, bytes;
    uint64_t begin_ns, first_ns;
    uv_signal_t signal;
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

    if (one->load->messages++ == 0)
        one->load->first_ns = uv_hrtime();
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

static void close_all(struct load *load)
{
    uv_close((uv_handle_t *)&load->signal, NULL);
    for (size_t i = 0; i < load->channel_count; i++)
        berth_rpc_channel_close(load->channels[i], NULL, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct load *load = handle->data;

    load->calls = load->started;
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
        close_all(load);
}

static const struct berth_rpc_call_handlers handlers = {
    .size = sizeof(handlers),
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

static void write_number(struct load *load)
{
    char digits[24];

    if (load->number == NULL)
        return;
    snprintf(digits, sizeof(digits), "%08zu", load->first_number + load->started % load->numbers);
    memcpy(load->number, digits, strlen(PLACEHOLDER));
}

static void start(struct one *one)
{
    struct load *load = one->load;
    const struct berth_metadata metadata = {"containerd-namespace", load->namespace_name,
                                            strlen(load->namespace_name)};
    const struct berth_rpc_call_options options = {
        .size = sizeof(options),
        .path = load->path,
        .metadata = &metadata,
        .metadata_count = *load->namespace_name != '\0',
    };
    struct berth_rpc_call *call;
    struct berth_error err;

    write_number(load);
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
    uv_signal_init(loop, &load->signal);
    load->signal.data = load;
    uv_signal_start(&load->signal, on_signal, SIGTERM);
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
    printf("seconds=%.6f first=%.6f calls=%zu messages=%" PRIu64 " bytes=%" PRIu64
           " p50_us=%.1f p99_us=%.1f longest_us=%.1f\n",
           seconds, load->messages == 0 ? 0 : (double)(load->first_ns - load->begin_ns) / 1e9, load->calls,
           load->messages, load->bytes, (double)load->latencies_ns[load->calls / 2] / 1e3,
           (double)load->latencies_ns[load->calls * 99 / 100] / 1e3,
           (double)load->latencies_ns[load->calls - 1] / 1e3);
}

static size_t number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*end != '\0' || value == 0)
        die(text, "is no number above 0");
    return value;
}

static void read_request(struct load *load, const char *path)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        die(path, "cannot be opened");
    load->request_length = fread(load->request, 1, REQUEST_MAX, file);
    fclose(file);
}

static void set_request(struct load *load, const char *text)
{
    load->request = allocate(REQUEST_MAX, 1);
    if (*text == '@') {
        read_request(load, text + 1);
    } else {
        for (; *text != '\0' && load->request_length < REQUEST_MAX; text += 2)
            if (sscanf(text, "%2hhx", &load->request[load->request_length++]) != 1)
                die(text, "is no hexadecimal");
    }
    load->number = memmem(load->request, load->request_length, PLACEHOLDER, strlen(PLACEHOLDER));
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
    struct load load = {.channel_count = 1, .calls = 1, .numbers = SIZE_MAX, .namespace_name = ""};
    enum berth_rpc_protocol protocol = BERTH_RPC_GRPC;
    size_t at_a_time = 1;
    uv_loop_t loop;

    if (argc == 6 && strcmp(argv[1], "write") == 0) {
        load.chunks_left = number(argv[4]);
        set_chunk(&load, number(argv[5]));
    } else if (argc >= 7 && argc <= 11) {
        protocol = strcmp(argv[1], "ttrpc") == 0 ? BERTH_RPC_TTRPC : BERTH_RPC_GRPC;
        load.calls = number(argv[4]);
        load.channel_count = number(argv[5]);
        at_a_time = number(argv[6]);
        set_request(&load, argc > 7 ? argv[7] : "");
        load.namespace_name = argc > 8 ? argv[8] : "";
        load.first_number = argc > 9 ? number(argv[9]) : 0;
        load.numbers = argc > 10 ? number(argv[10]) : load.numbers;
    } else {
        die("usage", "load_client grpc|ttrpc ADDRESS PATH CALLS CONNECTIONS CALLS_AT_A_TIME [REQUEST "
                     "[NAMESPACE [FIRST [NUMBERS]]]]");
    }
    load.path = argv[3];
    if (load.channel_count > CONNECTIONS_MAX)
        die(argv[5], "are too many connections");
    uv_loop_init(&loop);
    open_channels(&load, &loop, argv[2], protocol);
    run(&load, &loop, at_a_time);
    report(&load);
    free(load.chunk);
    free(load.request);
    free(load.latencies_ns);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
