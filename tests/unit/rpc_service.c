/* SPDX-License-Identifier: Apache-2.0 */
/* The service that tests of clients and servers call. */
#include "rpc_service.h"

#include <stdio.h>
#include <string.h>

#include <tests/cmocka.h>

struct rpc_seen seen;

static void keep(char *place, size_t size, const char *text)
{
    snprintf(place, size, "%s", text == NULL ? "" : text);
}

static void append(char *place, size_t size, const char *text)
{
    keep(place + strlen(place), size - strlen(place), text);
}

static void note_call(const struct berth_call *call)
{
    const struct berth_peer *peer = call->peer;

    seen.call[0] = seen.names[0] = '\0';
    for (size_t i = 0; i < call->metadata_count; i++) {
        append(seen.call, sizeof(seen.call), call->metadata[i].key);
        append(seen.call, sizeof(seen.call), "=");
        append(seen.call, sizeof(seen.call), call->metadata[i].value);
        append(seen.call, sizeof(seen.call), " ");
    }
    append(seen.call, sizeof(seen.call), call->transport);
    append(seen.call, sizeof(seen.call), call->deadline_ns != 0 ? " deadline=1" : " deadline=0");
    keep(seen.transport, sizeof(seen.transport), call->transport);
    keep(seen.peer, sizeof(seen.peer), peer->address);
    keep(seen.subject, sizeof(seen.subject), peer->tls_subject);
    for (size_t i = 0; i < peer->tls_name_count; i++) {
        append(seen.names, sizeof(seen.names), peer->tls_names[i]);
        append(seen.names, sizeof(seen.names), " ");
    }
}

static void on_start(struct berth_call *call)
{
    seen.starts++;
    note_call(call);
    assert_int_equal(berth_call_add_header(call, "x-seen", "header", 6), BERTH_OK);
    berth_call_add_trailer(call, "x-raw-bin", "\0\xff", 2);
}

static void finish_in_start(struct berth_call *call)
{
    seen.starts++;
    berth_call_finish(call, BERTH_UNAUTHENTICATED, "who are you?");
}

static void on_end(struct berth_call *call, enum berth_code code)
{
    seen.ends++;
    seen.last_end = code;
    if (seen.paused == call)
        seen.paused = NULL;
}

static void echo(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static void ignore(struct berth_call *call, const void *message, size_t length)
{
}

static void refuse(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish_with_details(call, BERTH_NOT_FOUND, "no \"\xc3\xa4pfel\" here: 100 %\n",
                                   "\x08\x05\x1a\x02\x0a\x00", 6);
}

static void finish_without_answer(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

static void answer_twice(struct berth_call *call, const void *message, size_t length)
{
    assert_int_equal(berth_call_send(call, "1", 1), BERTH_OK);
    assert_int_equal(berth_call_send(call, "2", 1), BERTH_FAILED_PRECONDITION);
    berth_call_finish(call, BERTH_OK, NULL);
}

static void close_the_server(struct berth_call *call, const void *message, size_t length)
{
    seen.on_close();
}

static void divide(struct berth_call *call, const void *message, size_t length)
{
    for (size_t i = 0; i < length; i++)
        berth_call_send(call, (const char *)message + i, 1);
    berth_call_finish(call, BERTH_OK, NULL);
}

static void send_blocks(struct berth_call *call)
{
    static const char block[RPC_BLOCK];

    while (seen.to_send > 0 && berth_call_can_send(call)) {
        assert_int_equal(berth_call_send(call, block, sizeof(block)), BERTH_OK);
        seen.to_send--;
    }
    if (seen.to_send == 0)
        berth_call_finish(call, BERTH_OK, NULL);
}

static void start_blocks(struct berth_call *call, const void *message, size_t length)
{
    send_blocks(call);
}

static void take(struct berth_call *call, const void *message, size_t length)
{
    seen.taken += length;
    call->state = (void *)((uintptr_t)call->state + length);
}

static void take_and_pause(struct berth_call *call, const void *message, size_t length)
{
    take(call, message, length);
    seen.paused = call;
    berth_call_pause(call);
}

static void answer_count(struct berth_call *call)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%zu", (size_t)(uintptr_t)call->state);

    berth_call_reply(call, text, (size_t)length);
}

static void send_back(struct berth_call *call, const void *message, size_t length)
{
    berth_call_send(call, message, length);
}

static void finish_well(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

#define UNARY(method, start, message)                                                                        \
    {                                                                                                        \
        .name = method, .kind = BERTH_METHOD_UNARY, .on_start = start, .on_message = message,                \
        .on_end = on_end                                                                                     \
    }
#define STREAM(method, direction, message, writable, half_close)                                             \
    {                                                                                                        \
        .name = method, .kind = BERTH_METHOD_##direction##_STREAM, .on_start = on_start,                     \
        .on_message = message, .on_writable = writable, .on_half_close = half_close, .on_end = on_end        \
    }

static const struct berth_method methods[] = {
    UNARY("Echo", on_start, echo),
    UNARY("Never", on_start, ignore),
    UNARY("Refuse", on_start, refuse),
    UNARY("InStart", finish_in_start, echo),
    UNARY("Nothing", on_start, finish_without_answer),
    UNARY("Twice", on_start, answer_twice),
    UNARY("Close", on_start, close_the_server),
    STREAM("Divide", SERVER, divide, NULL, NULL),
    STREAM("Blocks", SERVER, start_blocks, send_blocks, NULL),
    STREAM("Count", CLIENT, take, NULL, answer_count),
    STREAM("Slow", CLIENT, take_and_pause, NULL, answer_count),
    STREAM("Chat", BIDI, send_back, NULL, finish_well),
};

const struct berth_service rpc_service = {
    .size = sizeof(rpc_service),
    .method_size = sizeof(methods[0]),
    .name = "t.T",
    .methods = methods,
    .method_count = sizeof(methods) / sizeof(methods[0]),
};

enum berth_method_kind rpc_service_kind(const char *path)
{
    for (size_t i = 0; i < rpc_service.method_count; i++)
        if (strncmp(path, "/t.T/", 5) == 0 && strcmp(path + 5, methods[i].name) == 0)
            return methods[i].kind;
    return BERTH_METHOD_UNARY;
}
