/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the headers of a call, and rejects requests that are not gRPC (gRPC over HTTP/2, Requests). */
#include "request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sdk/rpc/message/metadata.h>

#define MESSAGE_MAX 256
/* The most of a peer's value that is worth quoting to it. */
#define QUOTED_MAX 64

#define GRPC_CONTENT_TYPE "application/grpc"

void request_init(struct request *request, struct berth_arena *arena)
{
    *request = (struct request){.arena = arena, .timeout_ns = UINT64_MAX, .http_status = "200"};
}

/* The first error counts, unless the peer does not speak gRPC at all. */
BERTH_PRINTF(4, 5)
static void complain(struct request *request, const char *http_status, enum berth_code code,
                     const char *format, ...)
{
    char text[MESSAGE_MAX];
    va_list arguments;

    if (request->code != BERTH_OK && strcmp(http_status, "200") == 0)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    request->code = code;
    request->http_status = http_status;
    request->message = berth_arena_copy(request->arena, text, strlen(text));
}

static int quotable(size_t length)
{
    return (int)(length < QUOTED_MAX ? length : QUOTED_MAX);
}

static bool is_grpc(const char *type, size_t length)
{
    size_t prefix = strlen(GRPC_CONTENT_TYPE);

    return length >= prefix && memcmp(type, GRPC_CONTENT_TYPE, prefix) == 0 &&
           (length == prefix || type[prefix] == '+' || type[prefix] == ';');
}

static void add_content_type(struct request *request, const char *value, size_t length)
{
    if (metadata_is(value, length, GRPC_CONTENT_TYPE))
        request->content_type = GRPC_CONTENT_TYPE;
    else if (is_grpc(value, length))
        request->content_type = berth_arena_copy(request->arena, value, length);
    else
        complain(request, "415", BERTH_INVALID_ARGUMENT, "invalid gRPC request content-type \"%.*s\"",
                 quotable(length), value);
}

static void add_timeout(struct request *request, const char *value, size_t length)
{
    if (!timeout_parse(value, length, &request->timeout_ns))
        complain(request, "400", BERTH_INTERNAL, "malformed grpc-timeout \"%.*s\"", quotable(length), value);
}

static void add_encoding(struct request *request, const char *value, size_t length)
{
    request->speaks_of_coding = true;
    request->coding = coding_parse(value, length);
    request->encoding = request->coding == CODING_UNKNOWN
                            ? berth_arena_copy(request->arena, value, (size_t)quotable(length))
                            : coding_name(request->coding);
}

static void add_accepted(struct request *request, const char *value, size_t length)
{
    request->speaks_of_coding = true;
    request->accepted = coding_choose(request->accepted, value, length);
}

static void add_method(struct request *request, const char *value, size_t length)
{
    request->is_post = metadata_is(value, length, "POST");
    if (!request->is_post)
        complain(request, "405", BERTH_INTERNAL,
                 "Received a HEADERS frame with :method \"%.*s\" which should be POST", quotable(length),
                 value);
}

static bool add_protocol_field(struct request *request, const char *name, size_t name_length,
                               const char *value, size_t value_length)
{
    if (metadata_is(name, name_length, ":path"))
        request->path = berth_arena_copy(request->arena, value, value_length);
    else if (metadata_is(name, name_length, ":method"))
        add_method(request, value, value_length);
    else if (metadata_is(name, name_length, "content-type"))
        add_content_type(request, value, value_length);
    else if (metadata_is(name, name_length, "grpc-timeout"))
        add_timeout(request, value, value_length);
    else if (metadata_is(name, name_length, "grpc-encoding"))
        add_encoding(request, value, value_length);
    else if (metadata_is(name, name_length, "grpc-accept-encoding"))
        add_accepted(request, value, value_length);
    else if (metadata_is(name, name_length, "user-agent"))
        return false;
    else
        return metadata_is_reserved(name, name_length) && !metadata_is_binary(name, name_length);
    return true;
}

void request_add(struct request *request, const char *name, size_t name_length, const char *value,
                 size_t value_length, size_t max_header_bytes)
{
    enum berth_code code;

    request->header_bytes += metadata_size(name, name_length, value, value_length);
    if (request->header_bytes > max_header_bytes) {
        complain(request, "200", BERTH_RESOURCE_EXHAUSTED, "request headers exceed the limit of %zu bytes",
                 max_header_bytes);
        return;
    }
    if (add_protocol_field(request, name, name_length, value, value_length))
        return;
    code = metadata_receive(&request->metadata, request->arena, name, name_length, value, value_length);
    if (code == BERTH_INTERNAL)
        complain(request, "200", code, "malformed binary metadata in header \"%.*s\"", quotable(name_length),
                 name);
    else if (code != BERTH_OK)
        complain(request, "200", code, "out of memory");
}

static void check_path(struct request *request)
{
    const char *path = request->path;

    if (path == NULL)
        complain(request, "200", BERTH_RESOURCE_EXHAUSTED, "out of memory");
    else if (path[0] != '/' || strrchr(path, '/') == path)
        complain(request, "200", BERTH_UNIMPLEMENTED, "malformed method name: \"%.*s\"",
                 quotable(strlen(path)), path);
}

static void check_coding(struct request *request, bool takes_compressed)
{
    if (!takes_compressed)
        request->accepted = CODING_IDENTITY;
    if (request->coding == CODING_IDENTITY || (takes_compressed && request->coding != CODING_UNKNOWN))
        return;
    complain(request, "200", BERTH_UNIMPLEMENTED,
             "grpc: Decompressor is not installed for grpc-encoding \"%s\"",
             request->encoding == NULL ? "" : request->encoding);
}

void request_complete(struct request *request, bool takes_compressed)
{
    /* If headers are too large, the rest is not looked at, and may contain the content type. */
    if (request->content_type == NULL && request->code != BERTH_RESOURCE_EXHAUSTED &&
        strcmp(request->http_status, "200") == 0)
        complain(request, "415", BERTH_INVALID_ARGUMENT, "invalid gRPC request content-type \"\"");
    if (request->content_type == NULL)
        request->content_type = GRPC_CONTENT_TYPE;
    check_coding(request, takes_compressed);
    check_path(request);
}
