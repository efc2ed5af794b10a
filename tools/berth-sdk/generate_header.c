/* SPDX-License-Identifier: Apache-2.0 */
/* Generates the header: the config structs and the prototypes of the author's functions. */
#include "generate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <tools/protoc-gen-berth/names.h>

static const char *unit(const struct schema *schema)
{
    switch (schema->kind) {
    case SCHEMA_DURATION:
        return " In nanoseconds.";
    case SCHEMA_BYTES:
        return " In bytes.";
    case SCHEMA_PATH:
        return schema->required || schema->default_ != NULL ? " An absolute path."
                                                            : " An absolute path, or NULL.";
    case SCHEMA_STRING:
    case SCHEMA_ANY:
        return schema->required || schema->default_ != NULL ? "" : " NULL if it is not set.";
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_FLOAT:
    case SCHEMA_ENUM:
    case SCHEMA_LIST:
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
        break;
    }
    return "";
}

/* An author's sentence, with a full stop. */
static void write_sentence(FILE *out, const char *before, const char *text)
{
    size_t length = strlen(text);

    fputs(before, out);
    generate_write_comment(out, text);
    if (length > 0 && strchr(".!?", text[length - 1]) == NULL)
        fputc('.', out);
}

static void write_doc(FILE *out, const struct schema *schema)
{
    bool has_default = schema->default_ != NULL && schema->default_->kind == CONFIG_SCALAR;

    if (schema->doc == NULL && !has_default && *unit(schema) == '\0' && schema->deprecated == NULL &&
        !schema->secret)
        return;
    fputs("    /**", out);
    if (schema->doc != NULL)
        write_sentence(out, " ", schema->doc);
    fputs(unit(schema), out);
    if (has_default)
        write_sentence(out, " Default: ", schema->default_->text);
    if (schema->deprecated != NULL)
        write_sentence(out, " Deprecated: use ", schema->deprecated);
    fprintf(out, "%s */\n", schema->secret ? " Secret: never log it." : "");
}

static void write_field(FILE *out, const struct schema *field, const char *tag)
{
    char *type = generate_type(field, tag);
    char *name = names_from(field->name);

    if (generate_has_presence(field))
        fprintf(out, "    bool has_%s;\n", name);
    write_doc(out, field);
    fprintf(out, "    %s%s;\n", type, name);
    free(name);
    free(type);
}

static void write_object(FILE *out, const struct schema *schema, const char *tag)
{
    fprintf(out, "struct %s {\n", tag);
    for (size_t i = 0; i < schema->field_count; i++) {
        char *inner = generate_inner_tag(schema, tag, schema->fields[i]);

        write_field(out, schema->fields[i], inner);
        free(inner);
    }
    fprintf(out, "%s};\n\n", schema->field_count == 0 ? "    char nothing;\n" : "");
}

static void write_enum(FILE *out, const struct schema *schema, const char *tag)
{
    char *upper = names_upper(tag);

    fprintf(out, "enum %s {\n", tag);
    for (size_t i = 0; i < schema->choice_count; i++) {
        char *word = names_from(schema->choices[i]);
        char *upper_word = names_upper(word);

        fprintf(out, "    %s_%s = %zu,\n", upper, upper_word, i);
        free(upper_word);
        free(word);
    }
    fputs("};\n\n", out);
    free(upper);
}

static void write_collection(FILE *out, const struct schema *schema, const char *tag)
{
    char *inner = generate_inner_tag(schema, tag, schema->items);
    char *type = generate_type(schema->items, inner);

    if (schema->kind == SCHEMA_MAP)
        fprintf(out, "struct %s_entry {\n    const char *key;\n    %svalue;\n};\n\n", tag, type);
    fprintf(out, "struct %s {\n", tag);
    if (schema->kind == SCHEMA_MAP)
        fprintf(out, "    struct %s_entry *items;\n", tag);
    else
        fprintf(out, "    %s*items;\n", type);
    fputs("    size_t count;\n};\n\n", out);
    free(type);
    free(inner);
}

static void write_type(void *context, const struct schema *schema, const char *tag)
{
    FILE *out = context;

    if (schema->kind == SCHEMA_OBJECT)
        write_object(out, schema, tag);
    else if (schema->kind == SCHEMA_ENUM)
        write_enum(out, schema, tag);
    else
        write_collection(out, schema, tag);
}

static void write_config(FILE *out, const struct generate_plugin *plugin)
{
    generate_walk(plugin->plugin->config, plugin->config, write_type, out);
    fprintf(
        out,
        "/**\n * Fills the struct from the settings; it borrows from them and is valid as long as they are.\n"
        " * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED without memory, and then there is nothing to "
        "finish.\n"
        " */\n"
        "enum berth_code %s_init(struct %s *config, const struct berth_settings *settings,\n"
        "                        struct berth_error *err);\n"
        "/** Frees its lists and maps. */\n"
        "void %s_finish(struct %s *config);\n\n",
        plugin->config, plugin->config, plugin->config, plugin->config);
}

