/* SPDX-License-Identifier: Apache-2.0 */
/* A channel's calls over HTTP/2: what a request consists of, and how it is sent and given up. */
#include "state.h"

#include <string.h>

#include <sdk/rpc/message/metadata.h>

/* :method, :scheme, :path, :authority, te, content-type, user-agent, grpc-timeout, grpc-accept-encoding,
 * grpc-encoding */
#define PROTOCOL_FIELDS 10

static void on_chunk(struct http2 *http2, void *stream_data, int32_t stream_id, const uint8_t *bytes,
                     size_t length, bool is_last)
{
    if (stream_data == NULL)
        http2_consume(http2, stream_id, length);
    else
        client_call_take(stream_data, bytes, length);
}

static int start(struct client_connection *connection)
{
    connection->http2.connection = &connection->base;
    connection->http2.on_chunk = on_chunk;
    if (client_session_start(connection) != 0)
        return UV_ENOMEM;
    return connection_start(&connection->base, &http2_protocol, &connection->http2);
}

static void lose(struct client_connection *connection)
{
}

static bool has_room(const struct client_connection *connection)
{
    return connection->open_streams < nghttp2_session_get_remote_settings(
                                          connection->http2.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

static nghttp2_nv field(const char *name, const char *value, size_t length)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .value = (uint8_t *)value,
                        .namelen = strlen(name),
                        .valuelen = length,
                        .flags = NGHTTP2_NV_FLAG_NONE};
}

static size_t make_fields(struct berth_rpc_call *call, nghttp2_nv *fields, char timeout[TIMEOUT_TEXT_MAX])
{
    uint64_t now = uv_hrtime();
    size_t count = 0;

    fields[count++] = field(":method", "POST", 4);
    fields[count++] = call->channel->tls == NULL ? field(":scheme", "http", 4) : field(":scheme", "https", 5);
    fields[count++] = field(":path", call->path, strlen(call->path));
    fields[count++] = field(":authority", call->channel->authority, strlen(call->channel->authority));
    fields[count++] = field("te", "trailers", 8);
    fields[count++] = field("content-type", "application/grpc", 16);
    fields[count++] = field("user-agent", call->channel->user_agent, strlen(call->channel->user_agent));
    fields[count++] = field("grpc-accept-encoding", CODING_ACCEPTED, strlen(CODING_ACCEPTED));
    if (call->outflow.coding != CODING_IDENTITY)
        fields[count++] = field("grpc-encoding", coding_name(call->outflow.coding),
                                strlen(coding_name(call->outflow.coding)));
    if (call->deadline_ns != 0) {
        timeout_format(call->deadline_ns > now ? call->deadline_ns - now : 1, timeout);
        fields[count++] = field("grpc-timeout", timeout, strlen(timeout));
    }
    for (size_t i = 0; i < call->metadata.count; i++)
        fields[count++] = field(call->metadata.items[i].key, call->metadata.items[i].value,
                                call->metadata.items[i].value_length);
    return count;
}

static void submit(struct berth_rpc_call *call, struct client_connection *connection)
{
    nghttp2_nv *fields =
        berth_arena_take(&call->arena, (PROTOCOL_FIELDS + call->metadata.count) * sizeof(*fields));
    nghttp2_data_provider provider = http2_provider(&call->outflow);
    char timeout[TIMEOUT_TEXT_MAX];
    int32_t id = NGHTTP2_ERR_NOMEM;

    if (fields != NULL)
        id = nghttp2_submit_request(connection->http2.session, NULL, fields,
                                    make_fields(call, fields, timeout), &provider, call);
    if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE) {
        client_connection_retire(connection);
        return;
    }
    if (id < 0) {
        client_call_end(call, BERTH_UNAVAILABLE, nghttp2_strerror(id));
        return;
    }
    client_call_join(call, &connection->calls);
    call->id = id;
    call->is_unknown = false;
    call->connection = connection;
    connection->is_used = true;
    call->batch_number = connection->base.batch_number + 1;
    connection->open_streams++;
    keepalive_wake(&connection->keepalive);
    call->outflow.queued = &connection->base.queued;
    budget_take(&connection->base.queued, call->outflow.outbox.length);
    connection_touch(&connection->base);
}

static void wake(struct berth_rpc_call *call)
{
    http2_wake(&call->connection->http2, &call->outflow, call->id);
    connection_touch(&call->connection->base);
}

static void reset(struct berth_rpc_call *call)
{
    nghttp2_submit_rst_stream(call->connection->http2.session, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
    connection_touch(&call->connection->base);
}

static void give_held(struct berth_rpc_call *call)
{
    client_call_take(call, NULL, 0);
}

static enum berth_code add_metadata(struct berth_rpc_call *call, const struct berth_metadata *item)
{
    return metadata_prepare(&call->metadata, &call->arena, item->key, item->value, item->value_length);
}

static enum berth_code may_send(const struct berth_rpc_call *call, size_t length)
{
    return BERTH_OK;
}

const struct client_protocol client_http2 = {
    .start = start,
    .lose = lose,
    .has_room = has_room,
    .submit = submit,
    .wake = wake,
    .reset = reset,
    .give_held = give_held,
    .add_metadata = add_metadata,
    .may_send = may_send,
};
