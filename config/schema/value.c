/* SPDX-License-Identifier: Apache-2.0 */
/* Checks a section against its schema, completes it with the defaults, and shows it to the plugin. */
#include "value.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

#include <config/tree/arena.h>
#include "scalar.h"

enum {
    /* Defaults inside items multiply: a small file must not become gigabytes. */
    VALUES_MAX = 1000000,
    /* Most plugins have no section, or a short one. */
    FIRST_BYTES = 384,
};

struct config_values {
    struct berth_arena arena;
    struct berth_value *root;
    struct berth_settings settings;
    /* Untyped only. */
    struct config_misread *misread;
    alignas(max_align_t) char first[FIRST_BYTES];
};

struct builder {
    struct berth_arena *arena;
    const struct config_check_options *options;
    struct config_diagnostics *diagnostics;
    size_t value_count;
    bool failed;
};

/* The path of a value in its section, for messages. */
struct place {
    const struct place *parent;
    const char *key;
    size_t index;
};

static size_t format_place(const struct place *place, char *text, size_t size)
{
    size_t length;
    int more;

    if (place == NULL || size < 2)
        return 0;
    length = format_place(place->parent, text, size);
    if (place->key == NULL)
        more = snprintf(text + length, size - length, "[%zu]", place->index);
    else
        more = snprintf(text + length, size - length, "%s%s", length == 0 ? "" : ".", place->key);
    return (size_t)more >= size - length ? size - 1 : length + (size_t)more;
}

BERTH_PRINTF(5, 6)
static void report(struct builder *builder, enum config_severity severity, const struct place *place,
                   const struct config_mark *mark, const char *format, ...)
{
    const char *section = builder->options->section;
    char path[512] = "";
    char message[BERTH_ERROR_MAX + 256];
    va_list arguments;

    if (severity == CONFIG_ERROR)
        builder->failed = true;
    format_place(place, path, sizeof(path));
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    config_diagnostics_add(builder->diagnostics, severity, mark, "%s%s%s%s%s", section == NULL ? "" : section,
                           section == NULL ? "" : ": ", path, path[0] == '\0' ? "" : ": ", message);
}

static const char *format_mark(struct berth_arena *arena, const struct config_mark *mark)
{
    char numbers[32];
    size_t length = strlen(mark->file);
    size_t more = 0;
    char *where;

    if (mark->line > 0)
        more = (size_t)snprintf(numbers, sizeof(numbers), ":%u:%u", mark->line, mark->column);
    where = config_arena_allocate(arena, length + more + 1);
    memcpy(where, mark->file, length);
    memcpy(where + length, numbers, more);
    return where;
}

/* If the value is not set, `node` is NULL or the schema's default. */
static struct berth_value *add_value(struct builder *builder, const struct schema *schema,
                                     const struct config_node *node, bool is_default)
{
    struct berth_value *value;

    if (++builder->value_count > VALUES_MAX) {
        if (builder->value_count == VALUES_MAX + 1)
            report(builder, CONFIG_ERROR, NULL, node == NULL ? NULL : &node->mark,
                   "more than %d values, defaults included", VALUES_MAX);
        return NULL;
    }
    value = config_arena_allocate(builder->arena, sizeof(*value));
    value->schema = schema;
    value->where = "default";
    if (node != NULL && !is_default && node->mark.file != NULL) {
        value->mark = node->mark;
        value->where = format_mark(builder->arena, &node->mark);
        value->was = node->was;
    }
    return value;
}

static struct berth_value *build(struct builder *builder, const struct schema *schema,
                                 const struct config_node *node, bool is_default, const struct place *place);

static struct config_node *copy_node(struct builder *builder, const struct config_node *node, size_t count)
{
    struct config_node *copy = config_arena_allocate(builder->arena, sizeof(*copy));

    *copy = *node;
    copy->count = 0;
    copy->items = config_arena_allocate(builder->arena, count * sizeof(struct config_node *));
    return copy;
}

