/* SPDX-License-Identifier: Apache-2.0 */
/* Generates the functions that fill a plugin's config struct from its settings, and free it. */
#include "generate.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>
#include <tools/protoc-gen-berth/names.h>

static bool has_own_function(const struct schema *schema)
{
    return schema->kind == SCHEMA_ENUM || schema->kind == SCHEMA_LIST || schema->kind == SCHEMA_MAP ||
           schema->kind == SCHEMA_OBJECT;
}

static bool holds_memory(const struct schema *schema)
{
    if (schema->kind == SCHEMA_LIST || schema->kind == SCHEMA_MAP)
        return true;
    for (size_t i = 0; schema->kind == SCHEMA_OBJECT && i < schema->field_count; i++)
        if (holds_memory(schema->fields[i]))
            return true;
    return false;
}

/* The function of berth_settings that reads a value that fits in a register. */
static const char *reader(const struct schema *schema)
{
    switch (schema->kind) {
    case SCHEMA_STRING:
    case SCHEMA_PATH:
        return "string";
    case SCHEMA_BOOL:
        return "boolean";
    case SCHEMA_FLOAT:
        return "number";
    case SCHEMA_INT:
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
    case SCHEMA_ENUM:
    case SCHEMA_LIST:
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
    case SCHEMA_ANY:
        break;
    }
    return "integer";
}

/* From `item`. */
static void write_read(FILE *out, const struct schema *schema)
{
    if (schema->kind == SCHEMA_ANY)
        fputs("berth_generated_has(settings, item) ? item : NULL;\n", out);
    else
        fprintf(out, "settings->%s(item);\n", reader(schema));
}

static void begin_fill(FILE *out, const struct schema *schema, const char *tag)
{
    char *type = generate_type(schema, tag);

    fprintf(out,
            "static enum berth_code fill_%s(const struct berth_settings *settings,\n"
            "                               const struct berth_value *value, %s*ret,\n"
            "                               struct berth_error *err)\n{\n",
            tag, type);
    free(type);
}

static void write_enum(FILE *out, const struct schema *schema, const char *tag)
{
    begin_fill(out, schema, tag);
    fputs("    static const char *const words[] = {", out);
    for (size_t i = 0; i < schema->choice_count; i++) {
        fputs(i == 0 ? "\"" : ", \"", out);
        generate_write_escaped(out, schema->choices[i], strlen(schema->choices[i]));
        fputc('"', out);
    }
    fprintf(
        out,
        "};\n    size_t i = berth_generated_choice(settings->string(value), words, %u);\n\n"
        "    if (i == %u)\n"
        "        return berth_error_set(err, BERTH_INVALID_ARGUMENT, \"%%s: not one of the values of %s\",\n"
        "                               settings->where(value));\n"
        "    *ret = (enum %s)i;\n"
        "    return BERTH_OK;\n}\n\n",
        schema->choice_count, schema->choice_count, schema->name == NULL ? "an item" : schema->name, tag);
}

static void write_fill_collection(FILE *out, const struct schema *schema, const char *tag, const char *inner)
{
    bool map = schema->kind == SCHEMA_MAP;
    char *item_type = map ? memory_format("struct %s_entry ", tag) : generate_type(schema->items, inner);
    const char *target = map ? "ret->items[i].value" : "ret->items[i]";

    begin_fill(out, schema, tag);
    fprintf(out,
            "    enum berth_code code = BERTH_OK;\n    size_t count = settings->count(value);\n\n"
            "    if (count == 0)\n        return BERTH_OK;\n"
            "    ret->items = (%s*)calloc(count, sizeof(*ret->items));\n"
            "    if (ret->items == NULL)\n"
            "        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, \"no memory for %%zu items\", "
            "count);\n"
            "    ret->count = count;\n"
            "    for (size_t i = 0; i < count && code == BERTH_OK; i++) {\n"
            "        const struct berth_value *item = settings->at(value, i, %s);\n\n",
            item_type, map ? "&ret->items[i].key" : "NULL");
    if (has_own_function(schema->items)) {
        fprintf(out, "        code = fill_%s(settings, item, &%s, err);\n", inner, target);
    } else {
        fprintf(out, "        %s = ", target);
        write_read(out, schema->items);
    }
    fputs("    }\n    return code;\n}\n\n", out);
    free(item_type);
}

