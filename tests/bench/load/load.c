/* SPDX-License-Identifier: Apache-2.0 */
/* berth's side of the benchmarks: the service that their other servers have too, as an ordinary plugin. */
#include "load-plugin.h"

#include <stdlib.h>

#include <berth/protobuf.h>

#include "load.pb-c.h"

#define PAGE_BYTES 4093
#define READ_BYTES_MAX (16 * 1024 * 1024)

static void nothing(struct berth_call *call, const void *request, size_t length)
{
    const Berth__Bench__V1__Empty reply = BERTH__BENCH__V1__EMPTY__INIT;

    berth_call_reply_message(call, &reply.base);
}

const struct berth_handler load_nothing = {
    .on_message = nothing,
};

static void page(struct berth_call *call, const void *request, size_t length)
{
    static uint8_t bytes[PAGE_BYTES];
    Berth__Bench__V1__Chunk reply = BERTH__BENCH__V1__CHUNK__INIT;

    reply.data = (ProtobufCBinaryData){sizeof(bytes), bytes};
    berth_call_reply_message(call, &reply.base);
}

const struct berth_handler load_page = {
    .on_message = page,
};

/* What one call of Read has still to send. */
struct reading {
    uint32_t messages;
    ProtobufCBinaryData data;
};

static void go_on(struct berth_call *call)
{
    struct reading *reading = call->state;
    Berth__Bench__V1__Chunk chunk = BERTH__BENCH__V1__CHUNK__INIT;
    enum berth_code code = BERTH_OK;

    chunk.data = reading->data;
    for (; code == BERTH_OK && reading->messages > 0; reading->messages--) {
        if (!berth_call_can_send(call))
            return;
        code = berth_call_send_message(call, &chunk.base);
    }
    berth_call_finish(call, code, NULL);
}

static void start_reading(struct berth_call *call, uint32_t messages, uint32_t bytes)
{
    struct reading *reading = malloc(sizeof(*reading));
    uint8_t *data = bytes <= READ_BYTES_MAX ? calloc(1, (size_t)bytes + 1) : NULL;

    if (reading == NULL || data == NULL) {
        free(reading);
        free(data);
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for such messages");
        return;
    }
    *reading = (struct reading){messages, {bytes, data}};
    call->state = reading;
    go_on(call);
}

static void read_some(struct berth_call *call, const void *message, size_t length)
{
    Berth__Bench__V1__ReadRequest *request =
        (void *)berth_call_unpack(call, &berth__bench__v1__read_request__descriptor, message, length);
    uint32_t messages, bytes;

    if (request == NULL)
        return;
    messages = request->messages;
    bytes = request->bytes;
    berth__bench__v1__read_request__free_unpacked(request, NULL);
    start_reading(call, messages, bytes);
}

static void end_reading(struct berth_call *call, enum berth_code code)
{
    struct reading *reading = call->state;

    if (reading != NULL)
        free(reading->data.data);
    free(reading);
}

const struct berth_handler load_read = {
    .on_message = read_some,
    .on_writable = go_on,
    .on_end = end_reading,
};

static void start_writing(struct berth_call *call)
{
    call->state = calloc(1, sizeof(uint64_t));
    if (call->state == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the call");
}

static void take_chunk(struct berth_call *call, const void *message, size_t length)
{
    Berth__Bench__V1__Chunk *chunk =
        (void *)berth_call_unpack(call, &berth__bench__v1__chunk__descriptor, message, length);

    if (chunk == NULL)
        return;
    *(uint64_t *)call->state += chunk->data.len;
    berth__bench__v1__chunk__free_unpacked(chunk, NULL);
}

static void reply_written(struct berth_call *call)
{
    Berth__Bench__V1__WriteReply reply = BERTH__BENCH__V1__WRITE_REPLY__INIT;

    reply.bytes = *(uint64_t *)call->state;
    berth_call_reply_message(call, &reply.base);
}

static void end_writing(struct berth_call *call, enum berth_code code)
{
    free(call->state);
}

const struct berth_handler load_write = {
    .on_start = start_writing,
    .on_message = take_chunk,
    .on_half_close = reply_written,
    .on_end = end_writing,
};

enum berth_code load_init(const struct berth_host *host, void *prepared, void **ret_instance,
                          struct berth_error *err)
{
    *ret_instance = (void *)(uintptr_t)host;
    return BERTH_OK;
}
