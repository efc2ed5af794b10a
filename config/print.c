/* SPDX-License-Identifier: Apache-2.0 */
/* Writes typed values as YAML and as JSON. */
#include "print.h"

#include <stdlib.h>
#include <string.h>

/* A list with secret items is one too: without some of them the others would move. */
static bool is_secret(const struct berth_value *value)
{
    const struct schema *schema = value->schema;

    while (schema != NULL && !schema->secret)
        schema = schema->kind == SCHEMA_LIST ? schema->items : NULL;
    return schema != NULL;
}

static bool is_hidden(const struct berth_value *value, const struct config_print_options *options)
{
    return !options->secrets && value->kind != BERTH_VALUE_NONE && is_secret(value);
}

/* Loading it back would be the first use of something deprecated. */
static bool is_unused(const struct berth_value *value)
{
    return value->schema != NULL && value->schema->deprecated != NULL && value->mark.file == NULL;
}

static bool is_shown(const struct berth_value *value, const struct config_print_options *options)
{
    return value->kind != BERTH_VALUE_NONE && !is_hidden(value, options) && !is_unused(value);
}

/* What other readers of YAML would take for something else than a text. */
static bool looks_typed(const char *text)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    return strpbrk(text, "0123456789") != NULL && text[strspn(text, "0123456789.+-eExXoO_:")] == '\0';
}

static bool is_plain(const char *text, size_t length)
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

    if (is_plain(text, length))
        config_text_add_bytes(out, text, length);
    else
        config_text_add_quoted(out, text, length);
}

void config_print_key(struct config_text *out, const char *key)
{
    print_text(out, key);
}

static void print_float(struct config_text *out, double number)
{
    char text[CONFIG_UNITS_MAX];

    config_format_float(number, text);
    config_text_add(out, "%s", text);
}

/* A duration or size in its unit; false for a plain number. */
static bool format_units(const struct berth_value *value, char ret_text[CONFIG_UNITS_MAX])
{
    enum schema_kind kind = value->schema == NULL ? SCHEMA_INT : value->schema->kind;

    if (kind == SCHEMA_DURATION)
        config_format_duration(value->integer, ret_text);
    else if (kind == SCHEMA_BYTES)
        config_format_bytes(value->integer, ret_text);
    else
        snprintf(ret_text, CONFIG_UNITS_MAX, "%lld", (long long)value->integer);
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
        print_float(out, value->number);
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
    }
    config_text_add(out, "\n");
}

/* What stands on the line of its key or dash, when it is no block. */
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
        config_text_add(out,
                        value->kind == BERTH_VALUE_NONE ? ": is not set\n" : ": is a secret, not shown\n");
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

/* The first entry of a map in a list stands behind the dash. */
static void print_entries(struct config_text *out, const struct berth_value *map, size_t indent,
                          const struct config_print_options *options, bool behind_dash)
{
    for (size_t i = 0; i < map->count; i++) {
        if (is_unused(map->items[i]))
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
