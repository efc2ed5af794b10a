/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated caller: for the router the server's side of a call, for the test its requests and replies. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/namespace.h>

#include <sdk/base/container_of.h>

#include "fake.h"

struct bytes {
    char *data;
    size_t length;
    bool compressed;
};

struct pair {
    char *key;
    char *value;
};

struct pairs {
    struct pair *items;
    size_t count;
};

struct berth_testing_call {
    LIST_ENTRY(berth_testing_call) link;
    /** NULL once the host is gone. */
    struct berth_testing *testing;
    /** NULL before it is open and after it has ended. */
    struct berth_call *call;
    bool over;
    enum berth_code code;
    char *message;
    struct fake_deadline deadline;

    /** Sent, but not delivered because the handler has paused the call. */
    struct bytes *waiting;
    size_t waiting_count;
    bool half_close_waits;
    bool paused;
    bool delivering;

    /** Compression: of what the caller sends; of the last delivered message; requested for replies. */
    bool sends_compressed;
    bool came_compressed;
    bool compresses;
    /** As it was when the headers were sent. */
    bool announces_coding;

    bool slow;
    bool was_refused;
    struct bytes *replies;
    size_t reply_count;
    struct pairs headers;
    struct pairs trailers;
    bool headers_sent;
};

static struct berth_testing_call *of_stream(struct berth_stream *stream)
{
    return (struct berth_testing_call *)stream;
}

static struct bytes copy_bytes(const void *data, size_t length)
{
    struct bytes bytes = {.data = malloc(length + 1), .length = length};

    if (bytes.data == NULL)
        abort();
    if (length > 0)
        memcpy(bytes.data, data, length);
    bytes.data[length] = '\0';
    return bytes;
}

static enum berth_code keep_reply(struct berth_stream *stream, const void *message, size_t length)
{
    struct berth_testing_call *call = of_stream(stream);

    call->headers_sent = true;
    call->replies = memory_grow(call->replies, call->reply_count, sizeof(*call->replies));
    call->replies[call->reply_count] = copy_bytes(message, length);
    call->replies[call->reply_count++].compressed = call->compresses;
    return BERTH_OK;
}

static bool can_send(struct berth_stream *stream)
{
    struct berth_testing_call *call = of_stream(stream);

    call->was_refused = call->was_refused || call->slow;
    return !call->slow;
}

/* The engine has refused invalid keys. */
static enum berth_code add_pair(struct pairs *pairs, const char *key, const void *value, size_t length)
{
    pairs->items = memory_grow(pairs->items, pairs->count, sizeof(*pairs->items));
    pairs->items[pairs->count++] = (struct pair){
        .key = memory_copy(key),
        .value = copy_bytes(value, length).data,
    };
    return BERTH_OK;
}

static enum berth_code add_header(struct berth_stream *stream, const char *key, const void *value,
                                  size_t length)
{
    struct berth_testing_call *call = of_stream(stream);

    return call->headers_sent ? BERTH_FAILED_PRECONDITION : add_pair(&call->headers, key, value, length);
}

static enum berth_code add_trailer(struct berth_stream *stream, const char *key, const void *value,
                                   size_t length)
{
    return add_pair(&of_stream(stream)->trailers, key, value, length);
}

static enum berth_code send_headers(struct berth_stream *stream)
{
    of_stream(stream)->headers_sent = true;
    return BERTH_OK;
}

static void end(struct berth_testing_call *call, enum berth_code code, const char *message)
{
    fake_deadline_clear(&call->deadline);
    call->over = true;
    call->call = NULL;
    call->code = code;
    call->message = memory_copy(message == NULL ? "" : message);
}

static void finish(struct berth_stream *stream, enum berth_code code, const char *message,
                   const void *details, size_t details_length)
{
    (void)details;
    (void)details_length;
    end(of_stream(stream), code, message);
}

