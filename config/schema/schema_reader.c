/* SPDX-License-Identifier: Apache-2.0 */
/* Reads schemas from YAML and refuses those that no configuration could satisfy. */
#include "schema.h"

#include <stdlib.h>
#include <string.h>

#include <config/tree/arena.h>
#include "value.h"

struct compiled {
    struct compiled *next;
    regex_t regex;
};

/* The result of schema_create is the first member. */
struct schema_root {
    struct schema schema;
    struct berth_arena arena;
    struct compiled *patterns;
};

struct reader {
    struct schema_root *root;
    struct config_diagnostics *diagnostics;
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

BERTH_PRINTF(3, 4)
static bool add_error(struct reader *reader, const struct config_mark *mark, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    config_diagnostics_vadd(reader->diagnostics, CONFIG_ERROR, mark, format, arguments);
    va_end(arguments);
    return false;
}

/* A name that a newer berth may know. @return whether the schema can do without. */
BERTH_PRINTF(3, 4)
static bool add_unknown(struct reader *reader, const struct config_mark *mark, const char *format, ...)
{
    enum config_severity severity = config_diagnostics_of_unknown(reader->diagnostics);
    char message[BERTH_ERROR_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    config_diagnostics_add(reader->diagnostics, severity, mark, "%s%s", message,
                           severity == CONFIG_WARNING ? "; ignoring it" : "");
    return severity == CONFIG_WARNING;
}

static void *allocate(struct reader *reader, size_t bytes)
{
    return config_arena_allocate(&reader->root->arena, bytes);
}

static bool want_kind(struct reader *reader, const struct schema *schema, const struct config_node *node,
                      enum config_node_kind kind, const char *what)
{
    if (node->kind == kind)
        return true;
    return add_error(reader, &node->mark, "%s: %s must be %s", schema->name, node->key, what);
}

static bool want_text(struct reader *reader, const struct schema *schema, const struct config_node *node)
{
    return want_kind(reader, schema, node, CONFIG_SCALAR, "a string");
}

static bool want_bool(struct reader *reader, const struct schema *schema, const struct config_node *node,
                      bool *ret_bool)
{
    struct berth_error err;

    if (!want_kind(reader, schema, node, CONFIG_SCALAR, "true or false"))
        return false;
    if (!config_read_bool(node, ret_bool, &err))
        return add_error(reader, &node->mark, "%s: %s: %s", schema->name, node->key, err.message);
    return true;
}

static bool read_setting(struct reader *reader, struct schema *schema, const struct config_node *node);
static bool read_fields(struct reader *reader, struct schema *schema, const struct config_node *node);

static bool read_doc(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    schema->doc = node->text;
    return want_text(reader, schema, node);
}

static bool read_required(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    return want_bool(reader, schema, node, &schema->required);
}

static bool read_secret(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    return want_bool(reader, schema, node, &schema->secret);
}

static bool read_deprecated(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    schema->deprecated = node->text;
    return want_text(reader, schema, node);
}

static bool read_merge(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    if (schema->default_ == NULL)
        return add_error(reader, &node->key_mark, "%s: merge needs a default", schema->name);
    return want_bool(reader, schema, node, &schema->merge);
}

static bool read_default(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    if (schema->kind == SCHEMA_OBJECT)
        return add_error(reader, &node->key_mark, "%s: an object has no default; give its fields defaults",
                         schema->name);
    schema->default_ = node;
    return true;
}

static bool read_bound(struct reader *reader, struct schema *schema, const struct config_node *node,
                       int64_t *ret_integer, double *ret_number)
{
    enum schema_kind kind = schema->kind;
    struct berth_error err;
    bool is_read;

    if (!want_kind(reader, schema, node, CONFIG_SCALAR, "a number"))
        return false;
    if (kind == SCHEMA_FLOAT)
        is_read = config_read_float(node, ret_number, &err);
    else
        is_read = schema_read_integer(kind, node, ret_integer, &err);
    if (!is_read)
        return add_error(reader, &node->mark, "%s: %s: %s", schema->name, node->key, err.message);
    return true;
}

static bool read_min(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    schema->has_min = read_bound(reader, schema, node, &schema->min, &schema->min_float);
    return schema->has_min;
}

static bool read_max(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    schema->has_max = read_bound(reader, schema, node, &schema->max, &schema->max_float);
    return schema->has_max;
}

static bool read_pattern(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    struct compiled *compiled;
    struct berth_error err;

    if (!want_text(reader, schema, node))
        return false;
    compiled = allocate(reader, sizeof(*compiled));
    if (!config_pattern_compile(node->text, &compiled->regex, &err))
        return add_error(reader, &node->mark, "%s: %s", schema->name, err.message);
    compiled->next = reader->root->patterns;
    reader->root->patterns = compiled;
    schema->pattern = node->text;
    schema->compiled_pattern = &compiled->regex;
    return true;
}

static bool read_format(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    const char *known[CONFIG_FORMAT_COUNT];
    size_t count = 0;

    if (!want_text(reader, schema, node))
        return false;
    for (int i = CONFIG_FORMAT_ANY + 1; i < CONFIG_FORMAT_COUNT; i++) {
        enum config_format format = (enum config_format)i;

        if (schema->kind != (config_format_is_of_path(format) ? SCHEMA_PATH : SCHEMA_STRING))
            continue;
        known[count++] = config_format_name(format);
        if (strcmp(known[count - 1], node->text) == 0) {
            schema->format = format;
            return true;
        }
    }
    return add_unknown(reader, &node->mark, "%s: type %s has no format \"%.60s\"%s", schema->name,
                       schema_kind_name(schema->kind), node->text,
                       config_hint(node->text, known, count).text);
}

static bool choice_stands_before(const struct schema *schema, const char *choice)
{
    for (size_t i = 0; i < schema->choice_count; i++) {
        if (strcmp(schema->choices[i], choice) == 0)
            return true;
    }
    return false;
}

static bool read_values(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    enum { MOST = 256 };
    const char **choices;

    if (!want_kind(reader, schema, node, CONFIG_LIST, "a list of words"))
        return false;
    if (node->count == 0 || node->count > MOST)
        return add_error(reader, &node->mark, "%s: an enum has 1 to %d values", schema->name, MOST);
    choices = allocate(reader, node->count * sizeof(*choices));
    schema->choices = choices;
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *item = node->items[i];

        if (item->kind != CONFIG_SCALAR || item->length == 0)
            return add_error(reader, &item->mark, "%s: each value must be a word", schema->name);
        if (choice_stands_before(schema, item->text))
            return add_error(reader, &item->mark, "%s: \"%.60s\" is listed twice in values", schema->name,
                             item->text);
        choices[schema->choice_count++] = item->text;
    }
    return true;
}

static bool read_items(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    struct schema *items;

    items = allocate(reader, sizeof(*items));
    items->name = schema->name;
    items->secret = schema->secret;
    schema->items = items;
    if (!read_setting(reader, items, node))
        return false;
    if (items->default_ != NULL || items->required || items->deprecated != NULL)
        return add_error(reader, &node->mark,
                         "%s: an item cannot be required or deprecated, or have a default", schema->name);
    return true;
}

#define OF(kind) (1u << SCHEMA_##kind)

/* In reading order: each may use those above it. read_kind has read the type. */
static const struct member {
    const char *name;
    bool (*read)(struct reader *reader, struct schema *schema, const struct config_node *node);
    /* The kinds it applies to; 0: all. */
    unsigned kinds;
} members[] = {
    {"type", NULL},
    {"doc", read_doc},
    {"required", read_required},
    {"secret", read_secret},
    {"deprecated", read_deprecated},
    {"default", read_default},
    {"merge", read_merge, OF(MAP)},
    {"min", read_min, ~(OF(BOOL) | OF(ENUM) | OF(OBJECT) | OF(ANY))},
    {"max", read_max, ~(OF(BOOL) | OF(ENUM) | OF(OBJECT) | OF(ANY))},
    {"pattern", read_pattern, OF(STRING) | OF(PATH)},
    {"format", read_format},
    {"values", read_values, OF(ENUM)},
    {"items", read_items, OF(LIST) | OF(MAP)},
    {"fields", read_fields, OF(OBJECT)},
};

static bool read_member(struct reader *reader, struct schema *schema, const struct member *member,
                        const struct config_node *node)
{
    if (member->read == NULL)
        return true;
    if (member->kinds != 0 && (member->kinds & (1u << schema->kind)) == 0)
        return add_error(reader, &node->key_mark, "%s: %s does not apply to type %s", schema->name,
                         member->name, schema_kind_name(schema->kind));
    return member->read(reader, schema, node);
}

static bool add_unknown_member(struct reader *reader, const struct schema *schema,
                               const struct config_node *node)
{
    const char *known[COUNT(members)];

    for (size_t i = 0; i < COUNT(members); i++)
        known[i] = members[i].name;
    return add_unknown(reader, &node->key_mark, "%s: a setting has no key \"%.60s\"%s", schema->name,
                       node->key, config_hint(node->key, known, COUNT(members)).text);
}

static size_t find_member(const char *name)
{
    size_t i = 0;

    while (i < COUNT(members) && strcmp(members[i].name, name) != 0)
        i++;
    return i;
}

static bool read_members(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    const struct config_node *found[COUNT(members)] = {NULL};
    bool is_fine = true;

    for (size_t i = 0; i < node->count; i++) {
        size_t member = find_member(node->items[i]->key);

        if (member == COUNT(members))
            is_fine = add_unknown_member(reader, schema, node->items[i]) && is_fine;
        else
            found[member] = node->items[i];
    }
    for (size_t i = 0; i < COUNT(members); i++) {
        if (found[i] != NULL && !read_member(reader, schema, &members[i], found[i]))
            is_fine = false;
    }
    return is_fine;
}

static bool read_kind(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    const struct config_node *type = config_node_find(node, "type");
    const char *known[SCHEMA_KIND_COUNT];

    if (type == NULL || type->kind != CONFIG_SCALAR)
        return add_error(reader, &node->mark, "%s: type is missing (such as type: string)", schema->name);
    for (size_t i = 0; i < SCHEMA_KIND_COUNT; i++) {
        known[i] = schema_kind_name((enum schema_kind)i);
        if (strcmp(known[i], type->text) == 0) {
            schema->kind = (enum schema_kind)i;
            return true;
        }
    }
    return add_error(reader, &type->mark,
                     "%s: \"%.60s\" is not a type%s; use string, bool, int, float, duration, bytes, path, "
                     "enum, list, map, object or any",
                     schema->name, type->text, config_hint(type->text, known, SCHEMA_KIND_COUNT).text);
}

static bool check_default(struct reader *reader, const struct schema *schema)
{
    const struct config_node *node = schema->default_;
    char section[128];
    struct config_check_options options = {.section = section};
    struct config_values *values;

    if (schema->required)
        return add_error(reader, &node->key_mark, "%s: a required setting has no default", schema->name);
    if (config_node_is_empty(node))
        return add_error(reader, &node->mark, "%s: the default is empty; use \"\" for an empty text",
                         schema->name);
    if (node->kind == CONFIG_SCALAR && schema->kind == SCHEMA_PATH && node->text[0] != '/')
        return add_error(reader, &node->mark, "%s: the default of a path must be absolute", schema->name);
    snprintf(section, sizeof(section), "%.100s: default", schema->name);
    values = config_values_create(schema, node, &options, reader->diagnostics);
    config_values_destroy(values);
    return values != NULL;
}

static bool check_setting(struct reader *reader, const struct schema *schema)
{
    bool is_float = schema->kind == SCHEMA_FLOAT;

    if ((schema->kind == SCHEMA_LIST || schema->kind == SCHEMA_MAP) && schema->items == NULL)
        return add_error(reader, &schema->mark, "%s: a %s needs items: {type: …}", schema->name,
                         schema_kind_name(schema->kind));
    if (schema->kind == SCHEMA_ENUM && schema->choice_count == 0)
        return add_error(reader, &schema->mark, "%s: an enum needs values: […]", schema->name);
    if (schema->has_min && schema->has_max &&
        (is_float ? schema->min_float > schema->max_float : schema->min > schema->max))
        return add_error(reader, &schema->mark, "%s: min is larger than max", schema->name);
    return schema->default_ == NULL || check_default(reader, schema);
}

static bool read_setting(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    schema->mark = node->mark;
    if (node->kind != CONFIG_MAP)
        return add_error(reader, &node->mark, "%s: expected a map such as {type: string, default: Hello}",
                         schema->name);
    if (!read_kind(reader, schema, node) || !read_members(reader, schema, node))
        return false;
    return check_setting(reader, schema);
}

/* A field's name becomes a member of a C struct and a step of a dotted path. */
static bool name_is_valid(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return length > 0 && length <= 64 && name[length] == '\0' && (name[0] == '_' || name[0] > '9');
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct schema *const *)a)->name, (*(const struct schema *const *)b)->name);
}

