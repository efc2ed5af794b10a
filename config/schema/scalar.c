/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one scalar against its schema: its type, bounds, pattern, format and choices. */
#include "scalar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A value as messages show it. */
struct shown {
    char text[80];
};

static struct shown show(const struct schema *schema, const struct config_node *node)
{
    struct shown shown;

    if (schema->secret)
        snprintf(shown.text, sizeof(shown.text), "<secret>");
    else
        snprintf(shown.text, sizeof(shown.text), "\"%.60s%s\"", node->text, node->length > 60 ? "…" : "");
    return shown;
}

static bool check_range(const struct schema *schema, const struct config_node *node, int64_t value,
                        struct berth_error *err)
{
    bool is_small = schema->has_min && value < schema->min;
    char bound[CONFIG_UNITS_MAX];

    if (!is_small && !(schema->has_max && value > schema->max))
        return true;
    schema_format_integer(schema->kind, is_small ? schema->min : schema->max, bound);
    berth_error_set(err, BERTH_OUT_OF_RANGE, "%s is too %s: at %s %s", show(schema, node).text,
                    is_small ? "small" : "large", is_small ? "least" : "most", bound);
    return false;
}

static bool check_float_range(const struct schema *schema, const struct config_node *node, double value,
                              struct berth_error *err)
{
    bool is_small = schema->has_min && value < schema->min_float;

    if (!is_small && !(schema->has_max && value > schema->max_float))
        return true;
    berth_error_set(err, BERTH_OUT_OF_RANGE, "%s is too %s: at %s %g", show(schema, node).text,
                    is_small ? "small" : "large", is_small ? "least" : "most",
                    is_small ? schema->min_float : schema->max_float);
    return false;
}

bool scalar_check_count(const struct schema *schema, size_t count, const char *what, struct berth_error *err)
{
    bool is_small = schema->has_min && (int64_t)count < schema->min;

    if (!is_small && !(schema->has_max && (int64_t)count > schema->max))
        return true;
    berth_error_set(err, BERTH_OUT_OF_RANGE, "%zu %s; at %s %lld", count, what, is_small ? "least" : "most",
                    (long long)(is_small ? schema->min : schema->max));
    return false;
}

static bool finish_format(const struct schema *schema, bool is_fine, struct berth_error *err)
{
    if (!is_fine && schema->secret)
        berth_error_set(err, BERTH_INVALID_ARGUMENT, "<secret> does not have the format %s",
                        config_format_name(schema->format));
    return is_fine;
}

/* `text` is what the plugin gets: the whole path. */
static bool check_format(const struct schema *schema, const char *text, struct berth_error *err)
{
    return finish_format(schema, config_format_check(schema->format, text, err), err);
}

bool scalar_check_file(const struct schema *schema, const struct berth_value *value, struct berth_error *err)
{
    return finish_format(schema, config_format_check_file(schema->format, value->string, err), err);
}

/* A pattern of a table in the source, or one that was forgotten, is compiled for this text alone. */
static bool matches_pattern(const struct schema *schema, const char *text)
{
    regex_t compiled;
    bool matches;

    if (schema->pattern == NULL)
        return true;
    if (schema->compiled_pattern != NULL)
        return regexec(schema->compiled_pattern, text, 0, NULL, 0) == 0;
    if (!config_pattern_compile(schema->pattern, &compiled, NULL))
        abort();
    matches = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return matches;
}

static bool read_string(const struct schema *schema, const struct config_node *node,
                        struct berth_value *ret_value, struct berth_error *err)
{
    if (!scalar_check_count(schema, node->length, "bytes long", err))
        return false;
    if (!matches_pattern(schema, node->text)) {
        if (schema->doc != NULL && schema->doc[0] != '\0')
            berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s is not valid here: %s", show(schema, node).text,
                            schema->doc);
        else
            berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s does not match the pattern %s",
                            show(schema, node).text, schema->pattern);
        return false;
    }
    ret_value->kind = BERTH_VALUE_STRING;
    ret_value->string = node->text;
    return schema->kind == SCHEMA_PATH || check_format(schema, node->text, err);
}

/* The absolute folder of a file, with a trailing slash. */
static bool find_folder(const char *file, char *folder, size_t size, struct berth_error *err)
{
    const char *slash = file == NULL ? NULL : strrchr(file, '/');
    int length = slash == NULL ? 0 : (int)(slash - file) + 1;
    size_t used = 0;

    if (length == 0 || file[0] != '/') {
        if (getcwd(folder, size - 1) == NULL) {
            berth_error_set(err, BERTH_UNAVAILABLE,
                            "the working directory is unknown: %s; use an absolute path", strerror(errno));
            return false;
        }
        used = strlen(folder);
        used += (size_t)snprintf(folder + used, size - used, folder[used - 1] == '/' ? "" : "/");
    }
    while (length >= 2 && file[0] == '.' && file[1] == '/') {
        file += 2;
        length -= 2;
    }
    if (snprintf(folder + used, size - used, "%.*s", length, length == 0 ? "" : file) >= (int)(size - used)) {
        berth_error_set(err, BERTH_OUT_OF_RANGE, "the path of %.200s is too long", file);
        return false;
    }
    return true;
}