/* For a default, which no file sets. */
static struct config_node *copy_default(struct builder *builder, const struct config_node *node)
{
    struct config_node *copy = copy_node(builder, node, node->count);

    copy->mark = copy->key_mark = (struct config_mark){0};
    for (size_t i = 0; i < node->count; i++)
        copy->items[copy->count++] = copy_default(builder, node->items[i]);
    return copy;
}

/* Merges the set values over a default: two maps. */
static struct config_node *merge_default(struct builder *builder, const struct config_node *node,
                                         const struct config_node *under)
{
    struct config_node *merged = copy_node(builder, node, node->count + under->count);

    for (size_t i = 0; i < under->count; i++)
        if (config_node_find(node, under->items[i]->key) == NULL)
            merged->items[merged->count++] = copy_default(builder, under->items[i]);
    for (size_t i = 0; i < node->count; i++) {
        struct config_node *item = node->items[i];
        const struct config_node *below = config_node_find(under, item->key);
        bool are_maps = below != NULL && below->kind == CONFIG_MAP && item->kind == CONFIG_MAP;

        merged->items[merged->count++] = are_maps ? merge_default(builder, item, below) : item;
    }
    return merged;
}

static void build_items(struct builder *builder, struct berth_value *value, const struct config_node *node,
                        bool is_default, const struct place *place)
{
    const struct schema *schema = value->schema;
    const struct schema *items = schema->kind == SCHEMA_ANY ? schema : schema->items;
    bool is_map = node->kind == CONFIG_MAP;
    struct berth_error err;

    value->kind = is_map ? BERTH_VALUE_MAP : BERTH_VALUE_LIST;
    if (!scalar_check_count(schema, node->count, "items", &err))
        report(builder, CONFIG_ERROR, place, &node->mark, "%s", err.message);
    value->items = config_arena_allocate(builder->arena, node->count * sizeof(struct berth_value *));
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *item = node->items[i];
        struct place at = {.parent = place, .key = is_map ? item->key : NULL, .index = i};
        struct berth_value *built = build(builder, items, item, is_default, &at);

        if (built == NULL)
            continue;
        built->key = item->key;
        value->items[value->count++] = built;
    }
}

static void report_unknown(struct builder *builder, const struct schema *schema,
                           const struct config_node *item, const struct place *place)
{
    enum config_severity severity = builder->options->lenient ? CONFIG_WARNING : CONFIG_ERROR;
    struct config_hint hint = {""};
    const char **known;

    for (size_t i = 0; i < schema->field_count; i++) {
        if (schema->fields[i]->kind != SCHEMA_OBJECT ||
            schema_find_field(schema->fields[i], item->key) == NULL)
            continue;
        report(builder, severity, place, &item->key_mark,
               "unknown setting \"%.100s\" here; it belongs under %s", item->key, schema->fields[i]->name);
        return;
    }
    if (builder->diagnostics->count < CONFIG_DIAGNOSTICS_MAX) {
        known = config_arena_allocate(builder->arena, schema->field_count * sizeof(char *));
        for (size_t i = 0; i < schema->field_count; i++)
            known[i] = schema->fields[i]->name;
        hint = config_hint(item->key, known, schema->field_count);
    }
    report(builder, severity, place, &item->key_mark, "unknown setting \"%.100s\"%s", item->key, hint.text);
}

static void report_deprecated(struct builder *builder, const struct schema *field,
                              const struct config_node *item, const struct place *place)
{
    const char *section = builder->options->section;
    char path[512] = "", setting[1024];

    if (field->deprecated == NULL)
        return;
    format_place(place, path, sizeof(path));
    snprintf(setting, sizeof(setting), "%s%s%s", section == NULL ? "" : section, section == NULL ? "" : "/",
             path);
    config_diagnostics_add_deprecation(builder->diagnostics, setting, &item->key_mark,
                                       "%s%s%s is deprecated; use %s", section == NULL ? "" : section,
                                       section == NULL ? "" : ": ", path, field->deprecated);
}