static bool read_fields(struct reader *reader, struct schema *schema, const struct config_node *node)
{
    const struct schema **fields, **sorted;
    bool is_fine = true;

    if (config_node_is_empty(node))
        return true;
    if (node->kind != CONFIG_MAP)
        return add_error(reader, &node->mark, "%s%sfields must be a map of names to settings",
                         schema->name == NULL ? "" : schema->name, schema->name == NULL ? "" : ": ");
    schema->fields = fields = allocate(reader, node->count * sizeof(*fields));
    schema->sorted_fields = sorted = allocate(reader, node->count * sizeof(*sorted));
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *item = node->items[i];
        struct schema *field = allocate(reader, sizeof(*field));

        field->name = item->key;
        field->index = (uint32_t)i;
        field->secret = schema->secret;
        fields[i] = sorted[i] = field;
        schema->field_count++;
        if (!name_is_valid(item->key))
            is_fine = add_error(
                reader, &item->key_mark,
                "\"%.80s\" is not a valid name of a setting (use a-z, 0-9 and _; at most 64, no digit first)",
                item->key);
        else if (!read_setting(reader, field, item))
            is_fine = false;
    }
    if (node->count > 1)
        qsort(sorted, node->count, sizeof(*sorted), compare_names);
    return is_fine;
}