static void write_callbacks(FILE *out, const struct generate_plugin *plugin)
{
    static const struct {
        uint32_t callback;
        const char *format;
    } callbacks[] = {
        {MANIFEST_CALLBACK_PREPARE,
         "enum berth_code %s_prepare(const struct berth_prepare *prepare, void **ret_prepared, struct "
         "berth_error *err);\n"},
        {MANIFEST_CALLBACK_DISCARD, "void %s_discard(void *prepared);\n"},
        {0, "enum berth_code %s_init(const struct berth_host *host, void *prepared, void **ret_instance,\n"
            "    struct berth_error *err);\n"},
        {MANIFEST_CALLBACK_SERVE, "enum berth_code %s_serve(const struct berth_host *host, void *instance, "
                                  "struct berth_error *err);\n"},
        {MANIFEST_CALLBACK_DRAIN, "enum berth_code %s_drain(const struct berth_host *host, void *instance, "
                                  "struct berth_error *err);\n"},
        {MANIFEST_CALLBACK_CLOSE, "enum berth_code %s_close(const struct berth_host *host, void *instance, "
                                  "struct berth_error *err);\n"},
        {MANIFEST_CALLBACK_MIGRATE,
         "enum berth_code %s_migrate(const struct berth_migration *migration, struct berth_error *err);\n"},
        {MANIFEST_CALLBACK_CHECK, "void %s_check(const struct berth_check *check);\n"},
        {MANIFEST_CALLBACK_RECONFIGURE,
         "enum berth_code %s_reconfigure(const struct berth_host *host, void *instance,\n"
         "    const struct berth_settings *before, struct berth_error *err);\n"},
        {MANIFEST_CALLBACK_SAVE_STATE,
         "enum berth_code %s_save_state(const struct berth_host *host, void *instance,\n"
         "    const struct berth_state_writer *writer, struct berth_error *err);\n"},
        {MANIFEST_CALLBACK_LOAD_STATE,
         "enum berth_code %s_load_state(const struct berth_host *host, void *instance, uint32_t version,\n"
         "    const void *bytes, size_t length, struct berth_error *err);\n"},
    };

    fprintf(out, "/* Defined by the author; see struct berth_plugin. */\n");
    for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++)
        if (callbacks[i].callback == 0 || (plugin->plugin->callbacks & callbacks[i].callback) != 0)
            fprintf(out, callbacks[i].format, plugin->name);
    if (plugin->plugin->interface != NULL)
        fprintf(out,
                "\n/** The table with which other plugins use an instance. */\nstruct %s;\nextern const "
                "struct %s "
                "%s_interface;\n",
                plugin->plugin->interface, plugin->plugin->interface, plugin->name);
    for (size_t i = 0; i < plugin->plugin->remote_count; i++)
        if (!generate_is_ours(plugin->plugin->remotes[i]))
            fprintf(out,
                    "\n/** Of protoc-gen-berth --berth_opt=interface. */\nextern const struct berth_remote "
                    "%s_remote;\n",
                    plugin->plugin->remotes[i]);
    fputc('\n', out);
}

/* Of a plugin that the configuration declares, the services are only known there. */
static void write_made_services(FILE *out, const struct generate_plugin *plugin)
{
    if (plugin->plugin->makes != NULL)
        fprintf(out,
                "/** Ends with NULL. A service \"*\" serves all that an entry of %s names. */\n"
                "extern const struct berth_service *const %s_services[];\n\n",
                plugin->plugin->makes->section, plugin->name);
}

static void write_handlers(FILE *out, const struct generate_plugin *plugin)
{
    static const char *const kinds[] = {"unary", "server streaming", "client streaming", "bidirectional"};
    size_t n = 0;

    for (size_t i = 0; i < plugin->plugin->service_count; i++) {
        const struct manifest_service *service = &plugin->plugin->services[i];

        for (size_t j = 0; j < service->method_count; j++)
            fprintf(out, "/** %s/%s, %s. */\nextern const struct berth_handler %s;\n", service->name,
                    service->methods[j].name, kinds[service->methods[j].kind], plugin->handlers[n++]);
    }
    if (n > 0)
        fputc('\n', out);
}

static void write_tables(FILE *out, const struct generate_plugin *plugin)
{
    for (size_t i = 0; i < plugin->plugin->service_count; i++) {
        char *stem = names_for_service(plugin->plugin->services[i].name);

        fprintf(out, "/** %s. */\nextern const struct %s_handlers %s;\n", plugin->plugin->services[i].name,
                stem, plugin->tables[i]);
        free(stem);
    }
    if (plugin->plugin->service_count > 0)
        fputc('\n', out);
}

/* Several plugins of a module may list the same file: it has an include guard. */
static void write_includes(FILE *out, const struct generate_model *model)
{
    size_t count = 0;

    for (size_t i = 0; i < model->count; i++)
        for (size_t j = 0; j < model->plugins[i].plugin->proto_count; j++, count++) {
            const char *proto = model->plugins[i].plugin->protos[j];

            fprintf(out, "#include \"%.*s.berth.h\"\n", (int)(strlen(proto) - strlen(".proto")), proto);
        }
    if (count > 0)
        fputc('\n', out);
}

void generate_header(FILE *out, const struct generate_model *model, const char *header_name)
{
    char *word = names_from(header_name);
    char *guard = names_upper(word);

    fprintf(out, "/* Generated by berth-sdk from the manifest of %s. Do not edit. */\n",
            model->manifest->module);
    fprintf(out, "#ifndef %s\n#define %s\n\n#include <berth/generated.h>\n\n", guard, guard);
    write_includes(out, model);
    fputs("#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n", out);
    for (size_t i = 0; i < model->count; i++) {
        if (model->plugins[i].config != NULL)
            write_config(out, &model->plugins[i]);
        write_callbacks(out, &model->plugins[i]);
        write_made_services(out, &model->plugins[i]);
        if (model->plugins[i].tables != NULL)
            write_tables(out, &model->plugins[i]);
        else
            write_handlers(out, &model->plugins[i]);
    }
    fprintf(out, "#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    free(guard);
    free(word);
}
