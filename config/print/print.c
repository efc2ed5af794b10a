/* SPDX-License-Identifier: Apache-2.0 */
/* Writes typed values as YAML and as JSON, a schema with its docs and defaults, and trees as they were
 * written. */
#include "print.h"

#include <stdlib.h>
#include <string.h>

bool config_print_is_secret(const struct berth_value *value)
{
    const struct schema *schema = value->schema;

    while (schema != NULL && !schema->secret)
        schema = schema->kind == SCHEMA_LIST ? schema->items : NULL;
    return schema != NULL;
}

static bool is_hidden(const struct berth_value *value, const struct config_print_options *options)
{
    return !options->secrets && value->kind != BERTH_VALUE_NONE && config_print_is_secret(value);
}

bool config_print_is_unused(const struct berth_value *value)
{
    return value->schema != NULL && value->schema->deprecated != NULL && value->mark.file == NULL;
}

static bool is_shown(const struct berth_value *value, const struct config_print_options *options)
{
    return value->kind != BERTH_VALUE_NONE && !is_hidden(value, options) && !config_print_is_unused(value);
}

/* Would other YAML readers take it for something other than a string? */
static bool looks_typed(const char *text)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    return strpbrk(text, "0123456789") != NULL && text[strspn(text, "0123456789.+-eExXoO_:")] == '\0';
}

bool config_print_is_plain(const char *text, size_t length)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._";

    if (length == 0 || strchr(letters, text[0]) == NULL || text[length - 1] == ' ' || looks_typed(text))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ':' ? text[i + 1] == ' ' || text[i + 1] == '\0'
                           : strchr(letters, text[i]) == NULL && strchr(" @%+=,*-", text[i]) == NULL)
            return false;
    }
    return true;
}

static void print_text(struct config_text *out, const char *text)
{
    size_t length = strlen(text);

    if (config_print_is_plain(text, length))
        config_text_add_bytes(out, text, length);
    else
        config_text_add_quoted(out, text, length);
}

void config_print_key(struct config_text *out, const char *key)
{
    print_text(out, key);
}

/* In a value of any kind, a whole number would read back as an integer. */
static void print_float(struct config_text *out, const struct berth_value *value)
{
    bool is_any = value->schema != NULL && value->schema->kind == SCHEMA_ANY;
    char text[CONFIG_UNITS_MAX];

    config_format_float(value->number, text);
    config_text_add(out, "%s%s", text, is_any && strpbrk(text, ".e") == NULL ? ".0" : "");
}

/* A duration or size in its unit; false for a plain number. */
static bool format_units(const struct berth_value *value, char ret_text[CONFIG_UNITS_MAX])
{
    enum schema_kind kind = value->schema == NULL ? SCHEMA_INT : value->schema->kind;

    schema_format_integer(kind, value->integer, ret_text);
    return kind == SCHEMA_DURATION || kind == SCHEMA_BYTES;
}

void config_print_scalar(struct config_text *out, const struct berth_value *value)
{
    char units[CONFIG_UNITS_MAX];

    switch (value->kind) {
    case BERTH_VALUE_BOOL:
        config_text_add(out, "%s", value->boolean ? "true" : "false");
        break;
    case BERTH_VALUE_INT:
        format_units(value, units);
        config_text_add(out, "%s", units);
        break;
    case BERTH_VALUE_FLOAT:
        print_float(out, value);
        break;
    case BERTH_VALUE_STRING:
        print_text(out, value->string);
        break;
    case BERTH_VALUE_NONE:
    case BERTH_VALUE_LIST:
    case BERTH_VALUE_MAP:
        break;
    }
}

static bool is_block(const struct berth_value *value)
{
    return (value->kind == BERTH_VALUE_LIST || value->kind == BERTH_VALUE_MAP) && value->count > 0;
}

static void end_line(struct config_text *out, const struct berth_value *value,
                     const struct config_print_options *options)
{
    if (options->origins) {
        config_text_add(out, "  # ");
        config_text_add_cleaned(out, value->where, strlen(value->where));
        if (value->was != NULL) {
            config_text_add(out, ", was ");
            config_text_add_cleaned(out, value->was, strlen(value->was));
        }
    }
    config_text_add(out, "\n");
}

/* A value that fits on the line of its key or dash. */
static void print_inline(struct config_text *out, const struct berth_value *value,
                         const struct config_print_options *options)
{
    if (value->kind == BERTH_VALUE_LIST)
        config_text_add(out, "[]");
    else if (value->kind == BERTH_VALUE_MAP)
        config_text_add(out, "{}");
    else
        config_print_scalar(out, value);
    end_line(out, value, options);
}

