/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the source: the note, the code for the settings, the tables and the module's constant. */
#include "generate.h"

#include <inttypes.h>
#include <string.h>

static void write_note(FILE *out, const char *text, size_t length)
{
    fputs("BERTH_NOTE(", out);
    do {
        const char *end = memchr(text, '\n', length);
        size_t line = end == NULL ? length : (size_t)(end - text) + 1;

        fputs("\n    \"", out);
        generate_write_escaped(out, text, line);
        fputc('"', out);
        text += line;
        length -= line;
    } while (length > 0);
    fputs(");\n\n", out);
}

static void write_service(FILE *out, const struct generate_plugin *plugin, size_t number,
                          char *const *handlers)
{
    static const char *const kinds[] = {"BERTH_METHOD_UNARY", "BERTH_METHOD_SERVER_STREAM",
                                        "BERTH_METHOD_CLIENT_STREAM", "BERTH_METHOD_BIDI_STREAM"};
    const struct manifest_service *service = &plugin->plugin->services[number];

    for (size_t i = 0; i < service->method_count; i++)
        fprintf(out, "BERTH_GENERATED_METHOD_FUNCTIONS(%s)\n", handlers[i]);
    if (service->method_count > 0) {
        fprintf(out, "\nstatic const struct berth_method generated_%s_methods_%zu[] = {\n", plugin->name,
                number);
        for (size_t i = 0; i < service->method_count; i++)
            fprintf(out, "    BERTH_GENERATED_METHOD(\"%s\", %s, %s),\n", service->methods[i].name,
                    kinds[service->methods[i].kind], handlers[i]);
        fputs("};\n", out);
    }
    fprintf(out,
            "\nstatic const struct berth_service generated_%s_service_%zu = {\n"
            "    (uint32_t)sizeof(struct berth_service), (uint32_t)sizeof(struct berth_method),\n"
            "    \"%s\", ",
            plugin->name, number, service->name);
    if (service->method_count > 0)
        fprintf(out, "generated_%s_methods_%zu, %zu, NULL, 0};\n\n", plugin->name, number,
                service->method_count);
    else
        fputs("NULL, 0, NULL, 0};\n\n", out);
}

static void write_services(FILE *out, const struct generate_plugin *plugin)
{
    char *const *handlers = plugin->handlers;

    if (plugin->plugin->service_count == 0)
        return;
    for (size_t i = 0; i < plugin->plugin->service_count; i++) {
        write_service(out, plugin, i, handlers);
        handlers += plugin->plugin->services[i].method_count;
    }
    fprintf(out, "static const struct berth_service *const generated_%s_services[] = {\n", plugin->name);
    for (size_t i = 0; i < plugin->plugin->service_count; i++)
        fprintf(out, "    &generated_%s_service_%zu,\n", plugin->name, i);
    fputs("    NULL,\n};\n\n", out);
}

static void write_callback(FILE *out, const struct generate_plugin *plugin, uint32_t callback,
                           const char *name)
{
    if ((plugin->plugin->callbacks & callback) != 0)
        fprintf(out, "    %s_%s,\n", plugin->name, name);
    else
        fprintf(out, "    NULL, /* %s */\n", name);
}

static void write_plugin(FILE *out, const struct generate_plugin *plugin)
{
    fprintf(out, "static const struct berth_plugin generated_%s = {\n", plugin->name);
    fprintf(out, "    (uint32_t)sizeof(struct berth_plugin),\n    \"%s\",\n    \"%s\",\n",
            plugin->plugin->type, plugin->plugin->id);
    write_callback(out, plugin, MANIFEST_CALLBACK_PREPARE, "prepare");
    write_callback(out, plugin, MANIFEST_CALLBACK_DISCARD, "discard");
    fprintf(out, "    %s_init,\n", plugin->name);
    write_callback(out, plugin, MANIFEST_CALLBACK_SERVE, "serve");
    write_callback(out, plugin, MANIFEST_CALLBACK_DRAIN, "drain");
    write_callback(out, plugin, MANIFEST_CALLBACK_CLOSE, "close");
    if (plugin->plugin->interface != NULL)
        fprintf(out, "    &%s_interface,\n", plugin->name);
    else
        fputs("    NULL, /* interface */\n", out);
    if (plugin->plugin->service_count > 0)
        fprintf(out, "    generated_%s_services,\n", plugin->name);
    else
        fputs("    NULL, /* services */\n", out);
    write_callback(out, plugin, MANIFEST_CALLBACK_MIGRATE, "migrate");
    fputs("};\n\n", out);
}

static void write_module(FILE *out, const struct generate_model *model)
{
    fputs("static const struct berth_plugin *const generated_plugins[] = {\n", out);
    for (size_t i = 0; i < model->count; i++)
        fprintf(out, "    &generated_%s,\n", model->plugins[i].name);
    fputs("    NULL,\n};\n\n", out);
    fprintf(out,
            "BERTH_LINKAGE __attribute__((used, visibility(\"default\"))) const struct berth_module "
            "berth_module =\n"
            "    BERTH_MODULE_INIT(UINT64_C(0x%016" PRIx64 "), generated_plugins);\n",
            model->manifest->hash);
}

void generate_source(FILE *out, const struct generate_model *model, const char *header_name, const char *text,
                     size_t length)
{
    fprintf(out, "/* Written by berth-sdk generate from the manifest of %s. Edit that one. */\n",
            model->manifest->module);
    fprintf(out, "#include \"%s\"\n\n#include <stdlib.h>\n#include <string.h>\n\n", header_name);
    write_note(out, text, length);
    for (size_t i = 0; i < model->count; i++) {
        if (model->plugins[i].config != NULL)
            generate_config(out, &model->plugins[i]);
        write_services(out, &model->plugins[i]);
        write_plugin(out, &model->plugins[i]);
    }
    write_module(out, model);
}
