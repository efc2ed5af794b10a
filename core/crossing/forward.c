/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to an isolated plugin. A call has a number of its own as long as it is in flight; what a worker says
 * about a number that is not in use is late, and ignored.
 */
#include "forward.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/trace.h>

#include <core/wire/peer.h>
#include <sdk/calls/router.h>

/* What may wait for a worker that does not read before new calls are refused. */
#define QUEUED_MAX (32u << 20)
/* Of the headers and trailers of one call, which no flow control holds back: more than clients take. */
#define PAIRS_MAX (256u * 1024)

struct remote {
    struct forward *forward;
    struct berth_call *call;
    uint32_t number;
    bool is_held;
    /** Neither side has more to say to the worker about it. */
    bool is_over;
    bool is_paused;
    /** Bytes that the worker welcomes, and those of its own that it may send again. */
    int64_t window;
    uint64_t owed;
    size_t pair_bytes;
    /** Packets that wait for the worker; those of a call that is held. */
    struct packet_writer held;
};

static struct remote *find(const struct forward *forward, uint32_t number)
{
    return numbers_find(&forward->remotes, number);
}

static struct remote *add(struct forward *forward, struct berth_call *call)
{
    struct remote *remote = calloc(1, sizeof(*remote));

    if (remote == NULL)
        return NULL;
    remote->number = numbers_add(&forward->remotes, remote);
    if (remote->number == 0) {
        free(remote);
        return NULL;
    }
    remote->forward = forward;
    remote->call = call;
    remote->window = PACKET_WINDOW;
    if (forward->remotes.count == 1 && forward->on_busy != NULL)
        forward->on_busy(forward);
    return remote;
}

static void stop_holding(struct remote *remote)
{
    struct forward *forward = remote->forward;

    if (!remote->is_held)
        return;
    remote->is_held = false;
    forward->held_calls--;
    forward->held_bytes -= remote->held.length;
    packet_writer_finish(&remote->held);
}

static void drop(struct remote *remote)
{
    stop_holding(remote);
    numbers_remove(&remote->forward->remotes, remote->number);
    free(remote);
}

/* Packets to the worker */

static struct packet_writer *begin(struct remote *remote, enum packet_type type, unsigned flags)
{
    struct forward *forward = remote->forward;
    struct packet_writer *writer =
        remote->is_held ? &remote->held : channel_write(forward->channel, forward->number);

    forward->held_bytes -= remote->is_held ? writer->length : 0;
    packet_begin(writer, type, flags, remote->number);
    return writer;
}

static void end(struct remote *remote, struct packet_writer *writer)
{
    packet_end(writer);
    if (remote->is_held)
        remote->forward->held_bytes += writer->length;
}

static void put_annotation(void *context, const char *key, const char *value)
{
    packet_put_text(context, key);
    packet_put_text(context, value);
}

static void count_annotation(void *context, const char *key, const char *value)
{
    (*(uint32_t *)context)++;
}

static void put_call(struct packet_writer *writer, struct berth_call *call)
{
    uint32_t annotations = 0;

    packet_put_text(writer, call->path);
    packet_put_text(writer, call->transport);
    packet_put_u64(writer, call->deadline_ns);
    peer_put(writer, call->peer);
    packet_put_u32(writer, (uint32_t)call->metadata_count);
    for (size_t i = 0; i < call->metadata_count; i++) {
        packet_put_text(writer, call->metadata[i].key);
        /* With the NUL that is behind it. */
        packet_put_bytes(writer, call->metadata[i].value, call->metadata[i].value_length + 1);
    }
    packet_put_bytes(writer, call->trace, call->trace != NULL ? sizeof(*call->trace) : 0);
    router_each_annotation(call, count_annotation, &annotations);
    packet_put_u32(writer, annotations);
    router_each_annotation(call, put_annotation, writer);
}

/* Handlers */

static void on_start(struct berth_call *call)
{
    struct forward *forward = call->instance;
    char reason[BERTH_ERROR_MAX];
    struct packet_writer *writer;
    struct remote *remote;

    call->state = NULL;
    if (forward->state == FORWARD_CLOSED) {
        berth_call_finish(call, BERTH_UNAVAILABLE, forward->reason);
        return;
    }
    if (forward->state == FORWARD_HELD
            ? forward->held_calls >= FORWARD_HELD_CALLS || forward->held_bytes >= FORWARD_HELD_BYTES
            : channel_queued(forward->channel) > QUEUED_MAX) {
        snprintf(reason, sizeof(reason), "too many calls wait for %s: %.800s", forward->uri,
                 forward->state == FORWARD_HELD ? forward->reason : "its process does not keep up");
        berth_call_finish(call, BERTH_UNAVAILABLE, reason);
        return;
    }
    remote = add(forward, call);
    if (remote == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "too many calls to an isolated plugin");
        return;
    }
    call->state = remote;
    if (forward->state == FORWARD_HELD) {
        remote->is_held = true;
        remote->held.plugin = forward->number;
        forward->held_calls++;
    }
    writer = begin(remote, PACKET_CALL, 0);
    put_call(writer, call);
    end(remote, writer);
}