static void print_list(struct config_text *out, const struct berth_value *list, size_t indent,
                       const struct config_print_options *options);

static void print_entry(struct config_text *out, const struct berth_value *value, size_t indent,
                        const struct config_print_options *options)
{
    if (!is_shown(value, options)) {
        config_text_add(out, "# ");
        config_print_key(out, value->key);
        config_text_add(out, value->kind == BERTH_VALUE_NONE ? ": not set\n" : ": secret, not shown\n");
        return;
    }
    config_print_key(out, value->key);
    config_text_add(out, is_block(value) ? ":\n" : ": ");
    if (!is_block(value))
        print_inline(out, value, options);
    else if (value->kind == BERTH_VALUE_LIST)
        print_list(out, value, indent + 2, options);
    else
        config_print_values(out, value, indent + 2, options);
}

/* The first entry of a map in a list follows the dash. */
static void print_entries(struct config_text *out, const struct berth_value *map, size_t indent,
                          const struct config_print_options *options, bool behind_dash)
{
    for (size_t i = 0; i < map->count; i++) {
        if (config_print_is_unused(map->items[i]))
            continue;
        if (i > 0 || !behind_dash)
            config_text_add_spaces(out, indent);
        print_entry(out, map->items[i], indent, options);
    }
}

static bool has_shown_entry(const struct berth_value *map, const struct config_print_options *options)
{
    for (size_t i = 0; i < map->count; i++) {
        if (is_shown(map->items[i], options))
            return true;
    }
    return false;
}

static void print_item(struct config_text *out, const struct berth_value *item, size_t indent,
                       const struct config_print_options *options)
{
    bool is_list = item->kind == BERTH_VALUE_LIST;
    bool is_inline = !is_block(item) || (!is_list && !has_shown_entry(item, options));
    bool behind_dash = !is_inline && !is_list && is_shown(item->items[0], options);

    config_text_add(out, is_inline || behind_dash ? "- " : "-\n");
    if (is_inline)
        print_inline(out, item, options);
    else if (is_list)
        print_list(out, item, indent + 2, options);
    else
        print_entries(out, item, indent + 2, options, behind_dash);
}

static void print_list(struct config_text *out, const struct berth_value *list, size_t indent,
                       const struct config_print_options *options)
{
    for (size_t i = 0; i < list->count; i++) {
        config_text_add_spaces(out, indent);
        print_item(out, list->items[i], indent, options);
    }
}

void config_print_values(struct config_text *out, const struct berth_value *map, size_t indent,
                         const struct config_print_options *options)
{
    print_entries(out, map, indent, options, false);
}

static void print_json_scalar(struct config_json *json, const char *key, const struct berth_value *value)
{
    char units[CONFIG_UNITS_MAX];

    switch (value->kind) {
    case BERTH_VALUE_INT:
        if (format_units(value, units))
            config_json_string(json, key, units);
        else
            config_json_integer(json, key, value->integer);
        break;
    case BERTH_VALUE_STRING:
        config_json_string(json, key, value->string);
        break;
    case BERTH_VALUE_BOOL:
        config_json_bool(json, key, value->boolean);
        break;
    case BERTH_VALUE_FLOAT:
        config_json_float(json, key, value->number);
        break;
    case BERTH_VALUE_NONE:
    case BERTH_VALUE_LIST:
    case BERTH_VALUE_MAP:
        config_json_string(json, key, NULL);
    }
}

void config_print_json(struct config_json *json, const char *key, const struct berth_value *value,
                       const struct config_print_options *options)
{
    bool is_map = value->kind == BERTH_VALUE_MAP;

    if (!is_map && value->kind != BERTH_VALUE_LIST) {
        print_json_scalar(json, key, value);
        return;
    }
    config_json_open(json, key, is_map ? '{' : '[');
    for (size_t i = 0; i < value->count; i++)
        if (!is_map || is_shown(value->items[i], options))
            config_print_json(json, is_map ? value->items[i]->key : NULL, value->items[i], options);
    config_json_close(json, is_map ? '}' : ']');
}

enum {
    LINE_WIDTH = 100,
};

/* Where the lines go. Inside a commented-out object, every line is a comment. */
struct printer {
    struct config_text *out;
    size_t indent;
    bool commented;
};

static void begin_line(const struct printer *printer)
{
    config_text_add_spaces(printer->out, printer->indent);
    if (printer->commented)
        config_text_add(printer->out, "# ");
}

