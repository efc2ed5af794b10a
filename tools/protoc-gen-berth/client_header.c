/* SPDX-License-Identifier: Apache-2.0 */
/* Writes x.client.h: typed calls on a channel of libberth-rpc. */
#include "generate.h"

static const char head[] = "/* Written by protoc-gen-berth from $file$. Edit that one. */\n"
                           "#ifndef BERTH_CLIENT_$identifier$_INCLUDED\n"
                           "#define BERTH_CLIENT_$identifier$_INCLUDED\n\n"
                           "#include <berth/protobuf.h>\n"
                           "#include <berth/rpc/client.h>\n\n"
                           "#include \"$base$.pb-c.h\"\n\n"
                           "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
static const char tail[] = "#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
static const char no_service[] = "/* $file$ has no service. */\n\n";

static const char events_head[] =
    "/**\n"
    " * What the caller of $service$/$method$ hears; as struct berth_rpc_call_handlers, but that a reply "
    "comes\n"
    " * unpacked and is borrowed until on_message returns. What stays NULL is of no interest.\n"
    " */\n"
    "struct $stem$_events {\n"
    "    void (*on_headers)(void *context, struct berth_rpc_call *call, const struct berth_metadata "
    "*metadata,\n"
    "                       size_t count);\n"
    "    void (*on_message)(void *context, struct berth_rpc_call *call, const $reply$ *reply);\n";
static const char events_writable[] =
    "    void (*on_writable)(void *context, struct berth_rpc_call *call);\n";
static const char events_tail[] = "    void (*on_end)(void *context, struct berth_rpc_call *call, enum "
                                  "berth_code code, const char *message,\n"
                                  "                   const struct berth_metadata *trailers, size_t count);\n"
                                  "};\n\n";
static const char start_one[] =
    "/**\n"
    " * Calls $service$/$method$, $kind_words$, as berth_rpc_call_start does. Sends the request and nothing "
    "after it.\n"
    " *\n"
    " * @param options   NULL for none; its path, kind and tag are filled in here.\n"
    " * @param events    borrowed until on_end has returned; usually static.\n"
    " * @param ret_call  may be NULL.\n"
    " */\n"
    "enum berth_code $stem$_start(struct berth_rpc_channel *channel, const struct berth_rpc_call_options "
    "*options,\n"
    "    const $request$ *request, const struct $stem$_events *events, void *context,\n"
    "    struct berth_rpc_call **ret_call, struct berth_error *err);\n\n";
static const char start_many[] =
    "/**\n"
    " * Calls $service$/$method$, $kind_words$, as berth_rpc_call_start does. Requests are sent with\n"
    " * $stem$_send_request; berth_rpc_call_half_close says that no more will come.\n"
    " *\n"
    " * @param options   NULL for none; its path, kind and tag are filled in here.\n"
    " * @param events    borrowed until on_end has returned; usually static.\n"
    " * @param ret_call  may be NULL.\n"
    " */\n"
    "enum berth_code $stem$_start(struct berth_rpc_channel *channel, const struct berth_rpc_call_options "
    "*options,\n"
    "    const struct $stem$_events *events, void *context, struct berth_rpc_call **ret_call,\n"
    "    struct berth_error *err);\n\n"
    "/** Sends one request; answers as berth_rpc_call_send. */\n"
    "enum berth_code $stem$_send_request(struct berth_rpc_call *call, const $request$ *request);\n\n";
static const char blocking[] =
    "/**\n"
    " * Calls $service$/$method$ and waits for its end, on a loop of its own, as berth_rpc_unary_blocking "
    "does.\n"
    " *\n"
    " * @param options    its path and request are filled in here.\n"
    " * @param ret_reply  freed with protobuf_c_message_free_unpacked(&reply->base, NULL).\n"
    " */\n"
    "enum berth_code $stem$_blocking(const struct berth_rpc_unary_options *options, const $request$ "
    "*request,\n"
    "    $reply$ **ret_reply, struct berth_error *err);\n\n";

static void write_method(FILE *out, const struct model_service *service, const struct model_method *method)
{
    struct generate_values values;

    generate_method_values(&values, service, method);
    text_fill(out, values.items, events_head);
    if (generate_streams_requests(method))
        fputs(events_writable, out);
    fputs(events_tail, out);
    text_fill(out, values.items, generate_streams_requests(method) ? start_many : start_one);
    if (method->kind == BERTH_METHOD_UNARY)
        text_fill(out, values.items, blocking);
}

void generate_client_header(FILE *out, const struct model_file *file)
{
    struct generate_values values;

    generate_file_values(&values, file);
    text_fill(out, values.items, head);
    if (file->service_count == 0)
        text_fill(out, values.items, no_service);
    for (size_t i = 0; i < file->service_count; i++)
        for (size_t j = 0; j < file->services[i].method_count; j++)
            write_method(out, &file->services[i], &file->services[i].methods[j]);
    fputs(tail, out);
}