static void on_message(struct berth_call *call, const void *message, size_t length)
{
    struct remote *remote = call->state;
    bool is_whole = call->kind == BERTH_METHOD_UNARY || call->kind == BERTH_METHOD_SERVER_STREAM;
    struct packet_writer *writer;

    if (remote == NULL)
        return;
    if (length > PACKET_MESSAGE_MAX) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED,
                          "the message exceeds 16 MiB, the limit of isolated plugins");
        return;
    }
    if (remote->is_held ? remote->forward->held_bytes > FORWARD_HELD_BYTES
                        : channel_queued(remote->forward->channel) > QUEUED_MAX) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED,
                          "too many bytes are queued for the process of this plugin");
        return;
    }
    writer = begin(remote, PACKET_MESSAGE,
                   (is_whole ? PACKET_LAST : 0) | (berth_call_came_compressed(call) ? PACKET_COMPRESSED : 0));
    packet_put_raw(writer, message, length);
    end(remote, writer);
    if (is_whole)
        return;
    remote->window -= (int64_t)length;
    if (remote->window <= 0) {
        remote->is_paused = true;
        berth_call_pause(call);
    }
}

static void on_half_close(struct berth_call *call)
{
    struct remote *remote = call->state;

    if (remote != NULL)
        end(remote, begin(remote, PACKET_HALF_CLOSE, 0));
}

/* What the worker sent has been taken by the caller's transport, as far as it has room. */
static void pay(struct remote *remote)
{
    struct packet_writer *writer;

    if (remote->owed == 0 || remote->is_held || remote->is_over || !berth_call_can_send(remote->call))
        return;
    writer = begin(remote, PACKET_CREDIT, 0);
    packet_put_u32(writer, (uint32_t)remote->owed);
    end(remote, writer);
    remote->owed = 0;
}

static void on_writable(struct berth_call *call)
{
    if (call->state != NULL)
        pay(call->state);
}

static void on_end(struct berth_call *call, enum berth_code code)
{
    struct remote *remote = call->state;

    if (remote == NULL)
        return;
    if (!remote->is_over && !remote->is_held) {
        struct packet_writer *writer = begin(remote, PACKET_CANCEL, 0);

        packet_put_u32(writer, (uint32_t)code);
        end(remote, writer);
    }
    drop(remote);
}

/* The names are copies: the manifest is that of the newest settings. */
static bool copy_names(struct berth_service *made, struct berth_method *methods,
                       const struct manifest_service *service)
{
    bool is_complete = (made->name = strdup(service->name)) != NULL;

    for (size_t i = 0; i < service->method_count; i++)
        is_complete = (methods[i].name = strdup(service->methods[i].name)) != NULL && is_complete;
    return is_complete;
}

struct berth_service *forward_create_service(const struct manifest_service *service)
{
    struct berth_service *made = calloc(1, sizeof(*made));
    struct berth_method *methods = calloc(service->method_count + 1, sizeof(*methods));

    if (made == NULL || methods == NULL) {
        free(made);
        free(methods);
        return NULL;
    }
    made->size = sizeof(*made);
    made->method_size = sizeof(*methods);
    made->methods = methods;
    made->method_count = service->method_count;
    if (!copy_names(made, methods, service)) {
        forward_free_service(made);
        return NULL;
    }
    for (size_t i = 0; i < service->method_count; i++) {
        enum berth_method_kind kind = service->methods[i].kind;
        bool is_whole = kind == BERTH_METHOD_UNARY || kind == BERTH_METHOD_SERVER_STREAM;

        methods[i] = (struct berth_method){
            .name = methods[i].name,
            .kind = kind,
            .on_start = on_start,
            .on_message = on_message,
            .on_half_close = is_whole ? NULL : on_half_close,
            .on_writable = on_writable,
            .on_end = on_end,
        };
    }
    return made;
}

void forward_free_service(struct berth_service *service)
{
    if (service == NULL)
        return;
    for (size_t i = 0; i < service->method_count; i++)
        free((void *)(uintptr_t)service->methods[i].name);
    free((void *)(uintptr_t)service->name);
    free((void *)(uintptr_t)service->methods);
    free((void *)(uintptr_t)service->descriptors);
    free(service);
}

/* Changes of the worker */

static void note_change(struct forward *forward)
{
    if (forward->on_change != NULL)
        forward->on_change(forward);
}

void forward_open(struct forward *forward)
{
    forward->state = FORWARD_OPEN;
    for (size_t i = 0; i < forward->remotes.capacity; i++) {
        struct remote *remote = numbers_at(&forward->remotes, i);

        if (remote == NULL || !remote->is_held)
            continue;
        if (remote->held.is_bad) {
            berth_call_finish(remote->call, BERTH_RESOURCE_EXHAUSTED, "out of memory");
            continue;
        }
        packet_put_raw(channel_write(forward->channel, forward->number), remote->held.bytes,
                       remote->held.length);
        stop_holding(remote);
    }
    note_change(forward);
}