/* Bytes of the next line: as many whole words as fit. */
static size_t measure_line(const char *text, size_t width)
{
    size_t fits = 0;

    for (size_t i = 0;; i++) {
        if (text[i] == '\0' || text[i] == '\n')
            return i <= width || fits == 0 ? i : fits;
        if (text[i] == ' ') {
            if (i > width && fits > 0)
                return fits;
            fits = i;
        }
    }
}

void config_print_comment(struct config_text *out, const char *comment, size_t indent)
{
    size_t width = indent + 22 < LINE_WIDTH ? LINE_WIDTH - indent - 2 : 20;

    while (*comment != '\0') {
        size_t length = measure_line(comment, width);

        config_text_add_spaces(out, indent);
        config_text_add(out, "# ");
        config_text_add_cleaned(out, comment, length);
        config_text_add(out, "\n");
        comment += length;
        comment += *comment != '\0';
    }
}

static void add_bound(struct config_text *text, const struct schema *schema, const char *word, bool has,
                      int64_t bound, double number)
{
    struct schema plain = {.kind = schema_counts(schema->kind) ? SCHEMA_INT : schema->kind};
    bool is_float = schema->kind == SCHEMA_FLOAT;
    struct berth_value value = {.schema = &plain, .kind = is_float ? BERTH_VALUE_FLOAT : BERTH_VALUE_INT};

    if (!has)
        return;
    if (is_float)
        value.number = number;
    else
        value.integer = bound;
    config_text_add(text, ", at %s ", word);
    config_print_scalar(text, &value);
    if (schema_counts(schema->kind))
        config_text_add(text,
                        schema->kind == SCHEMA_LIST || schema->kind == SCHEMA_MAP ? " items" : " bytes");
}

/* "list of string, at most 5 items" */
static void add_kind(struct config_text *text, const struct schema *schema)
{
    config_text_add(text, "%s", schema_kind_name(schema->kind));
    if (schema->items != NULL) {
        config_text_add(text, " of ");
        add_kind(text, schema->items);
    }
    for (size_t i = 0; i < schema->choice_count; i++)
        config_text_add(text, "%s%s", i == 0 ? ": " : ", ", schema->choices[i]);
    add_bound(text, schema, "least", schema->has_min, schema->min, schema->min_float);
    add_bound(text, schema, "most", schema->has_max, schema->max, schema->max_float);
    if (schema->pattern != NULL)
        config_text_add(text, ", matching %s", schema->pattern);
    if (schema->format != CONFIG_FORMAT_ANY)
        config_text_add(text, ", format %s", config_format_name(schema->format));
}

static void add_doc(struct config_text *doc, const struct schema *schema)
{
    if (schema->doc != NULL && schema->doc[0] != '\0')
        config_text_add(doc, "%s ", schema->doc);
    config_text_add(doc, "(");
    add_kind(doc, schema);
    if (schema->required)
        config_text_add(doc, "; required");
    if (schema->secret)
        config_text_add(doc, "; secret");
    if (schema->merge)
        config_text_add(doc, "; merged with its default");
    if (schema->deprecated != NULL)
        config_text_add(doc, "; deprecated: use %s", schema->deprecated);
    config_text_add(doc, ")");
}

/* The fields of each item, which may be missing in the default. Recursion is bounded by the depth of the
 * schema.
 */
static void print_item_docs(const struct printer *printer, const struct schema *object, const char *above)
{
    for (size_t i = 0; i < object->field_count; i++) {
        const struct schema *field = object->fields[i];
        struct config_text doc = {0}, path = {0};

        config_text_add(&path, "%s%s", above, field->name);
        config_text_add(&doc, "- %s: ", path.bytes);
        add_doc(&doc, field);
        config_print_comment(printer->out, doc.bytes, printer->indent);
        config_text_add(&path, ".");
        if (field->kind == SCHEMA_OBJECT)
            print_item_docs(printer, field, path.bytes);
        config_text_finish(&doc);
        config_text_finish(&path);
    }
}

static void print_doc(const struct printer *printer, const struct schema *schema)
{
    struct config_text doc = {0};

    add_doc(&doc, schema);
    config_print_comment(printer->out, doc.bytes, printer->indent);
    config_text_finish(&doc);
    if (schema->items != NULL && schema->items->kind == SCHEMA_OBJECT)
        print_item_docs(printer, schema->items, "");
}

static void print_object(const struct printer *printer, const struct schema *object,
                         const struct berth_value *defaults);