static void build_set_fields(struct builder *builder, struct berth_value *value,
                             const struct config_node *node, const struct place *place, bool *seen)
{
    for (size_t i = 0; node != NULL && i < node->count; i++) {
        const struct config_node *item = node->items[i];
        const struct schema *field = schema_find_field(value->schema, item->key);
        struct place at = {.parent = place, .key = item->key};

        if (field == NULL) {
            report_unknown(builder, value->schema, item, place);
            continue;
        }
        report_deprecated(builder, field, item, &at);
        seen[field->index] = true;
        value->items[field->index] = build(builder, field, item, false, &at);
    }
}

static void build_missing_fields(struct builder *builder, struct berth_value *value,
                                 const struct config_node *node, const struct place *place, const bool *seen)
{
    for (size_t i = 0; i < value->schema->field_count; i++) {
        const struct schema *field = value->schema->fields[i];
        struct place at = {.parent = place, .key = field->name};

        if (value->items[i] == NULL) {
            if (!seen[i] && field->required && !builder->options->partial)
                report(builder, CONFIG_ERROR, &at, node == NULL ? NULL : &node->mark,
                       "required but not set (%s)", schema_kind_name(field->kind));
            value->items[i] = build(builder, field, field->default_, true, &at);
        }
        if (value->items[i] != NULL)
            value->items[i]->key = field->name;
    }
}

static void build_object(struct builder *builder, struct berth_value *value, const struct config_node *node,
                         const struct place *place)
{
    const struct schema *schema = value->schema;
    bool *seen;

    if (node == NULL && place != NULL && (schema->required || schema_requires_fields(schema)))
        return;
    value->kind = BERTH_VALUE_MAP;
    value->items = config_arena_allocate(builder->arena, schema->field_count * sizeof(struct berth_value *));
    value->count = schema->field_count;
    seen = config_arena_allocate(builder->arena, schema->field_count * sizeof(*seen));
    build_set_fields(builder, value, node, place, seen);
    build_missing_fields(builder, value, node, place, seen);
}

static bool kind_fits(const struct schema *schema, const struct config_node *node)
{
    switch (node->kind) {
    case CONFIG_SCALAR:
        return schema->kind < SCHEMA_LIST || schema->kind == SCHEMA_ANY;
    case CONFIG_LIST:
        return schema->kind == SCHEMA_LIST || schema->kind == SCHEMA_ANY;
    case CONFIG_MAP:
        return schema->kind == SCHEMA_MAP || schema->kind == SCHEMA_OBJECT || schema->kind == SCHEMA_ANY;
    }
    return false;
}

static void report_kind(struct builder *builder, const struct schema *schema, const struct config_node *node,
                        const struct place *place)
{
    static const char *const found[] = {
        [CONFIG_SCALAR] = "a single value", [CONFIG_LIST] = "a list", [CONFIG_MAP] = "a map"};

    if (config_node_is_empty(node))
        report(builder, CONFIG_ERROR, place, &node->mark,
               "no value; set one (%s), or remove the key to use the default",
               schema_kind_name(schema->kind));
    else if (config_node_lacks_space(node))
        report(builder, CONFIG_ERROR, place, &node->mark, "missing space after the colon in \"%.60s\"",
               node->text);
    else
        report(builder, CONFIG_ERROR, place, &node->mark, "expected %s, found %s%s",
               schema_kind_name(schema->kind), found[node->kind],
               schema->kind == SCHEMA_LIST ? "; write a list as [ONE, TWO]" : "");
}

static struct berth_value *build_scalar(struct builder *builder, struct berth_value *value,
                                        const struct config_node *node, const struct place *place)
{
    struct berth_error err;
    bool is_fine = scalar_read(value->schema, node, builder->arena, value, &err);

    if (is_fine && builder->options->look_at_files)
        is_fine = scalar_check_file(value->schema, value, &err);
    if (is_fine)
        return value;
    report(builder, CONFIG_ERROR, place, &node->mark, "%s", err.message);
    return NULL;
}

