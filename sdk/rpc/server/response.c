/* SPDX-License-Identifier: Apache-2.0 */
/* The headers and trailers of an answer (gRPC over HTTP/2, Responses). */
#include "state.h"

#include <string.h>

#include <sdk/rpc/message/metadata.h>
#include <sdk/base/container_of.h>

struct fields {
    nghttp2_nv *items;
    size_t count;
};

/* Literals and what stands in the call's arena: both outlive the frame. */
static void put(struct fields *fields, const char *name, const char *value, size_t length)
{
    fields->items[fields->count++] = (nghttp2_nv){
        .name = (uint8_t *)name,
        .value = (uint8_t *)value,
        .namelen = strlen(name),
        .valuelen = length,
        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
    };
}

static void put_own(struct fields *fields, const char *name, const char *value)
{
    put(fields, name, value, strlen(value));
}

static void put_list(struct fields *fields, const struct metadata_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        put(fields, list->items[i].key, list->items[i].value, list->items[i].value_length);
}

static void put_head(struct fields *fields, const struct berth_stream *stream)
{
    const struct request *request = &stream->request;

    put_own(fields, ":status", request->http_status);
    put_own(fields, "content-type",
            request->content_type != NULL ? request->content_type : "application/grpc");
    if (request->speaks_of_coding)
        put_own(fields, "grpc-accept-encoding",
                stream->connection->server->limits.compression == BERTH_RPC_COMPRESS_NEVER ? "identity"
                                                                                           : CODING_ACCEPTED);
    put_list(fields, &stream->headers);
}

/* How messages are compressed from here on, if ever: that is said once, ahead of them. */
static void put_coding(struct fields *fields, struct berth_stream *stream)
{
    if (!stream->outflow.compresses)
        stream->outflow.coding = CODING_IDENTITY;
    if (stream->outflow.coding != CODING_IDENTITY)
        put_own(fields, "grpc-encoding", coding_name(stream->outflow.coding));
}

/* Where not even that can be had, the peer learns of it by the end of the connection. */
static void reset(struct berth_stream *stream, uint32_t error)
{
    if (nghttp2_submit_rst_stream(stream->connection->http2.session, NGHTTP2_FLAG_NONE, stream->id, error) !=
        0)
        stream->connection->base.doom = "out of memory";
    connection_touch(&stream->connection->base);
}

bool server_response_begin(struct berth_stream *stream)
{
    struct fields fields = {
        .items = berth_arena_take(&stream->arena, (4 + stream->headers.count) * sizeof(nghttp2_nv))};
    nghttp2_data_provider provider = http2_provider(&stream->outflow);

    stream->is_submitted = true;
    if (fields.items == NULL) {
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return false;
    }
    put_head(&fields, stream);
    put_coding(&fields, stream);
    if (nghttp2_submit_response(stream->connection->http2.session, stream->id, fields.items, fields.count,
                                &provider) != 0) {
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return false;
    }
    connection_touch(&stream->connection->base);
    return true;
}

static bool add_message(struct berth_stream *stream, const char *message, size_t length)
{
    char *text = berth_arena_take(&stream->arena, PERCENT_ENCODED_MAX(length));

    return text != NULL &&
           metadata_add(&stream->trailers, &stream->arena,
                        (struct berth_metadata){"grpc-message", text,
                                                percent_encode(message, length, text)}) == BERTH_OK;
}

static bool add_details(struct berth_stream *stream, const void *details, size_t length)
{
    char *text = berth_arena_take(&stream->arena, BASE64_ENCODED_LENGTH(length));

    if (text == NULL)
        return false;
    base64_encode(details, length, text);
    return metadata_add(&stream->trailers, &stream->arena,
                        (struct berth_metadata){"grpc-status-details-bin", text,
                                                BASE64_ENCODED_LENGTH(length)}) == BERTH_OK;
}

/* @return false without memory. */
static bool add_status(struct berth_stream *stream, enum berth_code code, const char *message,
                       const void *details, size_t details_length)
{
    static const char *const numbers[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                          "9", "10", "11", "12", "13", "14", "15", "16"};
    const char *number = numbers[(unsigned)code <= BERTH_UNAUTHENTICATED ? (unsigned)code : BERTH_UNKNOWN];

    if (metadata_add(&stream->trailers, &stream->arena,
                     (struct berth_metadata){"grpc-status", number, strlen(number)}) != BERTH_OK)
        return false;
    if (message != NULL && message[0] != '\0' &&
        !add_message(stream, message, server_message_length(message)))
        return false;
    return details_length == 0 || add_details(stream, details, details_length);
}

static void send_trailers_only(struct berth_stream *stream)
{
    struct fields fields = {
        .items = berth_arena_take(&stream->arena,
                                  (3 + stream->headers.count + stream->trailers.count) * sizeof(nghttp2_nv))};

    stream->is_submitted = true;
    if (fields.items == NULL) {
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    put_head(&fields, stream);
    put_list(&fields, &stream->trailers);
    if (nghttp2_submit_response(stream->connection->http2.session, stream->id, fields.items, fields.count,
                                NULL) != 0)
        reset(stream, NGHTTP2_INTERNAL_ERROR);
    connection_touch(&stream->connection->base);
}

static void send_trailers(struct outflow *outflow)
{
    struct berth_stream *stream = CONTAINER_OF(outflow, struct berth_stream, outflow);
    struct fields fields = {
        .items = berth_arena_take(&stream->arena, stream->trailers.count * sizeof(nghttp2_nv))};

    if (fields.items == NULL) {
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    put_list(&fields, &stream->trailers);
    if (nghttp2_submit_trailer(stream->connection->http2.session, stream->id, fields.items, fields.count) !=
        0)
        reset(stream, NGHTTP2_INTERNAL_ERROR);
}

void server_response_end(struct berth_stream *stream, enum berth_code code, const char *message,
                         const void *details, size_t details_length)
{
    if (stream->is_closed)
        return;
    if (!add_status(stream, code, message, details, details_length)) {
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    if (!stream->is_submitted) {
        send_trailers_only(stream);
        return;
    }
    stream->outflow.on_last = send_trailers;
    stream->outflow.is_ended = true;
    http2_wake(&stream->connection->http2, &stream->outflow, stream->id);
    connection_touch(&stream->connection->base);
}
