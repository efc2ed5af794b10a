/* SPDX-License-Identifier: Apache-2.0 */
/* From a Request to an open call: checks what it says, and opens it at the router. */
#include "ttrpc.h"

#include <string.h>

#include <sdk/base/container_of.h>

static void on_overdue(struct deadline *deadline)
{
    server_ttrpc_call_abort(CONTAINER_OF(deadline, struct server_ttrpc_call, deadline),
                            BERTH_DEADLINE_EXCEEDED, "deadline exceeded");
}

/* @return false where there is no time left. */
static bool start_deadline(struct server_ttrpc_call *self, int64_t timeout, uint64_t *ret_deadline_ns)
{
    *ret_deadline_ns = 0;
    if (timeout == 0)
        return true;
    if (timeout < 0) {
        server_ttrpc_call_end(self, BERTH_DEADLINE_EXCEEDED,
                              "deadline exceeded: the call came with no time left", NULL, 0);
        return false;
    }
    *ret_deadline_ns = uv_hrtime() + (uint64_t)timeout;
    if (deadlines_start(&server_ttrpc_call_server(self)->engine.deadlines, &self->deadline, *ret_deadline_ns,
                        on_overdue))
        return true;
    server_ttrpc_call_end(self, BERTH_RESOURCE_EXHAUSTED, "out of memory", NULL, 0);
    return false;
}

/* What handlers get as a C string must end where the peer ended it. */
static bool is_word(struct span text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.bytes[i] <= ' ' || text.bytes[i] == 0x7f)
            return false;
    return true;
}

static const char *copy_key(struct berth_arena *arena, struct span key)
{
    char *copy = berth_arena_copy(arena, key.bytes, key.length);

    for (size_t i = 0; copy != NULL && i < key.length; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] + ('a' - 'A'));
    return copy;
}

static enum berth_code take_pair(struct server_ttrpc_call *self, const struct ttrpc_pair *pair)
{
    struct berth_metadata item = {.value_length = pair->value.length};

    if (pair->key.length == 0 || !is_word(pair->key))
        return BERTH_INVALID_ARGUMENT;
    item.key = copy_key(&self->arena, pair->key);
    item.value = berth_arena_copy(&self->arena, pair->value.bytes, pair->value.length);
    if (item.key == NULL || item.value == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    return metadata_add(&self->metadata, &self->arena, item);
}

static enum berth_code take_metadata(struct server_ttrpc_call *self, struct span rest)
{
    enum berth_code code = BERTH_OK;
    struct ttrpc_pair pair;

    while (code == BERTH_OK && ttrpc_metadata_next(&rest, &pair))
        code = take_pair(self, &pair);
    return code;
}

static char *make_path(struct server_ttrpc_call *self, const struct ttrpc_request *request)
{
    char *path = berth_arena_take(&self->arena, request->service.length + request->method.length + 3);
    unsigned char *place = (unsigned char *)path;

    if (path == NULL)
        return NULL;
    *place++ = '/';
    place = wire_write_raw(place, request->service.bytes, request->service.length);
    *place++ = '/';
    place = wire_write_raw(place, request->method.bytes, request->method.length);
    *place = '\0';
    return path;
}

/* @return NULL where the call is refused. */
static const char *take_head(struct server_ttrpc_call *self, const struct ttrpc_request *request,
                             struct span bytes)
{
    uint32_t most = server_ttrpc_call_server(self)->limits.max_header_list_bytes;
    enum berth_code code = BERTH_OK;
    const char *path = NULL;
    char text[128];

    if (request->service.length + request->method.length + request->metadata_bytes > most) {
        snprintf(text, sizeof(text), "the request's metadata is larger than this server takes (%lu bytes)",
                 (unsigned long)most);
        server_ttrpc_call_end(self, BERTH_RESOURCE_EXHAUSTED, text, NULL, 0);
        return NULL;
    }
    if (!is_word(request->service) || !is_word(request->method)) {
        server_ttrpc_call_end(self, BERTH_UNIMPLEMENTED, "malformed method name", NULL, 0);
        return NULL;
    }
    if (request->metadata_count > 0)
        code = take_metadata(self, bytes);
    if (code == BERTH_OK && (path = make_path(self, request)) == NULL)
        code = BERTH_RESOURCE_EXHAUSTED;
    if (code != BERTH_OK)
        server_ttrpc_call_end(self, code,
                              code == BERTH_INVALID_ARGUMENT ? "a key of the request's metadata is no word"
                                                             : "out of memory",
                              NULL, 0);
    return path;
}

static void open_call(struct server_ttrpc_call *self, uint64_t deadline_ns)
{
    const struct berth_call_request opening = {
        .size = sizeof(opening),
        .path = self->path,
        .transport = "ttrpc",
        .peer = &self->peer->connection->peer.who,
        .deadline_ns = deadline_ns,
        .metadata = self->metadata.items,
        .metadata_count = self->metadata.count,
        .stream = server_ttrpc_call_to_router(self),
        .stream_ops = &server_ttrpc_call_ops,
    };
    const struct berth_router *router = server_ttrpc_call_server(self)->router;
    struct berth_call *call = router->open(router, &opening);

    if (!self->is_ended)
        self->call = call;
}

static void take_first(struct server_ttrpc_call *self, const struct ttrpc_request *request, unsigned flags)
{
    if (request->has_payload)
        server_ttrpc_call_take(self, request->payload);
    if ((flags & TTRPC_REMOTE_OPEN) == 0 || (flags & TTRPC_REMOTE_CLOSED) != 0)
        server_ttrpc_call_half_close(self);
}

void server_ttrpc_call_open(struct server_ttrpc_call *self, const struct ttrpc_request *request,
                            struct span bytes, unsigned flags)
{
    uint64_t deadline_ns;

    server_ttrpc_call_server(self)->stats.calls_opened++;
    self->path = take_head(self, request, bytes);
    if (self->path == NULL || !start_deadline(self, request->timeout_nano, &deadline_ns))
        return;
    open_call(self, deadline_ns);
    if (self->call == NULL)
        return;
    if (self->call->kind == BERTH_METHOD_UNARY || self->call->kind == BERTH_METHOD_SERVER_STREAM)
        server_ttrpc_call_take_only(self, request->payload);
    else
        take_first(self, request, flags);
}