struct schema *schema_create(const struct config_node *node, struct config_diagnostics *diagnostics)
{
    struct schema_root *root = calloc(1, sizeof(*root));
    struct reader reader = {.root = root, .diagnostics = diagnostics};

    if (root == NULL)
        abort();
    root->schema.kind = SCHEMA_OBJECT;
    if (node != NULL)
        root->schema.mark = node->mark;
    if (node == NULL || read_fields(&reader, &root->schema, node))
        return &root->schema;
    schema_destroy(&root->schema);
    return NULL;
}

/* Of the schema, and of all below it. */
static void visit(struct schema *schema, void (*change)(struct schema *schema, struct berth_arena *arena),
                  struct berth_arena *arena)
{
    change(schema, arena);
    if (schema->items != NULL)
        visit((struct schema *)schema->items, change, arena);
    for (size_t i = 0; i < schema->field_count; i++)
        visit((struct schema *)schema->fields[i], change, arena);
}

static struct config_node *copy_node(struct berth_arena *arena, const struct config_node *node)
{
    struct config_node *copy = config_arena_allocate(arena, sizeof(*copy));

    *copy = *node;
    if (node->count > 0)
        copy->items = config_arena_allocate(arena, node->count * sizeof(struct config_node *));
    for (size_t i = 0; i < node->count; i++)
        copy->items[i] = copy_node(arena, node->items[i]);
    return copy;
}

static void own_default(struct schema *schema, struct berth_arena *arena)
{
    if (schema->default_ != NULL)
        schema->default_ = copy_node(arena, schema->default_);
}

void schema_own_defaults(struct schema *schema)
{
    visit(schema, own_default, &((struct schema_root *)schema)->arena);
}

static void free_patterns(struct schema_root *root)
{
    for (struct compiled *at = root->patterns; at != NULL; at = at->next)
        regfree(&at->regex);
    root->patterns = NULL;
}

static void forget_pattern(struct schema *schema, struct berth_arena *arena)
{
    schema->compiled_pattern = NULL;
}

void schema_forget_patterns(struct schema *schema)
{
    free_patterns((struct schema_root *)schema);
    visit(schema, forget_pattern, NULL);
}

void schema_destroy(struct schema *schema)
{
    struct schema_root *root = (struct schema_root *)schema;

    if (schema == NULL)
        return;
    free_patterns(root);
    berth_arena_finish(&root->arena);
    free(root);
}