/* NULL on error. Recursion is bounded by the depth of the schema, and of the file where it takes anything. */
static struct berth_value *build(struct builder *builder, const struct schema *schema,
                                 const struct config_node *node, bool is_default, const struct place *place)
{
    struct berth_value *value;

    if (node != NULL && config_node_is_empty(node) && schema->kind >= SCHEMA_LIST &&
        schema->kind != SCHEMA_ANY) {
        node = schema->default_;
        is_default = true;
    }
    value = add_value(builder, schema, node, is_default);
    if (value == NULL)
        return NULL;
    if (node != NULL && (!kind_fits(schema, node) || config_node_is_empty(node))) {
        report_kind(builder, schema, node, place);
        return NULL;
    }
    if (schema->merge && node != NULL && !is_default)
        node = merge_default(builder, node, schema->default_);
    if (schema->kind == SCHEMA_OBJECT)
        build_object(builder, value, node, place);
    else if (node != NULL && node->kind == CONFIG_SCALAR)
        return build_scalar(builder, value, node, place);
    else if (node != NULL)
        build_items(builder, value, node, is_default, place);
    return value;
}

/* A plugin's view of values: each function takes NULL for a missing value. */
static enum berth_value_kind view_kind(const struct berth_value *value)
{
    return value == NULL ? BERTH_VALUE_NONE : value->kind;
}

/* A value of config_values_create_untyped. */
struct untyped {
    struct berth_value value;
    struct config_values *values;
};

static bool is_untyped(const struct berth_value *value)
{
    return value != NULL && value->misread != NULL;
}

/* The first one fails the migration. */
static void note_misread(const struct berth_value *value, const char *why)
{
    struct config_misread *misread = value->misread;

    if (misread->err.message[0] != '\0')
        return;
    misread->mark = value->mark;
    berth_error_set(&misread->err, BERTH_INVALID_ARGUMENT, "%s%s%s",
                    value->node->key == NULL ? "" : value->node->key, value->node->key == NULL ? "" : ": ",
                    why);
}

/* A list or map cannot be read as a typed scalar. */
static bool is_scalar(const struct berth_value *value, const char *wanted)
{
    char why[64];

    if (value->node->kind == CONFIG_SCALAR)
        return true;
    snprintf(why, sizeof(why), "expected %s, found a %s", wanted,
             value->node->kind == CONFIG_LIST ? "list" : "map");
    note_misread(value, why);
    return false;
}

static bool view_boolean(const struct berth_value *value)
{
    struct berth_error err;
    bool boolean = false;

    if (!is_untyped(value))
        return view_kind(value) == BERTH_VALUE_BOOL && value->boolean;
    if (is_scalar(value, "true or false") && !config_read_bool(value->node, &boolean, &err))
        note_misread(value, err.message);
    return boolean;
}

/* A number, a duration or a size; no text parses as two of them. */
static int64_t view_integer(const struct berth_value *value)
{
    struct berth_error err, ignored;
    int64_t integer = 0;

    if (!is_untyped(value))
        return view_kind(value) == BERTH_VALUE_INT ? value->integer : 0;
    if (is_scalar(value, "an integer") && !config_read_int(value->node, &integer, &err) &&
        !config_parse_duration(value->node->text, &integer, &ignored) &&
        !config_parse_bytes(value->node->text, &integer, &ignored))
        note_misread(value, err.message);
    return integer;
}

static double view_number(const struct berth_value *value)
{
    struct berth_error err;
    double number = 0.0;

    if (!is_untyped(value))
        return view_kind(value) == BERTH_VALUE_FLOAT ? value->number : 0.0;
    if (is_scalar(value, "a number") && !config_read_float(value->node, &number, &err))
        note_misread(value, err.message);
    return number;
}

static const char *view_string(const struct berth_value *value)
{
    return view_kind(value) == BERTH_VALUE_STRING ? value->string : NULL;
}

/* The items of an untyped list or map are made when somebody first looks: a migration sees little of a
 * section. */
static void unfold(const struct berth_value *value);

