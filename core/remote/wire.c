/* SPDX-License-Identifier: Apache-2.0 */
/* One side of the channel between the daemon and a worker. The numbers of calls are the sender's. */
#include "remote.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"

static_assert(BERTH_REMOTE_CALLS_MAX <= NUMBERS_MAX, "each has a number");

static struct packet_writer *begin(struct remote_wire *wire, enum packet_type type, uint32_t number)
{
    struct packet_writer *writer = channel_write(wire->channel, wire->plugin);

    packet_begin(writer, type, 0, 0);
    packet_put_u32(writer, number);
    return writer;
}

/* Calls that leave */

static enum berth_code add(struct remote_wire *wire, struct remote_call *call, struct berth_error *err)
{
    if (wire->calls.count == BERTH_REMOTE_CALLS_MAX)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "%u calls to the process of this plugin are in progress already, the maximum",
                               BERTH_REMOTE_CALLS_MAX);
    call->number = numbers_add(&wire->calls, call);
    return call->number != 0 ? BERTH_OK
                             : berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the call");
}

void remote_wire_remove(struct remote_call *call)
{
    numbers_remove(&call->wire->calls, call->number);
}

void remote_wire_send_cancel(struct remote_call *call)
{
    packet_end(begin(call->wire, PACKET_REMOTE_CANCEL, call->number));
}

enum berth_code remote_wire_start(struct remote_wire *wire, uint32_t provider, struct remote_call *call,
                                  const struct berth_remote_request *request, struct berth_error *err)
{
    const char *refusal = wire->refusal != NULL ? wire->refusal(wire) : NULL;
    struct packet_writer *writer;
    enum berth_code code;

    if (refusal != NULL)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%s", refusal);
    if (channel_queued(wire->channel) > REMOTE_QUEUED_MAX)
        return berth_error_set(
            err, BERTH_RESOURCE_EXHAUSTED,
            "the process of this plugin does not keep up: more than %u MiB are queued for it",
            REMOTE_QUEUED_MAX >> 20);
    code = add(wire, call, err);
    if (code != BERTH_OK)
        return code;
    call->wire = wire;
    writer = begin(wire, PACKET_REMOTE_CALL, call->number);
    packet_put_u32(writer, provider);
    packet_put_u32(writer, request->method);
    packet_put_u32(writer, request->timeout_ms);
    packet_put_raw(writer, request->bytes, request->length);
    packet_end(writer);
    if (wire->calls.count == 1 && wire->on_busy != NULL)
        wire->on_busy(wire);
    return BERTH_OK;
}

/* Calls that arrive */

struct remote_served {
    LIST_ENTRY(remote_served) link;
    struct remote_wire *wire;
    uint32_t number;
    uint64_t due_ns;
    struct berth_remote_peer *peer;
    struct berth_remote_call *call;
    /* Start is on the stack. */
    bool is_starting, is_over;
};

static void reply(struct remote_wire *wire, uint32_t number, enum berth_code code, const char *message,
                  const void *bytes, size_t length)
{
    char reason[BERTH_ERROR_MAX];
    struct packet_writer *writer;

    if (wire->is_over)
        return;
    if (code == BERTH_OK && channel_queued(wire->channel) > REMOTE_QUEUED_MAX) {
        code = BERTH_RESOURCE_EXHAUSTED;
        message = "the process of the caller does not take its replies";
    }
    snprintf(reason, sizeof(reason), "%s", code != BERTH_OK && message != NULL ? message : "");
    writer = begin(wire, PACKET_REMOTE_REPLY, number);
    packet_put_u32(writer, (uint32_t)code);
    packet_put_text(writer, reason);
    packet_put_raw(writer, bytes, code == BERTH_OK ? length : 0);
    packet_end(writer);
}

static void forget(struct remote_served *served)
{
    LIST_REMOVE(served, link);
    served->wire->served_count--;
    served->is_over = true;
    if (!served->is_starting)
        free(served);
}

static void on_served(const void *context, enum berth_code code, const void *bytes, size_t length,
                      const char *message)
{
    struct remote_served *served;

    memcpy(&served, context, sizeof(served));
    if (served->wire != NULL) {
        reply(served->wire, served->number, code, message, bytes, length);
        forget(served);
    } else {
        free(served);
    }
}

/* Nobody waits for its end any more: it is freed by that. */
static void orphan(struct remote_served *served)
{
    struct berth_remote_call *call = served->call;

    LIST_REMOVE(served, link);
    served->wire->served_count--;
    served->wire = NULL;
    if (call != NULL)
        served->peer->cancel(served->peer, call);
}

static void serve(struct remote_served *served, const struct berth_remote_request *request)
{
    struct remote_wire *wire = served->wire;
    struct berth_error error = {.message = ""};
    struct berth_remote_call *call = NULL;
    enum berth_code code;

    served->is_starting = true;
    code = served->peer->start(served->peer, request, &call, &error);
    served->is_starting = false;
    if (served->is_over) {
        free(served);
    } else if (code != BERTH_OK) {
        reply(wire, served->number, code, error.message, NULL, 0);
        forget(served);
    } else {
        served->call = call;
    }
}

