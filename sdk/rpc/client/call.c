/* SPDX-License-Identifier: Apache-2.0 */
/* One call on the client: the lists it stands in, and what comes back on its way to the handlers. */
#include "state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void leave_list(struct berth_rpc_call *call)
{
    if (call->previous == NULL)
        return;
    *call->previous = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
    else
        call->list->end = call->previous;
    call->previous = NULL;
}

void call_list_init(struct call_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

void client_call_join(struct berth_rpc_call *call, struct call_list *list)
{
    leave_list(call);
    call->next = NULL;
    call->previous = list->end;
    call->list = list;
    *list->end = call;
    list->end = &call->next;
}

void client_call_ready(struct berth_rpc_call *call)
{
    struct berth_rpc_channel *channel = call->channel;

    if (call->is_ready)
        return;
    call->is_ready = true;
    call->next_ready = NULL;
    *channel->end_ready = call;
    channel->end_ready = &call->next_ready;
    turn_add(&channel->engine.turn, &channel->task);
}

static void touch(struct berth_rpc_call *call)
{
    if (call->connection != NULL)
        connection_touch(&call->connection->base);
}

void client_call_end(struct berth_rpc_call *call, enum berth_code code, const char *message)
{
    if (call->is_over)
        return;
    call->is_over = true;
    call->code = code;
    call->message = berth_arena_copy(&call->arena, message, strlen(message));
    if (call->message == NULL)
        call->message = "";
    deadlines_stop(&call->channel->engine.deadlines, &call->deadline);
    if (!call->is_unknown) {
        outflow_clear(&call->outflow);
        call->channel->protocol->reset(call);
    }
    client_call_ready(call);
}

/* There may be room for a call that waits. */
void client_call_forget(struct berth_rpc_call *call)
{
    if (call->is_unknown)
        return;
    call->is_unknown = true;
    call->connection->open_streams--;
    client_call_ready(call);
}

static void leave_line(struct berth_rpc_call *call)
{
    struct berth_rpc_channel *channel = call->channel;
    struct berth_rpc_call **place = &channel->first_ready;

    if (!call->is_ready)
        return;
    while (*place != call)
        place = &(*place)->next_ready;
    *place = call->next_ready;
    if (channel->end_ready == &call->next_ready)
        channel->end_ready = place;
}

void client_call_destroy(struct berth_rpc_call *call)
{
    struct berth_rpc_channel *channel = call->channel;
    size_t held;

    leave_line(call);
    leave_list(call);
    deadlines_stop(&channel->engine.deadlines, &call->deadline);
    outflow_clear(&call->outflow);
    replay_finish(&call->replay);
    held = inbox_finish(&call->inbox);
    if (call->connection != NULL)
        http2_consume(&call->connection->http2, call->id, held);
    berth_arena_finish(&call->arena);
    free(call);
    channel_settle(channel);
}

bool client_call_deliver(void *context, const void *message, size_t length)
{
    struct berth_rpc_call *call = context;

    if (call->handlers->on_message != NULL)
        call->handlers->on_message(call->context, call, message, length);
    return !call->is_over;
}

static void complain(struct berth_rpc_call *call, enum framing_state state, const struct span *message)
{
    uint64_t limit = call->channel->limits.max_recv_message_bytes;
    char text[160];

    switch (state) {
    case FRAMING_MORE:
    case FRAMING_MESSAGE:
        break;
    case FRAMING_COMPRESSED:
        client_call_end(call, BERTH_INTERNAL,
                        call->response.coding == CODING_UNKNOWN
                            ? "the server sent a message compressed as this client cannot read it (it "
                              "can: " CODING_ACCEPTED ")"
                            : "the server sent a compressed message and did not say how");
        break;
    case FRAMING_BAD_FLAG:
        client_call_end(call, BERTH_INTERNAL, "the server sent a message with an unknown flag");
        break;
    case FRAMING_TOO_LARGE:
        snprintf(text, sizeof(text), "the server sent a message of %zu bytes and this client takes %" PRIu64,
                 message->length, limit);
        client_call_end(call, BERTH_RESOURCE_EXHAUSTED, text);
        break;
    case FRAMING_BROKEN:
        client_call_end(call, BERTH_INTERNAL, "the server sent a message that cannot be decompressed");
        break;
    case FRAMING_TOO_LARGE_EXPANDED:
        snprintf(text, sizeof(text),
                 "the server sent a message of %zu bytes that has at least %" PRIu64
                 " when decompressed, and this client takes %" PRIu64,
                 message->length, limit + 1, limit);
        client_call_end(call, BERTH_RESOURCE_EXHAUSTED, text);
        break;
    case FRAMING_NO_ROOM:
        client_call_end(call, BERTH_RESOURCE_EXHAUSTED, "out of memory");
        break;
    }
}

void client_call_take(struct berth_rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct span bad = {0};
    enum framing_state state;
    size_t eaten = length;

    if (!call->is_over) {
        state = inbox_take(&call->inbox, bytes, length, client_call_deliver, call, &eaten, &bad);
        complain(call, state, &bad);
        if (state != FRAMING_MORE)
            eaten = length;
    }
    if (call->connection != NULL)
        http2_consume(&call->connection->http2, call->id, eaten);
    touch(call);
}

static void tell_headers(struct berth_rpc_call *call)
{
    call->is_headers_told = true;
    client_coding_receive(call);
    if (call->handlers->on_headers != NULL)
        call->handlers->on_headers(call->context, call, call->response.headers.items,
                                   call->response.headers.count);
}

static void conclude(struct berth_rpc_call *call)
{
    const char *message;
    enum berth_code code;

    if (call->inbox.is_paused && inbox_is_holding(&call->inbox))
        return;
    code = response_result(&call->response, call->stream_error, &message);
    if (code == BERTH_OK && framing_is_inside(&call->inbox.framing)) {
        code = BERTH_INTERNAL;
        message = "the server's answer ends inside a message";
    }
    client_call_end(call, code, message);
}

static void tell_end(struct berth_rpc_call *call)
{
    call->is_end_told = true;
    if (call->handlers->on_end != NULL)
        call->handlers->on_end(call->context, call, call->code, call->message, call->response.trailers.items,
                               call->response.trailers.count);
}

void client_call_process(struct berth_rpc_call *call)
{
    call->is_ready = false;
    if (response_is_foreign(&call->response))
        conclude(call);
    if (!call->is_over && call->response.has_headers && !call->is_headers_told)
        tell_headers(call);
    if (!call->is_over && !call->inbox.is_paused && inbox_is_holding(&call->inbox))
        call->channel->protocol->give_held(call);
    if (!call->is_over && call->is_writable_due) {
        call->is_writable_due = false;
        if (call->handlers->on_writable != NULL)
            call->handlers->on_writable(call->context, call);
    }
    if (client_call_retry(call))
        return;
    if (!call->is_over && (call->is_remote_ended || (call->is_unknown && call->id != 0)))
        conclude(call);
    if (call->is_over && !call->is_end_told)
        tell_end(call);
    /* HTTP/2 refers to the call's outflow until it has closed the stream. */
    if (call->is_end_told && call->is_unknown)
        client_call_destroy(call);
}