static void write_clear_collection(FILE *out, const struct schema *schema, const char *tag, const char *inner)
{
    fprintf(out, "static void clear_%s(struct %s *value)\n{\n", tag, tag);
    if (holds_memory(schema->items))
        fprintf(out, "    for (size_t i = 0; i < value->count; i++)\n        clear_%s(&value->items[i]%s);\n",
                inner, schema->kind == SCHEMA_MAP ? ".value" : "");
    fputs("    free(value->items);\n}\n\n", out);
}

static void write_fill_field(FILE *out, const struct schema *field, const char *inner)
{
    char *name = names_from(field->name);
    bool optional = generate_has_presence(field);

    fputs("\n    item = settings->find(value, \"", out);
    generate_write_escaped(out, field->name, strlen(field->name));
    fputs("\");\n", out);
    if (optional)
        fprintf(out, "    ret->has_%s = berth_generated_has(settings, item);\n", name);
    if (!has_own_function(field)) {
        fprintf(out, "    ret->%s = ", name);
        write_read(out, field);
    } else if (optional) {
        fprintf(out,
                "    if (code == BERTH_OK && ret->has_%s)\n        code = fill_%s(settings, item, &ret->%s, "
                "err);\n",
                name, inner, name);
    } else {
        fprintf(out, "    if (code == BERTH_OK)\n        code = fill_%s(settings, item, &ret->%s, err);\n",
                inner, name);
    }
    free(name);
}

static void write_object(FILE *out, const struct schema *schema, const char *tag)
{
    begin_fill(out, schema, tag);
    if (schema->field_count == 0) {
        fputs("    (void)settings;\n    (void)value;\n    (void)ret;\n    (void)err;\n    return "
              "BERTH_OK;\n}\n\n",
              out);
        return;
    }
    fputs("    enum berth_code code = BERTH_OK;\n    const struct berth_value *item;\n\n    (void)err;", out);
    for (size_t i = 0; i < schema->field_count; i++) {
        char *inner = generate_inner_tag(schema, tag, schema->fields[i]);

        write_fill_field(out, schema->fields[i], inner);
        free(inner);
    }
    fputs("    return code;\n}\n\n", out);
    if (!holds_memory(schema))
        return;
    fprintf(out, "static void clear_%s(struct %s *value)\n{\n", tag, tag);
    for (size_t i = 0; i < schema->field_count; i++) {
        char *inner = generate_inner_tag(schema, tag, schema->fields[i]);
        char *name = names_from(schema->fields[i]->name);

        if (holds_memory(schema->fields[i]))
            fprintf(out, "    clear_%s(&value->%s);\n", inner, name);
        free(name);
        free(inner);
    }
    fputs("}\n\n", out);
}

static void write_type(void *context, const struct schema *schema, const char *tag)
{
    FILE *out = context;
    char *inner;

    if (schema->kind == SCHEMA_ENUM) {
        write_enum(out, schema, tag);
        return;
    }
    if (schema->kind == SCHEMA_OBJECT) {
        write_object(out, schema, tag);
        return;
    }
    inner = generate_inner_tag(schema, tag, schema->items);
    write_fill_collection(out, schema, tag, inner);
    write_clear_collection(out, schema, tag, inner);
    free(inner);
}

void generate_config(FILE *out, const struct generate_plugin *plugin)
{
    const char *tag = plugin->config;

    generate_walk(plugin->plugin->config, tag, write_type, out);
    fprintf(out, "void %s_finish(struct %s *config)\n{\n", tag, tag);
    if (holds_memory(plugin->plugin->config))
        fprintf(out, "    clear_%s(config);\n", tag);
    fputs("    memset(config, 0, sizeof(*config));\n}\n\n", out);
    fprintf(out,
            "enum berth_code %s_init(struct %s *config, const struct berth_settings *settings,\n"
            "                        struct berth_error *err)\n{\n"
            "    enum berth_code code;\n\n"
            "    memset(config, 0, sizeof(*config));\n"
            "    code = fill_%s(settings, settings->root, config, err);\n"
            "    if (code != BERTH_OK)\n        %s_finish(config);\n"
            "    return code;\n}\n\n",
            tag, tag, tag, tag);
}
