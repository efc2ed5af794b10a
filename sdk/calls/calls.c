/* SPDX-License-Identifier: Apache-2.0 */
/* All open calls of a router: the memory of each, and a walk over them that they may end during. */
#include "calls.h"

#include <stdlib.h>
#include <string.h>

/* Memory of calls that ended is kept for those that begin, so that a busy router needs no malloc. This is
 * what a call takes as a rule, its copies of a request's headers included; larger ones are not kept. */
#define KEPT_BYTES 1024

/* A few busy connections' worth. */
#define KEPT_MAX 256

/* Under AddressSanitizer every call has memory of its own, so that it sees who touches one that has ended. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_NONE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_NONE 1
#endif
#endif
#ifndef KEEPS_NONE
#define KEEPS_NONE 0
#endif

/* @return memory for a call: `fixed` bytes, zero except for `block_bytes`, and `more` behind them; or NULL.
 */
static struct call *take_block(struct calls *calls, size_t fixed, size_t more)
{
    size_t size = fixed + more > KEPT_BYTES ? fixed + more : KEPT_BYTES;
    struct call *call = size == KEPT_BYTES ? LIST_FIRST(&calls->kept) : NULL;

    if (call != NULL) {
        LIST_REMOVE(call, link);
        calls->kept_count--;
    } else {
        call = malloc(size);
    }
    if (call == NULL)
        return NULL;
    memset(call, 0, fixed);
    call->block_bytes = size;
    return call;
}

static void give_block(struct calls *calls, struct call *call)
{
    if (KEEPS_NONE || call->block_bytes != KEPT_BYTES || calls->kept_count >= KEPT_MAX) {
        free(call);
        return;
    }
    LIST_INSERT_HEAD(&calls->kept, call, link);
    calls->kept_count++;
}

/* A handful is usual; a server that makes up new ones all the time costs no memory. */
#define TRANSPORTS_MAX 64

struct name {
    SLIST_ENTRY(name) link;
    char text[];
};

/* @return NULL without memory. */
static const char *keep_transport(struct calls *calls, const char *transport)
{
    struct name *name;
    size_t size;

    SLIST_FOREACH(name, &calls->transports, link)
    {
        if (strcmp(name->text, transport) == 0)
            return name->text;
    }
    if (calls->transport_count == TRANSPORTS_MAX)
        return "other";
    size = strlen(transport) + 1;
    name = malloc(sizeof(*name) + size);
    if (name == NULL)
        return NULL;
    memcpy(name->text, transport, size);
    SLIST_INSERT_HEAD(&calls->transports, name, link);
    calls->transport_count++;
    return name->text;
}

void calls_init(struct calls *calls, const struct berth_call_ops *operations,
                void (*on_gone)(struct calls *calls, struct chain *chain))
{
    handles_init(&calls->handles, &calls->observer);
    calls->operations = operations;
    calls->on_gone = on_gone;
    TAILQ_INIT(&calls->gated);
}

void calls_finish(struct calls *calls)
{
    while (!LIST_EMPTY(&calls->kept)) {
        struct call *call = LIST_FIRST(&calls->kept);

        LIST_REMOVE(call, link);
        free(call);
    }
    calls->kept_count = 0;
    handles_finish(&calls->handles);
    while (!SLIST_EMPTY(&calls->transports)) {
        struct name *name = SLIST_FIRST(&calls->transports);

        SLIST_REMOVE_HEAD(&calls->transports, link);
        free(name);
    }
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

void call_enter_code(struct call *call, enum router_part part, const void *owner)
{
    const struct router_observer *observer = &call->calls->observer;

    call->hooks_running += part == ROUTER_INTERCEPTOR;
    if (observer->on_enter != NULL)
        observer->on_enter(observer->context, owner, part, call->public);
}

void call_leave_code(struct call *call, enum router_part part, const void *owner)
{
    const struct router_observer *observer = &call->calls->observer;

    call->hooks_running -= part == ROUTER_INTERCEPTOR;
    if (observer->on_leave != NULL)
        observer->on_leave(observer->context, owner, call->public);
}

static void free_annotations(struct call *call)
{
    struct annotation *annotation;

    while ((annotation = call->annotations) != NULL) {
        call->annotations = annotation->next;
        free(annotation->value);
        free(annotation);
    }
}

/* Reads only the members that the server's header had. */
static struct berth_peer known_peer(const struct berth_call_request *request)
{
    const struct berth_peer *peer = request->peer != NULL ? request->peer : &handle_unknown_peer;
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

/* Bytes that a call needs behind its hooks for its copies of the request. */
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
    call->public->peer = own_peer;
    call->public->metadata = metadata;
    call->public->metadata_count = request->metadata_count;
}

struct call *call_create(struct calls *calls, struct chain *chain, const struct route_method *method,
                         const struct berth_call_request *request)
{
    struct berth_peer peer = known_peer(request);
    size_t fixed = sizeof(struct call) + chain->count * sizeof(struct hook_state);
    const char *transport = keep_transport(calls, request->transport);
    struct call *call = transport != NULL ? take_block(calls, fixed, copies_size(request, &peer)) : NULL;
    struct handle *handle = call != NULL ? handle_take(&calls->handles) : NULL;

    if (call == NULL)
        return NULL;
    if (handle == NULL) {
        give_block(calls, call);
        return NULL;
    }
    *handle = (struct handle){
        .public = {.size = sizeof(handle->public),
                   .ops = calls->operations,
                   .path = method->path,
                   .service = method->route->service,
                   .method = method->name,
                   .kind = method->kind,
                   .transport = transport,
                   .deadline_ns = request->deadline_ns},
        .handles = &calls->handles,
        .call = call,
    };
    call->public = &handle->public;
    copy_request(call, request, &peer, (char *)call + fixed);
    call->calls = calls;
    call->hook_states = call->own_states;
    call->chain = chain;
    chain->references++;
    call->method = method;
    method->counts->opened++;
    call->stream = request->stream;
    call->stream_ops = request->stream_ops;
    LIST_INSERT_HEAD(&calls->all, call, link);
    return call;
}

void call_free(struct call *call)
{
    struct handle *handle = handle_of(call->public);

    unlink_call(call);
    free_annotations(call);
    free(call->request);
    if (call->hook_states != call->own_states)
        free(call->hook_states);
    handle_give(handle);
    give_block(call->calls, call);
}