/* Any field but an object; commented out if it has no value to load back. */
static void print_leaf(const struct printer *printer, const struct schema *schema,
                       const struct berth_value *value)
{
    bool has_value = value != NULL && value->kind != BERTH_VALUE_NONE && !schema->secret;
    struct berth_value *items[] = {(struct berth_value *)value};
    struct berth_value map = {.kind = BERTH_VALUE_MAP, .items = items, .count = 1};

    if (has_value && !printer->commented && schema->deprecated == NULL) {
        config_print_values(printer->out, &map, printer->indent, &(struct config_print_options){0});
        return;
    }
    config_text_add_spaces(printer->out, printer->indent);
    config_text_add(printer->out, "# ");
    config_print_key(printer->out, schema->name);
    config_text_add(printer->out, ":");
    if (has_value && schema->kind < SCHEMA_LIST) {
        config_text_add(printer->out, " ");
        config_print_scalar(printer->out, value);
    }
    config_text_add(printer->out, "\n");
}

static void print_field(const struct printer *printer, const struct schema *field,
                        const struct berth_value *value)
{
    struct printer inner = *printer;

    print_doc(printer, field);
    if (field->kind != SCHEMA_OBJECT) {
        print_leaf(printer, field, value);
        return;
    }
    if (value == NULL || value->kind == BERTH_VALUE_NONE || field->deprecated != NULL)
        inner.commented = true;
    begin_line(&inner);
    config_print_key(printer->out, field->name);
    config_text_add(printer->out, ":\n");
    inner.indent += 2;
    print_object(&inner, field, inner.commented ? NULL : value);
}

static void print_object(const struct printer *printer, const struct schema *object,
                         const struct berth_value *defaults)
{
    for (size_t i = 0; i < object->field_count; i++) {
        if (printer->indent == 0 && i > 0)
            config_text_add(printer->out, "\n");
        print_field(printer, object->fields[i], defaults == NULL ? NULL : defaults->items[i]);
    }
}

void config_print_defaults(struct config_text *out, const struct schema *object,
                           const struct berth_value *defaults, size_t indent)
{
    struct printer printer = {.out = out, .indent = indent};

    print_object(&printer, object, defaults->kind == BERTH_VALUE_MAP ? defaults : NULL);
}

/* Text that is plain inside brackets may mean something else on its own line. */
static bool reads_otherwise(const char *text, size_t length)
{
    if (length > 0 && strchr("-?:", text[0]) != NULL && (text[1] == ' ' || text[1] == '\0'))
        return true;
    return strncmp(text, "---", 3) == 0 || strncmp(text, "...", 3) == 0 || strstr(text, ": ") != NULL ||
           strstr(text, " #") != NULL || strstr(text, "\xef\xbb\xbf") != NULL ||
           (length > 0 && text[length - 1] == ':');
}

static bool stays_plain(const struct config_node *node)
{
    if (!node->plain || reads_otherwise(node->text, node->length))
        return false;
    for (size_t i = 0; i < node->length; i++) {
        if ((unsigned char)node->text[i] < 0x20 || node->text[i] == 0x7f)
            return false;
    }
    return true;
}

static void print_node_scalar(struct config_text *out, const struct config_node *node)
{
    if (stays_plain(node))
        config_text_add_bytes(out, node->text, node->length);
    else
        config_text_add_quoted(out, node->text, node->length);
    config_text_add(out, "\n");
}

static bool is_open_node(const struct config_node *node)
{
    return node->kind != CONFIG_SCALAR && node->count > 0;
}

static void print_node_inline(struct config_text *out, const struct config_node *node)
{
    if (node->kind == CONFIG_SCALAR)
        print_node_scalar(out, node);
    else
        config_text_add(out, node->kind == CONFIG_LIST ? "[]\n" : "{}\n");
}

static void print_nodes(struct config_text *out, const struct config_node *node, size_t indent,
                        bool behind_dash)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *item = node->items[i];
        bool is_map = node->kind == CONFIG_MAP;

        if (i > 0 || !behind_dash)
            config_text_add_spaces(out, indent);
        if (is_map)
            config_print_key(out, item->key);
        config_text_add(out, is_map ? ":" : "-");
        if (!is_open_node(item)) {
            config_text_add(out, " ");
            print_node_inline(out, item);
        } else if (!is_map && item->kind == CONFIG_MAP) {
            config_text_add(out, " ");
            print_nodes(out, item, indent + 2, true);
        } else {
            config_text_add(out, "\n");
            print_nodes(out, item, indent + 2, false);
        }
    }
}

void config_print_tree(struct config_text *out, const struct config_node *node, size_t indent)
{
    if (is_open_node(node)) {
        print_nodes(out, node, indent, false);
        return;
    }
    config_text_add_spaces(out, indent);
    print_node_inline(out, node);
}
