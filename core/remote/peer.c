/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the stubs of a plugin call: peers across a wire, and providers in this process. */
#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>

#include "call.h"

static enum berth_code check(const struct remote_caller *caller, const struct berth_remote_request *request,
                             struct berth_error *err)
{
    if (caller->is_closed)
        return berth_error_set(err, BERTH_UNAVAILABLE, "the plugin that calls is closing");
    if (request->length > BERTH_REMOTE_MAX)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "the request has %zu bytes, more than the %u that cross processes",
                               request->length, BERTH_REMOTE_MAX);
    if (request->context_length > BERTH_REMOTE_CONTEXT_MAX || request->on_end == NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "a stub passed an invalid request");
    return BERTH_OK;
}

/* Across a wire */

static enum berth_code start(struct berth_remote_peer *table, const struct berth_remote_request *request,
                             struct berth_remote_call **ret_call, struct berth_error *err)
{
    struct remote_peer *peer = CONTAINER_OF(table, struct remote_peer, table);
    enum berth_code code = check(peer->caller, request, err);
    struct remote_call *call;

    if (code != BERTH_OK)
        return code;
    if (peer->wire == NULL)
        return berth_error_set(err, BERTH_UNAVAILABLE, "the plugin that provides this interface is closed");
    call = calloc(1, sizeof(*call));
    if (call == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the call");
    call->caller = peer->caller;
    call->on_end = request->on_end;
    call->due_ns = remote_due(request->timeout_ms);
    if (request->context_length > 0)
        memcpy(call->context, request->context, request->context_length);
    code = remote_wire_start(peer->wire, peer->number, call, request, err);
    if (code != BERTH_OK) {
        free(call);
        return code;
    }
    LIST_INSERT_HEAD(&peer->caller->calls, call, link);
    if (ret_call != NULL)
        *ret_call = (struct berth_remote_call *)call;
    return BERTH_OK;
}

static void cancel(struct berth_remote_peer *peer, struct berth_remote_call *opaque)
{
    struct remote_call *call = (struct remote_call *)opaque;
    uint64_t due_ns = remote_due(REMOTE_CANCEL_MS);

    if (call->is_cancelled)
        return;
    call->is_cancelled = true;
    call->due_ns = due_ns < call->due_ns ? due_ns : call->due_ns;
    remote_wire_send_cancel(call);
}

struct berth_remote_peer *remote_caller_peer(struct remote_caller *caller, struct remote_wire *wire,
                                             uint32_t number)
{
    struct remote_peer *peer;

    LIST_FOREACH(peer, &caller->peers, of_caller)
    if (peer->wire == wire && peer->number == number)
        return &peer->table;
    peer = calloc(1, sizeof(*peer));
    if (peer == NULL)
        return NULL;
    peer->table = (struct berth_remote_peer){.size = sizeof(peer->table), .start = start, .cancel = cancel};
    peer->caller = caller;
    peer->wire = wire;
    peer->number = number;
    LIST_INSERT_HEAD(&caller->peers, peer, of_caller);
    LIST_INSERT_HEAD(&wire->peers, peer, of_wire);
    return &peer->table;
}

/* In this process */

struct remote_local {
    struct berth_remote_peer table;
    LIST_ENTRY(remote_local) link;
    struct remote_caller *caller;
    const struct berth_remote *remote;
    const void *interface;
    void *instance;
};

/* One call that a provider has accepted, until it ends it: whoever called has no say in that. */
struct local_call {
    struct berth_remote_reply reply;
    berth_remote_ended *on_end;
    void *handle;
    /* Serve is on the stack; it has ended; the provider was asked to end it, which it is once. */
    bool is_serving, is_over, is_cancelled;
    _Alignas(max_align_t) uint8_t context[BERTH_REMOTE_CONTEXT_MAX];
};

static void end_local(struct berth_remote_reply *reply, enum berth_code code, const void *bytes,
                      size_t length, const char *message)
{
    struct local_call *call = CONTAINER_OF(reply, struct local_call, reply);

    if (code == BERTH_OK && length > BERTH_REMOTE_MAX)
        call->on_end(call->context, BERTH_RESOURCE_EXHAUSTED, NULL, 0, "the reply exceeds 1 MiB");
    else
        call->on_end(call->context, code, code == BERTH_OK ? bytes : NULL, code == BERTH_OK ? length : 0,
                     message != NULL ? message : "");
    call->is_over = true;
    if (!call->is_serving)
        free(call);
}

static enum berth_code start_local(struct berth_remote_peer *table,
                                   const struct berth_remote_request *request,
                                   struct berth_remote_call **ret_call, struct berth_error *err)
{
    struct remote_local *local = CONTAINER_OF(table, struct remote_local, table);
    enum berth_code code = check(local->caller, request, err);
    struct local_call *call;

