/* SPDX-License-Identifier: Apache-2.0 */
/* Writes x.client.c: calls that pack what is sent and unpack what comes. */
#include "generate.h"

static const char head[] = "/* Written by protoc-gen-berth from $file$. Edit that one. */\n"
                           "#include \"$base$.client.h\"\n\n"
                           "#include <stdlib.h>\n"
                           "#include <string.h>\n\n";

/* What all methods of a file share. A header of the caller's may be older than this code's: its size tells.
 */
static const char shared[] =
    "static enum berth_code send_message(struct berth_rpc_call *call, const ProtobufCMessage *message)\n"
    "{\n"
    "    uint8_t small[512];\n"
    "    size_t length = protobuf_c_message_get_packed_size(message);\n"
    "    uint8_t *bytes = length <= sizeof(small) ? small : (uint8_t *)malloc(length);\n"
    "    enum berth_code code;\n\n"
    "    if (bytes == NULL)\n"
    "        return BERTH_RESOURCE_EXHAUSTED;\n"
    "    code = berth_rpc_call_send(call, bytes, protobuf_c_message_pack(message, bytes));\n"
    "    if (bytes != small)\n"
    "        free(bytes);\n"
    "    return code;\n"
    "}\n\n"
    "static enum berth_code start_call(struct berth_rpc_channel *channel,\n"
    "    const struct berth_rpc_call_options *given, const char *path, enum berth_method_kind kind,\n"
    "    const void *events, const struct berth_rpc_call_handlers *handlers, void *context,\n"
    "    struct berth_rpc_call **ret_call, struct berth_error *err)\n"
    "{\n"
    "    struct berth_rpc_call_options options;\n\n"
    "    memset(&options, 0, sizeof(options));\n"
    "    if (given != NULL)\n"
    "        memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));\n"
    "    options.size = (uint32_t)sizeof(options);\n"
    "    options.path = path;\n"
    "    options.kind = kind;\n"
    "    options.tag = events;\n"
    "    return berth_rpc_call_start(channel, &options, handlers, context, ret_call, err);\n"
    "}\n\n"
    "static ProtobufCMessage *unpack_reply(struct berth_rpc_call *call, const ProtobufCMessageDescriptor "
    "*type,\n"
    "    const void *bytes, size_t length)\n"
    "{\n"
    "    ProtobufCMessage *reply =\n"
    "        berth_unpack_within(type, bytes, length, 4 * length + BERTH_UNPACK_SLACK);\n"
    "    struct berth_error err;\n\n"
    "    if (reply != NULL)\n"
    "        return reply;\n"
    "    berth_error_set(&err, BERTH_INTERNAL, \"the server's reply is no valid %s\", type->name);\n"
    "    berth_rpc_call_fail(call, BERTH_INTERNAL, err.message);\n"
    "    return NULL;\n"
    "}\n\n";
static const char shared_one[] =
    "static enum berth_code start_with(struct berth_rpc_channel *channel,\n"
    "    const struct berth_rpc_call_options *given, const char *path, enum berth_method_kind kind,\n"
    "    const ProtobufCMessage *request, const void *events, const struct berth_rpc_call_handlers "
    "*handlers,\n"
    "    void *context, struct berth_rpc_call **ret_call, struct berth_error *err)\n"
    "{\n"
    "    struct berth_rpc_call *call;\n"
    "    enum berth_code code = start_call(channel, given, path, kind, events, handlers, context, &call, "
    "err);\n\n"
    "    if (code != BERTH_OK)\n"
    "        return code;\n"
    "    code = send_message(call, request);\n"
    "    if (code == BERTH_OK)\n"
    "        berth_rpc_call_half_close(call);\n"
    "    else\n"
    "        berth_rpc_call_fail(call, code, \"the request is larger than this channel sends or queues\");\n"
    "    if (ret_call != NULL)\n"
    "        *ret_call = call;\n"
    "    return BERTH_OK;\n"
    "}\n\n";
