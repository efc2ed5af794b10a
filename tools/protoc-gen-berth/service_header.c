/* SPDX-License-Identifier: Apache-2.0 */
/* Writes x.berth.h: the callbacks that the author of a service defines, and typed answers. */
#include "generate.h"

static const char head[] = "/* Written by protoc-gen-berth from $file$. Edit that one. */\n"
                           "#ifndef BERTH_SERVICE_$identifier$_INCLUDED\n"
                           "#define BERTH_SERVICE_$identifier$_INCLUDED\n\n"
                           "#include <stdint.h>\n\n"
                           "#include <berth/protobuf.h>\n\n"
                           "#include \"$base$.pb-c.h\"\n\n"
                           "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
static const char tail[] = "#ifdef __cplusplus\n}\n#endif\n\n#endif\n";

static const char no_service[] = "/* $file$ has no service. */\n\n";

static const char handlers_head[] =
    "/**\n"
    " * $service$: what its author defines for each method. What stays NULL is of no interest; a method of "
    "which\n"
    " * nothing is set, and one without on_message where one request is due, answers BERTH_UNIMPLEMENTED.\n"
    " * Requests are borrowed until on_message returns. See struct berth_method for when each is called. Who "
    "passes\n"
    " * requests on without looking into them sets on_bytes instead: nothing is unpacked or checked then.\n";
static const char methods_tail[] =
    "/** The methods of $service$, which find the author's table in call->handlers. */\n"
    "extern const struct berth_method $stem$_methods[];\n\n";
static const char service_macro[] =
    "/** Initialises a `static const struct berth_service`; `table` is a `const struct $stem$_handlers *`. "
    "*/\n"
    "#define $STEM$_SERVICE(table) \\\n"
    "    { \\\n"
    "        (uint32_t)sizeof(struct berth_service), (uint32_t)sizeof(struct berth_method), \"$service$\", "
    "\\\n"
    "            $stem$_methods, $STEM$_METHOD_COUNT, $descriptors$, sizeof($descriptors$), \\\n"
    "            (1 ? (table) : (const struct $stem$_handlers *)0) \\\n"
    "    }\n\n";
static const char reply_function[] =
    "/** Sends the one answer of $method$ and ends the call well. What cannot be sent ends it with a code. "
    "*/\n"
    "static inline void $stem$_reply(struct berth_call *call, const $reply$ *reply)\n"
    "{\n"
    "    berth_call_reply_message(call, (const ProtobufCMessage *)reply);\n"
    "}\n\n";
static const char send_function[] =
    "/** Sends one of the replies of $method$; answers as berth_call_send. */\n"
    "static inline enum berth_code $stem$_send(struct berth_call *call, const $reply$ *reply)\n"
    "{\n"
    "    return berth_call_send_message(call, (const ProtobufCMessage *)reply);\n"
    "}\n\n";

static void write_member(FILE *out, const struct model_service *service, const struct model_method *method)
{
    struct generate_values values;

    generate_method_values(&values, service, method);
    text_fill(out, values.items, "    /**\n     * $method$: $kind_words$.\n");
    text_write_comment(out, "     *", method->comment);
    fputs("     */\n    struct {\n        void (*on_start)(struct berth_call *call);\n", out);
    text_fill(out, values.items,
              "        void (*on_message)(struct berth_call *call, const $request$ *request);\n");
    if (generate_streams_requests(method))
        fputs("        void (*on_half_close)(struct berth_call *call);\n", out);
    if (generate_streams_replies(method))
        fputs("        void (*on_writable)(struct berth_call *call);\n", out);
    text_fill(out, values.items,
              "        void (*on_end)(struct berth_call *call, enum berth_code code);\n"
              "        void (*on_bytes)(struct berth_call *call, const void *request, size_t length);\n"
              "    } $member$;\n");
}

static void write_handlers(FILE *out, const struct model_service *service)
{
    struct generate_values values;

    generate_service_values(&values, service);
    text_fill(out, values.items, handlers_head);
    if (service->comment != NULL)
        fputs(" *\n", out);
    text_write_comment(out, " *", service->comment);
    text_fill(out, values.items, " */\nstruct $stem$_handlers {\n");
    for (size_t i = 0; i < service->method_count; i++)
        write_member(out, service, &service->methods[i]);
    if (service->method_count == 0)
        fputs("    char nothing;\n", out);
    fputs("};\n\n", out);
}

/* Numbers, so that the preprocessor of who names methods elsewhere can compare. */
static void write_constants(FILE *out, const struct model_service *service)
{
    fprintf(out, "#define %s_METHOD_COUNT %zu\n", service->constant, service->method_count);
    for (size_t i = 0; i < service->method_count; i++) {
        struct generate_values values;

        generate_method_values(&values, service, &service->methods[i]);
        fprintf(out, "#define %s_KIND %d", service->methods[i].constant, (int)service->methods[i].kind);
        text_fill(out, values.items, " /* $kind$ */\n");
    }
    fputc('\n', out);
}

static void write_service(FILE *out, const struct model_file *file, const struct model_service *service)
{
    char descriptors[4200];
    struct generate_values values;

    snprintf(descriptors, sizeof(descriptors), "berth_descriptors_%s", file->identifier);
    write_handlers(out, service);
    write_constants(out, service);
    generate_service_values(&values, service);
    values.items[3] = (struct text_value){"descriptors", descriptors};
    if (service->method_count > 0)
        text_fill(out, values.items, methods_tail);
    else
        text_fill(out, values.items, "#define $stem$_methods NULL\n\n");
    text_fill(out, values.items, service_macro);
    for (size_t i = 0; i < service->method_count; i++) {
        generate_method_values(&values, service, &service->methods[i]);
        text_fill(out, values.items,
                  generate_streams_replies(&service->methods[i]) ? send_function : reply_function);
    }
}

void generate_service_header(FILE *out, const struct model_file *file)
{
    struct generate_values values;

    generate_file_values(&values, file);
    text_fill(out, values.items, head);
    if (file->service_count == 0)
        text_fill(out, values.items, no_service);
    else
        fprintf(out,
                "/** A google.protobuf.FileDescriptorSet: the file and all it imports. */\n"
                "extern const uint8_t berth_descriptors_%s[%zu];\n\n",
                file->identifier, file->descriptors_length);
    for (size_t i = 0; i < file->service_count; i++)
        write_service(out, file, &file->services[i]);
    fputs(tail, out);
}
