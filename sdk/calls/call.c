/* SPDX-License-Identifier: Apache-2.0 */
/* One call: its memory, who works on it, and how it ends whatever happens inside its callbacks. */
#include "call.h"

#include <stdlib.h>
#include <string.h>

/* A code that may travel on a wire. */
static enum berth_code wire_code(enum berth_code code)
{
    return (int)code >= 0 && (int)code <= BERTH_UNAUTHENTICATED ? code : BERTH_UNKNOWN;
}

const struct berth_method *call_handler(const struct call *call)
{
    return &call->binding->methods[call->method->index];
}

struct call *calls_next(struct calls *calls, struct call_cursor *cursor)
{
    struct call *call = cursor->next;

    if (call == NULL)
        calls->cursors = cursor->outer;
    else
        cursor->next = LIST_NEXT(call, link);
    return call;
}

struct call *calls_first(struct calls *calls, struct call_cursor *cursor)
{
    *cursor = (struct call_cursor){.next = LIST_FIRST(&calls->all), .outer = calls->cursors};
    calls->cursors = cursor;
    return calls_next(calls, cursor);
}

static void unlink_call(struct call *call)
{
    for (struct call_cursor *cursor = call->calls->cursors; cursor != NULL; cursor = cursor->outer)
        if (cursor->next == call)
            cursor->next = LIST_NEXT(call, link);
    LIST_REMOVE(call, link);
}

static void call_free(struct call *call)
{
    call_free_annotations(call);
    chain_drop(call->chain);
    free(call->request);
    calls_give_block(call->calls, call);
}

/* The last that is heard of a call: nobody works on it any more. */
static void call_release(struct call *call)
{
    struct calls *calls = call->calls;
    const void *instance = call->public.instance;
    bool started = call->started;

    if (started) {
        call->depth++;
        if (call_handler(call)->on_end != NULL)
            call_handler(call)->on_end(&call->public, call->code);
        binding_unpin(call->binding);
    }
    unlink_call(call);
    call_free(call);
    if (started)
        calls->on_unpinned(calls, instance);
}

void call_enter(struct call *call)
{
    call->calls->depth++;
    call->depth++;
}

void call_leave(struct call *call)
{
    call->calls->depth--;
    if (--call->depth == 0 && call->ended)
        call_release(call);
}

void call_leave_to_handler(struct call *call)
{
    call->calls->depth--;
    if (--call->depth == 0 && call->ended)
        call->calls->abandoned++;
}

void calls_reap(struct calls *calls)
{
    struct call_cursor cursor;

    if (calls->abandoned == 0 || calls->depth > 0)
        return;
    calls->abandoned = 0;
    for (struct call *call = calls_first(calls, &cursor); call != NULL; call = calls_next(calls, &cursor))
        if (call->ended && call->depth == 0)
            call_release(call);
}

void call_decide(struct call *call, enum berth_code code, const char *message, const void *details,
                 size_t details_length)
{
    struct berth_stream *stream;

    if (call->ended)
        return;
    call->ended = true;
    call->code = wire_code(code);
    call_leave_queue(call);
    call_finish_hooks(call, message);
    stream = call->stream;
    call->stream = NULL;
    if (stream != NULL)
        call->stream_ops->finish(stream, call->code, message, details, details_length);
}

void call_end(struct call *call, enum berth_code code, const char *message)
{
    call_enter(call);
    call_decide(call, code, message, NULL, 0);
    call_leave(call);
}

void call_update_pause(struct call *call)
{
    bool pause = call->handler_paused || !call->started;

    if (call->ended || pause == call->stream_paused)
        return;
    call->stream_paused = pause;
    if (pause)
        call->stream_ops->pause(call->stream);
    else
        call->stream_ops->resume(call->stream);
}

static const struct berth_peer unknown_peer = {
    .size = sizeof(unknown_peer),
    .address = "unknown",
    .pid = -1,
    .uid = -1,
    .gid = -1,
};

/* The text of a certificate, where the server's header knew of it. */
static struct berth_peer known_peer(const struct berth_call_request *request)
{
    const struct berth_peer *peer = request->peer != NULL ? request->peer : &unknown_peer;
    struct berth_peer known = {.size = sizeof(known),
                               .address = peer->address,
                               .pid = peer->pid,
                               .uid = peer->uid,
                               .gid = peer->gid};