static const char shared_many[] =
    "static enum berth_code start_empty(struct berth_rpc_channel *channel,\n"
    "    const struct berth_rpc_call_options *given, const char *path, enum berth_method_kind kind,\n"
    "    const void *events, const struct berth_rpc_call_handlers *handlers, void *context,\n"
    "    struct berth_rpc_call **ret_call, struct berth_error *err)\n"
    "{\n"
    "    struct berth_rpc_call *call;\n"
    "    enum berth_code code = start_call(channel, given, path, kind, events, handlers, context, &call, "
    "err);\n\n"
    "    if (code == BERTH_OK && ret_call != NULL)\n"
    "        *ret_call = call;\n"
    "    return code;\n"
    "}\n\n";
static const char shared_blocking[] =
    "static enum berth_code call_blocking(const struct berth_rpc_unary_options *given, const char *path,\n"
    "    const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type,\n"
    "    ProtobufCMessage **ret_reply, struct berth_error *err)\n"
    "{\n"
    "    struct berth_rpc_unary_options options;\n"
    "    size_t length = protobuf_c_message_get_packed_size(request);\n"
    "    uint8_t *bytes = (uint8_t *)malloc(length + 1);\n"
    "    enum berth_code code;\n"
    "    void *answer;\n\n"
    "    if (bytes == NULL)\n"
    "        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, \"no memory for the request\");\n"
    "    memset(&options, 0, sizeof(options));\n"
    "    memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));\n"
    "    options.size = (uint32_t)sizeof(options);\n"
    "    options.path = path;\n"
    "    options.request = bytes;\n"
    "    options.request_length = protobuf_c_message_pack(request, bytes);\n"
    "    code = berth_rpc_unary_blocking(&options, &answer, &length, err);\n"
    "    free(bytes);\n"
    "    if (code != BERTH_OK)\n"
    "        return code;\n"
    "    *ret_reply = berth_unpack_within(type, answer, length, 4 * length + BERTH_UNPACK_SLACK);\n"
    "    free(answer);\n"
    "    if (*ret_reply == NULL)\n"
    "        return berth_error_set(err, BERTH_INTERNAL, \"the server's reply is no valid %s\", "
    "type->name);\n"
    "    return BERTH_OK;\n"
    "}\n\n";

static const char events[] =
    "static const struct $stem$_events *$stem$_find(const struct berth_rpc_call *call)\n"
    "{\n"
    "    return (const struct $stem$_events *)berth_rpc_call_tag(call);\n"
    "}\n\n"
    "static void $stem$_on_headers(void *context, struct berth_rpc_call *call,\n"
    "    const struct berth_metadata *metadata, size_t count)\n"
    "{\n"
    "    if ($stem$_find(call)->on_headers != NULL)\n"
    "        $stem$_find(call)->on_headers(context, call, metadata, count);\n"
    "}\n\n"
    "static void $stem$_on_message(void *context, struct berth_rpc_call *call, const void *message, size_t "
    "length)\n"
    "{\n"
    "    ProtobufCMessage *reply = unpack_reply(call, &$reply_symbol$__descriptor, message, length);\n\n"
    "    if (reply == NULL)\n"
    "        return;\n"
    "    if ($stem$_find(call)->on_message != NULL)\n"
    "        $stem$_find(call)->on_message(context, call, (const $reply$ *)reply);\n"
    "    protobuf_c_message_free_unpacked(reply, NULL);\n"
    "}\n\n";
static const char on_writable[] =
    "static void $stem$_on_writable(void *context, struct berth_rpc_call *call)\n"
    "{\n"
    "    if ($stem$_find(call)->on_writable != NULL)\n"
    "        $stem$_find(call)->on_writable(context, call);\n"
    "}\n\n";
static const char on_end[] =
    "static void $stem$_on_end(void *context, struct berth_rpc_call *call, enum berth_code code,\n"
    "    const char *message, const struct berth_metadata *trailers, size_t count)\n"
    "{\n"
    "    if ($stem$_find(call)->on_end != NULL)\n"
    "        $stem$_find(call)->on_end(context, call, code, message, trailers, count);\n"
    "}\n\n"
    "static const struct berth_rpc_call_handlers $stem$_handlers = {\n"
    "    (uint32_t)sizeof(struct berth_rpc_call_handlers), $stem$_on_headers, $stem$_on_message,\n";