    if (code != BERTH_OK)
        return code;
    call = calloc(1, sizeof(*call));
    if (call == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the call");
    call->reply = (struct berth_remote_reply){.size = sizeof(call->reply), .end = end_local};
    call->on_end = request->on_end;
    if (request->context_length > 0)
        memcpy(call->context, request->context, request->context_length);
    call->is_serving = true;
    code = local->remote->serve(local->interface, local->instance, request->method, request->bytes,
                                request->length, &call->reply, &call->handle, err);
    call->is_serving = false;
    if (call->is_over || code != BERTH_OK) {
        code = call->is_over ? BERTH_OK : code;
        free(call);
        return code;
    }
    if (ret_call != NULL)
        *ret_call = (struct berth_remote_call *)call;
    return BERTH_OK;
}

static void cancel_local(struct berth_remote_peer *table, struct berth_remote_call *opaque)
{
    struct remote_local *local = CONTAINER_OF(table, struct remote_local, table);
    struct local_call *call = (struct local_call *)opaque;

    if (call->is_cancelled)
        return;
    call->is_cancelled = true;
    local->remote->cancel(local->interface, local->instance, call->handle);
}

struct berth_remote_peer *remote_caller_local(struct remote_caller *caller, const struct berth_remote *remote,
                                              const void *table, void *instance)
{
    struct remote_local *local;

    LIST_FOREACH(local, &caller->locals, link)
    if (local->interface == table && local->instance == instance)
        return &local->table;
    local = calloc(1, sizeof(*local));
    if (local == NULL)
        return NULL;
    local->table = (struct berth_remote_peer){
        .size = sizeof(local->table), .start = start_local, .cancel = cancel_local};
    local->caller = caller;
    local->remote = remote;
    local->interface = table;
    local->instance = instance;
    LIST_INSERT_HEAD(&caller->locals, local, link);
    return &local->table;
}

/* The caller */

void remote_caller_close(struct remote_caller *caller, bool tells)
{
    caller->is_closed = true;
    while (!LIST_EMPTY(&caller->calls)) {
        struct remote_call *call = LIST_FIRST(&caller->calls);

        if (!call->is_cancelled)
            remote_wire_send_cancel(call);
        remote_wire_remove(call);
        if (tells || caller->is_worker) {
            remote_call_end(call, BERTH_CANCELLED, "the plugin that calls is closing", NULL, 0);
        } else {
            LIST_REMOVE(call, link);
            free(call);
        }
    }
}

void remote_caller_finish(struct remote_caller *caller)
{
    while (!LIST_EMPTY(&caller->peers)) {
        struct remote_peer *peer = LIST_FIRST(&caller->peers);

        LIST_REMOVE(peer, of_caller);
        if (peer->wire != NULL)
            LIST_REMOVE(peer, of_wire);
        free(peer);
    }
    while (!LIST_EMPTY(&caller->locals)) {
        struct remote_local *local = LIST_FIRST(&caller->locals);

        LIST_REMOVE(local, link);
        free(local);
    }
}