    if (peer->size >= sizeof(known)) {
        known.tls_subject = peer->tls_subject;
        known.tls_names = peer->tls_names;
        known.tls_name_count = peer->tls_name_count;
    }
    return known;
}

static size_t peer_size(const struct berth_peer *peer)
{
    size_t size = sizeof(*peer) + strlen(peer->address) + 1;

    if (peer->tls_subject != NULL)
        size += strlen(peer->tls_subject) + 1;
    for (size_t i = 0; i < peer->tls_name_count; i++)
        size += sizeof(char *) + strlen(peer->tls_names[i]) + 1;
    return size;
}

/* Bytes that a call needs behind its hooks for what it copies out of the request. */
static size_t copies_size(const struct berth_call_request *request, const struct berth_peer *peer)
{
    size_t size = peer_size(peer);

    for (size_t i = 0; i < request->metadata_count; i++)
        size += sizeof(struct berth_metadata) + strlen(request->metadata[i].key) + 1 +
                request->metadata[i].value_length + 1;
    return size;
}

static const char *copy_text(char **cursor, const char *text, size_t length)
{
    char *copy = *cursor;

    memcpy(copy, text, length);
    copy[length] = '\0';
    *cursor += length + 1;
    return copy;
}

static void copy_peer(struct berth_peer *own, const char **names, const struct berth_peer *peer,
                      char **cursor)
{
    *own = *peer;
    own->address = copy_text(cursor, peer->address, strlen(peer->address));
    if (peer->tls_subject != NULL)
        own->tls_subject = copy_text(cursor, peer->tls_subject, strlen(peer->tls_subject));
    for (size_t i = 0; i < peer->tls_name_count; i++)
        names[i] = copy_text(cursor, peer->tls_names[i], strlen(peer->tls_names[i]));
    own->tls_names = names;
}

/* The peer, its list of names, the list of metadata, and behind them all texts. */
static void copy_request(struct call *call, const struct berth_call_request *request,
                         const struct berth_peer *peer, void *space)
{
    struct berth_peer *own_peer = space;
    const char **names = (const char **)(own_peer + 1);
    struct berth_metadata *metadata = (struct berth_metadata *)(names + peer->tls_name_count);
    char *cursor = (char *)(metadata + request->metadata_count);

    copy_peer(own_peer, names, peer, &cursor);
    for (size_t i = 0; i < request->metadata_count; i++) {
        const struct berth_metadata *from = &request->metadata[i];

        metadata[i].key = copy_text(&cursor, from->key, strlen(from->key));
        metadata[i].value = copy_text(&cursor, from->value, from->value_length);
        metadata[i].value_length = from->value_length;
    }
    call->public.peer = own_peer;
    call->public.metadata = metadata;
    call->public.metadata_count = request->metadata_count;
}

static struct call *call_create(struct calls *calls, struct chain *chain, const struct route_method *method,
                                const struct berth_call_request *request)
{
    struct berth_peer peer = known_peer(request);
    size_t fixed = sizeof(struct call) + chain->count * sizeof(struct hook_state);
    struct call *call = calls_take_block(calls, fixed, copies_size(request, &peer));

    if (call == NULL)
        return NULL;
    call->public = (struct berth_call){
        .size = sizeof(call->public),
        .ops = &call_ops,
        .path = method->path,
        .service = method->route->service,
        .method = method->name,
        .kind = method->kind,
        .transport = request->transport,
        .deadline_ns = request->deadline_ns,
    };
    copy_request(call, request, &peer, (char *)call + fixed);
    call->calls = calls;
    call->chain = chain_take(chain);
    call->method = method;
    call->stream = request->stream;
    call->stream_ops = request->stream_ops;
    LIST_INSERT_HEAD(&calls->all, call, link);
    return call;
}

struct berth_call *call_open(struct calls *calls, struct chain *chain, const struct route_method *method,
                             const struct berth_call_request *request)
{
    struct call *call;
    bool ended;

    calls_reap(calls);
    call = call_create(calls, chain, method, request);
    if (call == NULL) {
        request->stream_ops->finish(request->stream, BERTH_RESOURCE_EXHAUSTED, "no memory for the call", NULL,
                                    0);
        return NULL;
    }
    if (BERTH_STREAM_OPS_HAVE(request->stream_ops, found))
        request->stream_ops->found(request->stream, call->public.kind);
    call_enter(call);
    call_proceed(call);
    ended = call->ended;
    call_leave(call);
    return ended ? NULL : &call->public;
}