/* Ends the calls that the worker has, or all. */
static void end_calls(struct forward *forward, bool ends_held)
{
    char reason[BERTH_ERROR_MAX];

    memcpy(reason, forward->reason, sizeof(reason));
    for (size_t i = 0; i < forward->remotes.capacity; i++) {
        struct remote *remote = numbers_at(&forward->remotes, i);

        if (remote == NULL || (remote->is_held && !ends_held))
            continue;
        remote->is_over = true;
        berth_call_finish(remote->call, BERTH_UNAVAILABLE, reason);
    }
}

static void set(struct forward *forward, enum forward_state state, const char *reason)
{
    forward->state = state;
    snprintf(forward->reason, sizeof(forward->reason), "%s: %.1000s", forward->uri, reason);
}

void forward_hold(struct forward *forward, const char *reason)
{
    set(forward, FORWARD_HELD, reason);
    end_calls(forward, false);
    note_change(forward);
}

void forward_close(struct forward *forward, const char *reason)
{
    set(forward, FORWARD_CLOSED, reason);
    end_calls(forward, true);
    note_change(forward);
}

void forward_finish(struct forward *forward)
{
    numbers_finish(&forward->remotes);
}

/* Packets from the worker */

static void take_message(struct remote *remote, const struct packet *packet)
{
    struct forward *forward = remote->forward;
    struct berth_call *call = remote->call;
    enum berth_code code = berth_call_send(call, packet->body, packet->length);

    /* An interceptor may have ended it. */
    if (find(forward, packet->call) == NULL)
        return;
    if (code != BERTH_OK) {
        berth_call_finish(call, code, berth_call_refusal(call));
        return;
    }
    remote->owed += packet->length;
    if (remote->owed >= PACKET_WINDOW / 2)
        pay(remote);
}

static void take_pair(struct remote *remote, const struct packet *packet)
{
    struct packet_reader reader;
    const char *key;
    const void *value;
    size_t length;

    packet_reader_init(&reader, packet);
    key = packet_get_text(&reader);
    value = packet_get_bytes(&reader, &length);
    if (reader.is_bad) {
        channel_break(remote->forward->channel, "sent a header that cannot be read");
        return;
    }
    if (packet->length > PAIRS_MAX - remote->pair_bytes) {
        berth_call_finish(remote->call, BERTH_RESOURCE_EXHAUSTED,
                          "the isolated plugin sent more than 256 KiB of headers and trailers");
        return;
    }
    remote->pair_bytes += packet->length;
    if (packet->type == PACKET_HEADER)
        berth_call_add_header(remote->call, key, value, length);
    else
        berth_call_add_trailer(remote->call, key, value, length);
}

static void take_end(struct remote *remote, const struct packet *packet)
{
    struct packet_reader reader;
    uint32_t code;
    const char *message;
    const void *details;
    size_t length;

    packet_reader_init(&reader, packet);
    code = packet_get_u32(&reader);
    message = packet_get_optional(&reader);
    details = packet_get_bytes(&reader, &length);
    if (reader.is_bad) {
        channel_break(remote->forward->channel, "sent a call status that cannot be read");
        return;
    }
    remote->is_over = true;
    berth_call_finish_with_details(remote->call,
                                   code <= BERTH_UNAUTHENTICATED ? (enum berth_code)code : BERTH_UNKNOWN,
                                   message, length > 0 ? details : NULL, length);
}

static void take_credit(struct remote *remote, const struct packet *packet)
{
    struct packet_reader reader;

    packet_reader_init(&reader, packet);
    remote->window += packet_get_u32(&reader);
    if (remote->window > PACKET_WINDOW)
        remote->window = PACKET_WINDOW;
    if (!remote->is_paused || remote->window <= 0)
        return;
    remote->is_paused = false;
    berth_call_resume(remote->call);
}

void forward_take(struct forward *forward, const struct packet *packet)
{
    struct remote *remote = find(forward, packet->call);
    struct packet_reader reader;

    if (remote == NULL || remote->is_over || remote->is_held)
        return;
    packet_reader_init(&reader, packet);
    if (packet->type == PACKET_MESSAGE)
        take_message(remote, packet);
    else if (packet->type == PACKET_END)
        take_end(remote, packet);
    else if (packet->type == PACKET_CREDIT)
        take_credit(remote, packet);
    else if (packet->type == PACKET_HEADER || packet->type == PACKET_TRAILER)
        take_pair(remote, packet);
    else if (packet->type == PACKET_SEND_HEADERS)
        berth_call_send_headers(remote->call);
    else if (packet->type == PACKET_COMPRESS)
        berth_call_compress(remote->call, packet_get_u8(&reader) != 0);
    else
        channel_break(forward->channel, "sent a packet that belongs to no call");
}
