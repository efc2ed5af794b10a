/* SPDX-License-Identifier: Apache-2.0 */
/* Generates the source: the note, the code for the settings, the tables and the module's constant. */
#include "generate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <tools/protoc-gen-berth/names.h>

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
        fprintf(out, "generated_%s_methods_%zu, %zu, NULL, 0, NULL};\n\n", plugin->name, number,
                service->method_count);
    else
        fputs("NULL, 0, NULL, 0, NULL};\n\n", out);
}

static const char *kind_word(enum berth_method_kind kind)
{
    switch (kind) {
    case BERTH_METHOD_UNARY:
        return "unary";
    case BERTH_METHOD_SERVER_STREAM:
        return "server_stream";
    case BERTH_METHOD_CLIENT_STREAM:
        return "client_stream";
    case BERTH_METHOD_BIDI_STREAM:
        return "bidi_stream";
    }
    return "";
}

/* Compares the manifest's methods with the .proto's, because the compiler sees both. */
static void write_method_check(FILE *out, const struct manifest_service *service, const char *constant,
                               const struct manifest_method *method)
{
    char *words = names_words(method->name);
    char *upper = names_upper(words);

    fprintf(out,
            "#ifndef %s_%s_KIND\n"
            "#error \"the manifest names the method %s of %s, which the .proto does not have\"\n"
            "#elif %s_%s_KIND != %d\n"
            "#error \"the manifest says that %s/%s is %s, but the .proto disagrees\"\n"
            "#endif\n",
            constant, upper, method->name, service->name, constant, upper, (int)method->kind, service->name,
            method->name, kind_word(method->kind));
    free(upper);
    free(words);
}

static void write_typed_service(FILE *out, const struct generate_plugin *plugin, size_t number)
{
    const struct manifest_service *service = &plugin->plugin->services[number];
    char *stem = names_for_service(service->name);
    char *constant = names_upper(stem);

    fprintf(out,
            "#ifndef %s_SERVICE\n"
            "#error \"no file under protos: has the service %s: add the one that has it\"\n"
            "#endif\n",
            constant, service->name);
    for (size_t i = 0; i < service->method_count; i++)
        write_method_check(out, service, constant, &service->methods[i]);
    fprintf(out,
            "#if %s_METHOD_COUNT != %zu\n"
            "#error \"the .proto of %s has methods that the manifest does not name\"\n"
            "#endif\n"
            "\nstatic const struct berth_service generated_%s_service_%zu = %s_SERVICE(&%s);\n\n",
            constant, service->method_count, service->name, plugin->name, number, constant,
            plugin->tables[number]);
    free(constant);
    free(stem);
}

static void write_services(FILE *out, const struct generate_plugin *plugin)
{
    char *const *handlers = plugin->handlers;

    if (plugin->plugin->service_count == 0)
        return;
    for (size_t i = 0; i < plugin->plugin->service_count; i++) {
        if (plugin->tables != NULL) {
            write_typed_service(out, plugin, i);
            continue;
        }
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

static void write_remotes(FILE *out, const struct manifest_plugin *plugin, const char *name)
{
    if (plugin->remote_count == 0)
        return;
    fprintf(out, "static const struct berth_remote *const generated_%s_remotes[] = {\n", name);
    if (manifest_has_remote(plugin, plugin->interface))
        fprintf(out, "    &%s_remote,\n", plugin->interface);
    for (size_t i = 0; i < plugin->remote_count; i++)
        if (plugin->interface == NULL || strcmp(plugin->remotes[i], plugin->interface) != 0)
            fprintf(out, "    &%s_remote,\n", plugin->remotes[i]);
    fputs("    NULL,\n};\n\n", out);
}

static void write_plugin(FILE *out, const struct generate_plugin *plugin)
{
    write_remotes(out, plugin->plugin, plugin->name);
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
    if (plugin->plugin->makes != NULL)
        fprintf(out, "    %s_services,\n", plugin->name);
    else if (plugin->plugin->service_count > 0)
        fprintf(out, "    generated_%s_services,\n", plugin->name);
    else
        fputs("    NULL, /* services */\n", out);
    write_callback(out, plugin, MANIFEST_CALLBACK_MIGRATE, "migrate");
    write_callback(out, plugin, MANIFEST_CALLBACK_CHECK, "check");
    write_callback(out, plugin, MANIFEST_CALLBACK_RECONFIGURE, "reconfigure");
    write_callback(out, plugin, MANIFEST_CALLBACK_SAVE_STATE, "save_state");
    write_callback(out, plugin, MANIFEST_CALLBACK_LOAD_STATE, "load_state");
    if (plugin->plugin->remote_count > 0)
        fprintf(out, "    generated_%s_remotes,\n", plugin->name);
    else
        fputs("    NULL, /* remote */\n", out);
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

/* Interfaces of the SDK bring theirs along; those of authors are defined in what protoc-gen-berth writes, and
 * declared in the header. */
static void write_remote_includes(FILE *out, const struct generate_model *model)
{
    struct names_set written = {0};

    for (size_t i = 0; i < model->count; i++)
        for (size_t j = 0; j < model->plugins[i].plugin->remote_count; j++) {
            const char *name = model->plugins[i].plugin->remotes[j];

            if (generate_is_ours(name) && names_set_add(&written, name, name) == NULL)
                fprintf(out, "#include <berth/types/%s_remote.h>\n", name + strlen("berth_"));
        }
    if (written.count > 0)
        fputc('\n', out);
    names_set_finish(&written);
}

void generate_source(FILE *out, const struct generate_model *model, const char *header_name, const char *note)
{
    fprintf(out, "/* Generated by berth-sdk from the manifest of %s. Do not edit. */\n",
            model->manifest->module);
    fprintf(out, "#include \"%s\"\n\n#include <stdlib.h>\n#include <string.h>\n\n", header_name);
    write_remote_includes(out, model);
    write_note(out, note, strlen(note));
    for (size_t i = 0; i < model->count; i++) {
        if (model->plugins[i].config != NULL)
            generate_config(out, &model->plugins[i]);
        write_services(out, &model->plugins[i]);
        write_plugin(out, &model->plugins[i]);
    }
    write_module(out, model);
}