/* Makes it absolute. */
static bool complete_path(const struct schema *schema, const struct config_node *node,
                          struct berth_arena *arena, struct berth_value *ret_value, struct berth_error *err)
{
    char folder[4096];
    const char *rest = node->text;
    size_t length;
    char *path;

    if (!read_string(schema, node, ret_value, err) || !config_format_check_path(node->text, err))
        return false;
    if (node->text[0] == '/')
        return true;
    if (node->length == 0) {
        berth_error_set(err, BERTH_INVALID_ARGUMENT, "the path is empty; set one or remove the key");
        return false;
    }
    if (!find_folder(node->mark.file, folder, sizeof(folder), err))
        return false;
    while (strncmp(rest, "./", 2) == 0)
        rest += 2;
    length = strlen(folder);
    path = config_arena_allocate(arena, length + strlen(rest) + 1);
    memcpy(path, folder, length);
    strcpy(path + length, rest);
    ret_value->string = path;
    return true;
}

static bool read_path(const struct schema *schema, const struct config_node *node, struct berth_arena *arena,
                      struct berth_value *ret_value, struct berth_error *err)
{
    return complete_path(schema, node, arena, ret_value, err) && check_format(schema, ret_value->string, err);
}

static bool read_enum(const struct schema *schema, const struct config_node *node,
                      struct berth_value *ret_value, struct berth_error *err)
{
    char known[512] = "";
    size_t length = 0;

    for (size_t i = 0; i < schema->choice_count; i++) {
        if (strcmp(schema->choices[i], node->text) == 0) {
            ret_value->kind = BERTH_VALUE_STRING;
            ret_value->string = schema->choices[i];
            return true;
        }
        if (length < sizeof(known))
            length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s", i == 0 ? "" : ", ",
                                       schema->choices[i]);
    }
    berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s is not one of: %s%s", show(schema, node).text, known,
                    schema->secret ? ""
                                   : config_hint(node->text, schema->choices, schema->choice_count).text);
    return false;
}

/* The doc says best what belongs there, such as an id rather than a name. */
static void add_doc(const struct schema *schema, struct berth_error *err)
{
    struct berth_error whole;

    if (schema->doc == NULL || schema->doc[0] == '\0' || schema->kind != SCHEMA_INT)
        return;
    berth_error_set(&whole, BERTH_INVALID_ARGUMENT, "%s: %s", err->message, schema->doc);
    *err = whole;
}

static bool read_number(const struct schema *schema, const struct config_node *node,
                        struct berth_value *ret_value, struct berth_error *err)
{
    if (schema->kind == SCHEMA_FLOAT) {
        ret_value->kind = BERTH_VALUE_FLOAT;
        return config_read_float(node, &ret_value->number, err) &&
               check_float_range(schema, node, ret_value->number, err);
    }
    if (schema->kind == SCHEMA_BOOL) {
        ret_value->kind = BERTH_VALUE_BOOL;
        return config_read_bool(node, &ret_value->boolean, err);
    }
    ret_value->kind = BERTH_VALUE_INT;
    if (!schema_read_integer(schema->kind, node, &ret_value->integer, err)) {
        add_doc(schema, err);
        return false;
    }
    return check_range(schema, node, ret_value->integer, err);
}

/* Read as YAML readers do: unquoted, it may be a boolean or a number. */
static void read_as_written(const struct config_node *node, struct berth_value *ret_value)
{
    struct berth_error ignored;

    if (node->plain && config_read_bool(node, &ret_value->boolean, &ignored)) {
        ret_value->kind = BERTH_VALUE_BOOL;
    } else if (node->plain && config_read_int(node, &ret_value->integer, &ignored)) {
        ret_value->kind = BERTH_VALUE_INT;
    } else if (node->plain && config_read_float(node, &ret_value->number, &ignored)) {
        ret_value->kind = BERTH_VALUE_FLOAT;
    } else {
        ret_value->kind = BERTH_VALUE_STRING;
        ret_value->string = node->text;
    }
}

bool scalar_read(const struct schema *schema, const struct config_node *node, struct berth_arena *arena,
                 struct berth_value *ret_value, struct berth_error *err)
{
    bool is_read = false;

    switch (schema->kind) {
    case SCHEMA_STRING:
        return read_string(schema, node, ret_value, err);
    case SCHEMA_PATH:
        return read_path(schema, node, arena, ret_value, err);
    case SCHEMA_ENUM:
        return read_enum(schema, node, ret_value, err);
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_FLOAT:
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
        is_read = read_number(schema, node, ret_value, err);
        if (!is_read && schema->secret)
            berth_error_set(err, BERTH_INVALID_ARGUMENT, "<secret> is not a valid %s within its bounds",
                            schema_kind_name(schema->kind));
        return is_read;
    case SCHEMA_ANY:
        read_as_written(node, ret_value);
        return true;
    case SCHEMA_LIST:
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
        break;
    }
    berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s is not a %s", show(schema, node).text,
                    schema_kind_name(schema->kind));
    return false;
}