static void forget_first(struct berth_testing_call *call)
{
    free(call->waiting[0].data);
    call->waiting_count--;
    memmove(call->waiting, call->waiting + 1, call->waiting_count * sizeof(*call->waiting));
}

/* Delivers waiting messages; the handler may pause, resume and finish the call meanwhile. */
static void deliver(struct berth_testing_call *call)
{
    if (call->delivering || call->call == NULL)
        return;
    call->delivering = true;
    while (!call->paused && !call->over && call->waiting_count > 0) {
        call->came_compressed = call->waiting[0].compressed;
        call->testing->host.router->deliver(call->call, call->waiting[0].data, call->waiting[0].length);
        forget_first(call);
    }
    if (call->half_close_waits && !call->over && call->waiting_count == 0) {
        call->half_close_waits = false;
        call->testing->host.router->half_close(call->call);
    }
    call->delivering = false;
}

static void pause_stream(struct berth_stream *stream)
{
    of_stream(stream)->paused = true;
}

static void resume_stream(struct berth_stream *stream)
{
    of_stream(stream)->paused = false;
    deliver(of_stream(stream));
}

static enum berth_code compress(struct berth_stream *stream, bool wanted)
{
    struct berth_testing_call *call = of_stream(stream);

    if (wanted && call->headers_sent && !call->announces_coding)
        return BERTH_FAILED_PRECONDITION;
    if (!call->headers_sent)
        call->announces_coding = wanted;
    call->compresses = wanted;
    return BERTH_OK;
}

static bool came_compressed(struct berth_stream *stream)
{
    return of_stream(stream)->came_compressed;
}

static const struct berth_stream_ops stream_ops = {
    .size = sizeof(stream_ops),
    .send = keep_reply,
    .can_send = can_send,
    .add_header = add_header,
    .add_trailer = add_trailer,
    .send_headers = send_headers,
    .finish = finish,
    .pause = pause_stream,
    .resume = resume_stream,
    .compress = compress,
    .came_compressed = came_compressed,
};

static void cancel(struct berth_testing_call *call, enum berth_code code)
{
    struct berth_call *cancelled = call->call;

    if (cancelled == NULL)
        return;
    end(call, code, code == BERTH_CANCELLED ? "the caller cancelled" : "deadline exceeded");
    call->testing->host.router->cancel(cancelled, code);
}

static void on_deadline(struct berth_testing *testing, struct fake_deadline *deadline)
{
    (void)testing;
    cancel(CONTAINER_OF(deadline, struct berth_testing_call, deadline), BERTH_DEADLINE_EXCEEDED);
}

struct berth_testing_call *berth_testing_call_create(struct berth_testing *testing, const char *path,
                                                     const struct berth_testing_call_options *options)
{
    static const struct berth_testing_call_options nothing;
    struct berth_testing_call *call = calloc(1, sizeof(*call));
    struct berth_peer peer = {
        .size = sizeof(peer),
        .address = "test",
        .pid = getpid(),
        .uid = getuid(),
        .gid = getgid(),
    };
    struct berth_call_request request = {
        .size = sizeof(request),
        .path = path,
        .peer = &peer,
        .stream = (struct berth_stream *)call,
        .stream_ops = &stream_ops,
    };

    if (call == NULL)
        abort();
    options = options == NULL ? &nothing : options;
    if (options->deadline_ms > 0) {
        request.deadline_ns = uv_hrtime() + options->deadline_ms * MILLISECOND_NS;
        fake_deadline_set(testing, &call->deadline, request.deadline_ns, on_deadline);
    }
    request.transport = options->transport != NULL ? options->transport : "test";
    request.metadata = options->metadata;
    request.metadata_count = options->metadata_count;
    call->testing = testing;
    LIST_INSERT_HEAD(&testing->calls, call, link);

    struct berth_call *opened = testing->host.router->open(testing->host.router, &request);

    if (call->over)
        return call;
    call->call = opened;
    if (options->namespace_name != NULL &&
        berth_call_annotate(opened, BERTH_NAMESPACE_ANNOTATION, options->namespace_name) != BERTH_OK)
        abort();
    return call;
}