static size_t view_count(const struct berth_value *value)
{
    enum berth_value_kind kind = view_kind(value);

    if (kind != BERTH_VALUE_LIST && kind != BERTH_VALUE_MAP)
        return 0;
    unfold(value);
    return value->count;
}

static const struct berth_value *view_at(const struct berth_value *value, size_t i, const char **ret_key)
{
    if (i >= view_count(value))
        return NULL;
    if (ret_key != NULL)
        *ret_key = value->items[i]->key;
    return value->items[i];
}

static const struct berth_value *view_find(const struct berth_value *value, const char *key)
{
    if (view_kind(value) != BERTH_VALUE_MAP)
        return NULL;
    unfold(value);
    for (size_t i = 0; i < value->count; i++) {
        if (strcmp(value->items[i]->key, key) == 0)
            return value->items[i];
    }
    return NULL;
}

static const char *view_where(const struct berth_value *value)
{
    return value == NULL ? "default" : value->where;
}

static const struct berth_settings view = {
    .size = sizeof(struct berth_settings),
    .kind = view_kind,
    .boolean = view_boolean,
    .integer = view_integer,
    .number = view_number,
    .string = view_string,
    .count = view_count,
    .at = view_at,
    .find = view_find,
    .where = view_where,
};

static void show_root(struct config_values *values)
{
    values->settings = view;
    values->settings.root = values->root;
}

static struct config_values *create_empty(void)
{
    struct config_values *values = memory_allocate(1, sizeof(*values));

    berth_arena_init(&values->arena, values->first, sizeof(values->first));
    return values;
}

struct config_values *config_values_create(const struct schema *schema, const struct config_node *node,
                                           const struct config_check_options *options,
                                           struct config_diagnostics *diagnostics)
{
    struct config_values *values = create_empty();
    struct builder builder = {.arena = &values->arena, .options = options, .diagnostics = diagnostics};

    values->root = build(&builder, schema, node, false, NULL);
    if (values->root == NULL || (builder.failed && !options->forgiving)) {
        config_values_destroy(values);
        return NULL;
    }
    show_root(values);
    return values;
}

static struct berth_value *show_node(struct config_values *values, const struct config_node *node)
{
    struct untyped *untyped = config_arena_allocate(&values->arena, sizeof(*untyped));
    struct berth_value *value = &untyped->value;

    untyped->values = values;
    value->misread = values->misread;
    value->node = node;
    value->mark = node->mark;
    value->where = format_mark(&values->arena, &node->mark);
    value->was = node->was;
    value->key = node->key;
    value->kind = node->kind == CONFIG_SCALAR ? BERTH_VALUE_STRING
                  : node->kind == CONFIG_LIST ? BERTH_VALUE_LIST
                                              : BERTH_VALUE_MAP;
    if (node->kind == CONFIG_SCALAR)
        value->string = node->text;
    return value;
}

static void unfold(const struct berth_value *folded)
{
    struct untyped *untyped = (struct untyped *)folded;
    struct berth_value *value = &untyped->value;

    if (!is_untyped(folded) || value->items != NULL)
        return;
    value->items =
        config_arena_allocate(&untyped->values->arena, value->node->count * sizeof(struct berth_value *));
    for (size_t i = 0; i < value->node->count; i++)
        value->items[value->count++] = show_node(untyped->values, value->node->items[i]);
}

struct config_values *config_values_create_untyped(const struct config_node *node)
{
    struct config_values *values = create_empty();

    values->misread = config_arena_allocate(&values->arena, sizeof(*values->misread));
    values->root = show_node(values, node);
    show_root(values);
    return values;
}

const struct config_misread *config_values_misread(const struct config_values *values)
{
    return values->misread;
}

void config_values_destroy(struct config_values *values)
{
    if (values == NULL)
        return;
    berth_arena_finish(&values->arena);
    free(values);
}

const struct berth_value *config_values_root(const struct config_values *values)
{
    return values->root;
}

const struct berth_settings *config_values_settings(const struct config_values *values)
{
    return &values->settings;
}
