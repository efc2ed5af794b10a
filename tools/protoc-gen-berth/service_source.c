/* SPDX-License-Identifier: Apache-2.0 */
/* Writes x.berth.c: methods that unpack a request and hand it to the author's table, and the descriptors. */
#include "generate.h"

static const char head[] = "/* Written by protoc-gen-berth from $file$. Edit that one. */\n"
                           "#include \"$base$.berth.h\"\n\n"
                           "#include <stddef.h>\n\n";

static const char find_handlers[] =
    "static const struct $stem$_handlers *$stem$_find(const struct berth_call *call)\n"
    "{\n"
    "    return (const struct $stem$_handlers *)call->handlers;\n"
    "}\n\n";
static const char on_start[] =
    "static void $stem$_on_start(struct berth_call *call)\n"
    "{\n"
    "    const struct $service_stem$_handlers *handlers = $service_stem$_find(call);\n\n"
    "    if (handlers->$member$.on_start != NULL)\n"
    "        handlers->$member$.on_start(call);\n";
static const char on_start_unhandled[] =
    "    else if (handlers->$member$.on_message == NULL && handlers->$member$.on_bytes == NULL &&\n"
    "             handlers->$member$.on_half_close == NULL)\n"
    "        berth_call_finish(call, BERTH_UNIMPLEMENTED, \"the service has no handler for this method\");\n";
static const char on_message[] =
    "static void $stem$_on_message(struct berth_call *call, const void *message, size_t length)\n"
    "{\n"
    "    const struct $service_stem$_handlers *handlers = $service_stem$_find(call);\n"
    "    ProtobufCMessage *request;\n\n"
    "    if (handlers->$member$.on_bytes != NULL) {\n"
    "        handlers->$member$.on_bytes(call, message, length);\n"
    "        return;\n"
    "    }\n"
    "    if (handlers->$member$.on_message == NULL) {\n$unhandled$"
    "        return;\n"
    "    }\n"
    "    request = berth_call_unpack(call, &$request_symbol$__descriptor, message, length);\n"
    "    if (request == NULL)\n"
    "        return;\n"
    "    handlers->$member$.on_message(call, (const $request$ *)request);\n"
    "    protobuf_c_message_free_unpacked(request, NULL);\n"
    "}\n\n";
static const char on_event[] = "static void $stem$_$event$(struct berth_call *call)\n"
                               "{\n"
                               "    if ($service_stem$_find(call)->$member$.$event$ != NULL)\n"
                               "        $service_stem$_find(call)->$member$.$event$(call);\n"
                               "}\n\n";
static const char on_end[] = "static void $stem$_on_end(struct berth_call *call, enum berth_code code)\n"
                             "{\n"
                             "    if ($service_stem$_find(call)->$member$.on_end != NULL)\n"
                             "        $service_stem$_find(call)->$member$.on_end(call, code);\n"
                             "}\n\n";

static void write_event(FILE *out, struct text_value *values, struct text_value *event, const char *name)
{
    *event = (struct text_value){"event", name};
    text_fill(out, values, on_event);
}

static void write_functions(FILE *out, const struct model_service *service, const struct model_method *method)
{
    struct generate_values values;
    struct text_value *more;

    generate_method_values(&values, service, method);
    for (more = values.items; more->name != NULL; more++)
        ;
    text_fill(out, values.items, on_start);
    if (generate_streams_requests(method))
        text_fill(out, values.items, on_start_unhandled);
    fputs("}\n\n", out);
    *more = (struct text_value){"unhandled", generate_streams_requests(method)
                                                 ? ""
                                                 : "        berth_call_finish(call, BERTH_UNIMPLEMENTED, "
                                                   "\"the service has no handler for this method\");\n"};
    text_fill(out, values.items, on_message);
    if (generate_streams_requests(method))
        write_event(out, values.items, more, "on_half_close");
    if (generate_streams_replies(method))
        write_event(out, values.items, more, "on_writable");
    text_fill(out, values.items, on_end);
}

static void write_table(FILE *out, const struct model_service *service)
{
    fprintf(out, "const struct berth_method %s_methods[] = {\n", service->stem);
    for (size_t i = 0; i < service->method_count; i++) {
        const struct model_method *method = &service->methods[i];
        struct generate_values values;

        generate_method_values(&values, service, method);
        text_fill(out, values.items,
                  "    {\"$method$\", $kind$, $stem$_on_start, $stem$_on_message,\n        ");
        text_fill(out, values.items, generate_streams_requests(method) ? "$stem$_on_half_close, " : "NULL, ");
        text_fill(out, values.items, generate_streams_replies(method) ? "$stem$_on_writable, " : "NULL, ");
        text_fill(out, values.items, "$stem$_on_end},\n");
    }
    fputs("};\n\n", out);
}

static void write_service(FILE *out, const struct model_service *service)
{
    struct generate_values values;

    if (service->method_count == 0)
        return;
    generate_service_values(&values, service);
    text_fill(out, values.items, find_handlers);
    for (size_t i = 0; i < service->method_count; i++)
        write_functions(out, service, &service->methods[i]);
    write_table(out, service);
}

static void write_descriptors(FILE *out, const struct model_file *file)
{
    fprintf(out, "const uint8_t berth_descriptors_%s[%zu] = {", file->identifier, file->descriptors_length);
    for (size_t i = 0; i < file->descriptors_length; i++)
        fprintf(out, "%s%u,", i % 24 == 0 ? "\n    " : " ", file->descriptors[i]);
    fputs("\n};\n", out);
}

void generate_service_source(FILE *out, const struct model_file *file)
{
    struct generate_values values;

    generate_file_values(&values, file);
    text_fill(out, values.items, head);
    for (size_t i = 0; i < file->service_count; i++)
        write_service(out, &file->services[i]);
    if (file->service_count > 0)
        write_descriptors(out, file);
}