void berth_testing_call_send(struct berth_testing_call *call, const void *message, size_t length)
{
    if (call->over)
        return;
    call->waiting = memory_grow(call->waiting, call->waiting_count, sizeof(*call->waiting));
    call->waiting[call->waiting_count] = copy_bytes(message, length);
    call->waiting[call->waiting_count++].compressed = call->sends_compressed;
    deliver(call);
}

void berth_testing_call_half_close(struct berth_testing_call *call)
{
    if (call->over)
        return;
    call->half_close_waits = true;
    deliver(call);
}

void berth_testing_call_cancel(struct berth_testing_call *call)
{
    cancel(call, BERTH_CANCELLED);
}

void berth_testing_call_set_compressed(struct berth_testing_call *call, bool compressed)
{
    call->sends_compressed = compressed;
}

void berth_testing_call_set_slow(struct berth_testing_call *call, bool slow)
{
    bool tell = call->was_refused && !slow;

    call->slow = slow;
    if (!tell)
        return;
    call->was_refused = false;
    if (call->call != NULL)
        call->testing->host.router->writable(call->call);
}

static bool call_is_over(void *context)
{
    const struct berth_testing_call *call = context;

    return call->over;
}

struct berth_testing_call *berth_testing_unary(struct berth_testing *testing, const char *path,
                                               const void *message, size_t length)
{
    struct berth_testing_call *call = berth_testing_call_create(testing, path, NULL);

    berth_testing_call_send(call, message, length);
    berth_testing_call_half_close(call);
    fake_wait(testing, call_is_over, call, true);
    return call;
}

static void free_bytes(struct bytes *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(items[i].data);
    free(items);
}

static void free_pairs(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->items[i].key);
        free(pairs->items[i].value);
    }
    free(pairs->items);
}

void berth_testing_call_destroy(struct berth_testing_call *call)
{
    if (call == NULL)
        return;
    if (call->testing != NULL) {
        cancel(call, BERTH_CANCELLED);
        LIST_REMOVE(call, link);
    }
    free_bytes(call->waiting, call->waiting_count);
    free_bytes(call->replies, call->reply_count);
    free_pairs(&call->headers);
    free_pairs(&call->trailers);
    free(call->message);
    free(call);
}

void fake_calls_finish(struct berth_testing *testing)
{
    while (!LIST_EMPTY(&testing->calls)) {
        struct berth_testing_call *call = LIST_FIRST(&testing->calls);

        cancel(call, BERTH_CANCELLED);
        LIST_REMOVE(call, link);
        call->testing = NULL;
    }
}

enum berth_code berth_testing_call_code(const struct berth_testing_call *call)
{
    return call->over ? call->code : BERTH_PENDING;
}

const char *berth_testing_call_message(const struct berth_testing_call *call)
{
    return call->over ? call->message : "";
}

size_t berth_testing_call_reply_count(const struct berth_testing_call *call)
{
    return call->reply_count;
}

const void *berth_testing_call_reply(const struct berth_testing_call *call, size_t i, size_t *ret_length)
{
    if (i >= call->reply_count)
        return NULL;
    if (ret_length != NULL)
        *ret_length = call->replies[i].length;
    return call->replies[i].data;
}

bool berth_testing_call_reply_is_compressed(const struct berth_testing_call *call, size_t i)
{
    return i < call->reply_count && call->replies[i].compressed;
}

static const char *find_pair(const struct pairs *pairs, const char *key)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (strcmp(pairs->items[i].key, key) == 0)
            return pairs->items[i].value;
    return NULL;
}

const char *berth_testing_call_header(const struct berth_testing_call *call, const char *key)
{
    return find_pair(&call->headers, key);
}

const char *berth_testing_call_trailer(const struct berth_testing_call *call, const char *key)
{
    return find_pair(&call->trailers, key);
}
