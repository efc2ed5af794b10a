/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a server's response, and maps everything that can go wrong with it to one status code (gRPC over
 * HTTP/2, Responses).
 */
#include "client.h"

#include <string.h>

#include <sdk/rpc/message/metadata.h>

static bool read_number(const char *text, size_t length, unsigned *ret_number)
{
    unsigned number = 0;

    if (length == 0 || length > 3)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    *ret_number = number;
    return true;
}

static void add_status(struct response *response, const char *value, size_t length)
{
    unsigned number = BERTH_UNKNOWN;

    response->has_status = true;
    if (!read_number(value, length, &number) || number > BERTH_UNAUTHENTICATED)
        number = BERTH_UNKNOWN;
    response->code = (enum berth_code)number;
}

static void add_message(struct response *response, struct berth_arena *arena, const char *value,
                        size_t length)
{
    char *text = berth_arena_take(arena, length + 1);

    if (text == NULL)
        return;
    length = percent_decode(value, length, text);
    text[length] = '\0';
    response->message = text;
}

static bool add_protocol_field(struct response *response, struct berth_arena *arena, const char *name,
                               size_t name_length, const char *value, size_t value_length)
{
    if (metadata_is(name, name_length, ":status")) {
        if (!read_number(value, value_length, &response->http_status))
            response->is_malformed = true;
    } else if (metadata_is(name, name_length, "content-type")) {
        response->is_grpc = value_length >= 16 && memcmp(value, "application/grpc", 16) == 0;
    } else if (metadata_is(name, name_length, "grpc-status")) {
        add_status(response, value, value_length);
    } else if (metadata_is(name, name_length, "grpc-encoding")) {
        response->coding = coding_parse(value, value_length);
    } else if (metadata_is(name, name_length, "grpc-message")) {
        add_message(response, arena, value, value_length);
    } else {
        return metadata_is_reserved(name, name_length) && !metadata_is_binary(name, name_length);
    }
    return true;
}

void response_add(struct response *response, struct berth_arena *arena, bool is_trailer, const char *name,
                  size_t name_length, const char *value, size_t value_length, size_t max_header_bytes)
{
    response->header_bytes += metadata_size(name, name_length, value, value_length);
    if (response->header_bytes > max_header_bytes) {
        response->is_too_large = true;
        return;
    }
    if (add_protocol_field(response, arena, name, name_length, value, value_length))
        return;
    if (metadata_receive(is_trailer ? &response->trailers : &response->headers, arena, name, name_length,
                         value, value_length) != BERTH_OK)
        response->is_malformed = true;
}

/* doc/http-grpc-status-mapping.md of gRPC. */
static enum berth_code code_of_http(unsigned status)
{
    switch (status) {
    case 400:
        return BERTH_INTERNAL;
    case 401:
        return BERTH_UNAUTHENTICATED;
    case 403:
        return BERTH_PERMISSION_DENIED;
    case 404:
        return BERTH_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return BERTH_UNAVAILABLE;
    default:
        return BERTH_UNKNOWN;
    }
}

/* gRPC over HTTP/2, Errors. */
static enum berth_code code_of_stream_error(uint32_t error)
{
    switch (error) {
    case NGHTTP2_REFUSED_STREAM:
        return BERTH_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return BERTH_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return BERTH_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return BERTH_PERMISSION_DENIED;
    default:
        return BERTH_INTERNAL;
    }
}

static const char *sentence_of(uint32_t error)
{
    switch (error) {
    case NGHTTP2_REFUSED_STREAM:
        return "the server refused the call before processing it";
    case NGHTTP2_CANCEL:
        return "the server cancelled the call";
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return "the server asked this client to slow down";
    case NGHTTP2_INADEQUATE_SECURITY:
        return "the server requires a more secure connection";
    default:
        return nghttp2_http2_strerror(error);
    }
}

static enum berth_code complain(const char **ret_message, enum berth_code code, const char *message)
{
    *ret_message = message;
    return code;
}

bool response_is_foreign(const struct response *response)
{
    return response->has_headers && !response->has_status &&
           (response->http_status != 200 || !response->is_grpc);
}

enum berth_code response_result(const struct response *response, uint32_t stream_error,
                                const char **ret_message)
{
    if (response->is_too_large)
        return complain(ret_message, BERTH_RESOURCE_EXHAUSTED,
                        "the server's headers exceed max_header_list_bytes");
    if (response->is_malformed)
        return complain(ret_message, BERTH_INTERNAL, "the server sent invalid metadata");
    if (response->has_status)
        return complain(ret_message, response->code, response->message == NULL ? "" : response->message);
    if (response->http_status != 0 && response->http_status != 200)
        return complain(ret_message, code_of_http(response->http_status),
                        "the server answered with an HTTP error");
    if (response->http_status == 200 && !response->is_grpc)
        return complain(ret_message, BERTH_UNKNOWN, "the server answered with something that is not gRPC");
    if (stream_error != NGHTTP2_NO_ERROR)
        return complain(ret_message, code_of_stream_error(stream_error), sentence_of(stream_error));
    return complain(ret_message, BERTH_INTERNAL, "the server ended the call without a status");
}