static const char start_one[] =
    "enum berth_code $stem$_start(struct berth_rpc_channel *channel, const struct berth_rpc_call_options "
    "*options,\n"
    "    const $request$ *request, const struct $stem$_events *events, void *context,\n"
    "    struct berth_rpc_call **ret_call, struct berth_error *err)\n"
    "{\n"
    "    return start_with(channel, options, \"/$service$/$method$\", $kind$,\n"
    "        (const ProtobufCMessage *)request, events, &$stem$_handlers, context, ret_call, err);\n"
    "}\n\n";
static const char start_many[] =
    "enum berth_code $stem$_start(struct berth_rpc_channel *channel, const struct berth_rpc_call_options "
    "*options,\n"
    "    const struct $stem$_events *events, void *context, struct berth_rpc_call **ret_call,\n"
    "    struct berth_error *err)\n"
    "{\n"
    "    return start_empty(channel, options, \"/$service$/$method$\", $kind$, events,\n"
    "        &$stem$_handlers, context, ret_call, err);\n"
    "}\n\n"
    "enum berth_code $stem$_send_request(struct berth_rpc_call *call, const $request$ *request)\n"
    "{\n"
    "    return send_message(call, (const ProtobufCMessage *)request);\n"
    "}\n\n";
static const char blocking[] = "enum berth_code $stem$_blocking(const struct berth_rpc_unary_options "
                               "*options, const $request$ *request,\n"
                               "    $reply$ **ret_reply, struct berth_error *err)\n"
                               "{\n"
                               "    ProtobufCMessage *reply;\n"
                               "    enum berth_code code = call_blocking(options, \"/$service$/$method$\", "
                               "(const ProtobufCMessage *)request,\n"
                               "        &$reply_symbol$__descriptor, &reply, err);\n\n"
                               "    if (code == BERTH_OK)\n"
                               "        *ret_reply = ($reply$ *)reply;\n"
                               "    return code;\n"
                               "}\n\n";

static void write_method(FILE *out, const struct model_service *service, const struct model_method *method)
{
    struct generate_values values;
    bool many = generate_streams_requests(method);

    generate_method_values(&values, service, method);
    text_fill(out, values.items, events);
    if (many)
        text_fill(out, values.items, on_writable);
    text_fill(out, values.items, on_end);
    text_fill(out, values.items,
              many ? "    $stem$_on_writable, $stem$_on_end};\n\n" : "    NULL, $stem$_on_end};\n\n");
    text_fill(out, values.items, many ? start_many : start_one);
    if (method->kind == BERTH_METHOD_UNARY)
        text_fill(out, values.items, blocking);
}

/* Compilers complain of a static function that nothing calls. */
static void write_shared(FILE *out, const struct model_file *file)
{
    bool any = false, one = false, many = false, unary = false;

    for (size_t i = 0; i < file->service_count; i++)
        for (size_t j = 0; j < file->services[i].method_count; j++) {
            const struct model_method *method = &file->services[i].methods[j];

            any = true;
            one = one || !generate_streams_requests(method);
            many = many || generate_streams_requests(method);
            unary = unary || method->kind == BERTH_METHOD_UNARY;
        }
    fputs(any ? shared : "", out);
    fputs(one ? shared_one : "", out);
    fputs(many ? shared_many : "", out);
    fputs(unary ? shared_blocking : "", out);
}

void generate_client_source(FILE *out, const struct model_file *file)
{
    struct generate_values values;

    generate_file_values(&values, file);
    text_fill(out, values.items, head);
    write_shared(out, file);
    for (size_t i = 0; i < file->service_count; i++)
        for (size_t j = 0; j < file->services[i].method_count; j++)
            write_method(out, &file->services[i], &file->services[i].methods[j]);
}