static void take_call(struct remote_wire *wire, struct packet_reader *reader)
{
    uint32_t number = packet_get_u32(reader), provider = packet_get_u32(reader);
    uint32_t method = packet_get_u32(reader), timeout_ms = packet_get_u32(reader);
    struct berth_remote_peer *peer = wire->find(wire, provider);
    struct remote_served *served;
    struct berth_remote_request request = {
        .size = sizeof(request),
        .method = method,
        .timeout_ms = timeout_ms,
        .bytes = reader->at,
        .length = reader->left,
        .on_end = on_served,
        .context = &served,
        .context_length = sizeof(served),
    };

    if (reader->is_bad || request.length > BERTH_REMOTE_MAX) {
        channel_break(wire->channel, "sent a call of an interface that cannot be read");
        return;
    }
    if (peer == NULL) {
        reply(wire, number, BERTH_UNAVAILABLE, "the plugin that provides this interface is not ready", NULL,
              0);
        return;
    }
    served = wire->served_count < BERTH_REMOTE_CALLS_MAX ? calloc(1, sizeof(*served)) : NULL;
    if (served == NULL) {
        reply(wire, number, BERTH_RESOURCE_EXHAUSTED, "too many calls of interfaces at once", NULL, 0);
        return;
    }
    *served = (struct remote_served){
        .wire = wire, .number = number, .peer = peer, .due_ns = remote_due(timeout_ms)};
    LIST_INSERT_HEAD(&wire->served, served, link);
    wire->served_count++;
    serve(served, &request);
}

static void take_cancel(struct remote_wire *wire, uint32_t number)
{
    struct remote_served *served;

    LIST_FOREACH(served, &wire->served, link)
    if (served->number == number) {
        if (served->call != NULL)
            served->peer->cancel(served->peer, served->call);
        return;
    }
}

static void take_reply(struct remote_wire *wire, struct packet_reader *reader, uint32_t number)
{
    uint32_t code = packet_get_u32(reader);
    const char *message = packet_get_text(reader);
    struct remote_call *call = numbers_find(&wire->calls, number);
    char reason[BERTH_ERROR_MAX];

    if (reader->is_bad || reader->left > BERTH_REMOTE_MAX) {
        channel_break(wire->channel, "sent a reply of an interface that cannot be read");
        return;
    }
    /* It may have crossed with its cancellation. */
    if (call == NULL)
        return;
    snprintf(reason, sizeof(reason), "%s", message);
    remote_wire_remove(call);
    remote_call_end(call, code <= BERTH_UNAUTHENTICATED ? (enum berth_code)code : BERTH_UNKNOWN, reason,
                    code == BERTH_OK ? reader->at : NULL, code == BERTH_OK ? reader->left : 0);
}

void remote_wire_take(struct remote_wire *wire, const struct packet *packet, struct packet_reader *reader)
{
    struct packet_reader number = *reader;
    uint32_t first = packet_get_u32(&number);

    if (packet->type == PACKET_REMOTE_CALL)
        take_call(wire, reader);
    else if (number.is_bad)
        channel_break(wire->channel, "sent a packet of an interface that cannot be read");
    else if (packet->type == PACKET_REMOTE_CANCEL)
        take_cancel(wire, first);
    else
        take_reply(wire, &number, first);
}

/* Time, and the end */

bool remote_wire_tick(struct remote_wire *wire)
{
    uint64_t now = uv_hrtime();
    struct remote_served *served, *next;

    for (size_t i = 0; i < wire->calls.capacity; i++) {
        struct remote_call *call = numbers_at(&wire->calls, i);

        if (call == NULL || now < call->due_ns)
            continue;
        if (!call->is_cancelled)
            remote_wire_send_cancel(call);
        remote_wire_remove(call);
        remote_call_end(call, call->is_cancelled ? BERTH_CANCELLED : BERTH_DEADLINE_EXCEEDED,
                        call->is_cancelled ? "the call was cancelled"
                                           : "the call took longer than its interface allows",
                        NULL, 0);
    }
    for (served = LIST_FIRST(&wire->served); served != NULL; served = next) {
        next = LIST_NEXT(served, link);
        if (now < served->due_ns)
            continue;
        reply(wire, served->number, BERTH_DEADLINE_EXCEEDED, "the call took longer than its interface allows",
              NULL, 0);
        orphan(served);
    }
    return wire->calls.count > 0 || wire->served_count > 0;
}

void remote_wire_end(struct remote_wire *wire, const char *reason)
{
    while (!LIST_EMPTY(&wire->served))
        orphan(LIST_FIRST(&wire->served));
    /* What is called meanwhile can start no other: the owner refuses it. */
    for (size_t i = 0; i < wire->calls.capacity; i++) {
        struct remote_call *call = numbers_at(&wire->calls, i);

        if (call == NULL)
            continue;
        remote_wire_remove(call);
        remote_call_end(call, BERTH_UNAVAILABLE, reason, NULL, 0);
    }
}

void remote_wire_finish(struct remote_wire *wire)
{
    while (!LIST_EMPTY(&wire->peers)) {
        struct remote_peer *peer = LIST_FIRST(&wire->peers);

        LIST_REMOVE(peer, of_wire);
        peer->wire = NULL;
    }
    numbers_finish(&wire->calls);
}
