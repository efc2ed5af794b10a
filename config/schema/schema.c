/* SPDX-License-Identifier: Apache-2.0 */
/* Answers questions about schemas. */
#include "schema.h"

#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [SCHEMA_STRING] = "string", [SCHEMA_BOOL] = "bool",         [SCHEMA_INT] = "int",
    [SCHEMA_FLOAT] = "float",   [SCHEMA_DURATION] = "duration", [SCHEMA_BYTES] = "bytes",
    [SCHEMA_PATH] = "path",     [SCHEMA_ENUM] = "enum",         [SCHEMA_LIST] = "list",
    [SCHEMA_MAP] = "map",       [SCHEMA_OBJECT] = "object",     [SCHEMA_ANY] = "any",
};

const char *schema_kind_name(enum schema_kind kind)
{
    return kind_names[kind];
}

bool schema_counts(enum schema_kind kind)
{
    return kind == SCHEMA_STRING || kind == SCHEMA_PATH || kind == SCHEMA_LIST || kind == SCHEMA_MAP;
}

bool schema_read_integer(enum schema_kind kind, const struct config_node *node, int64_t *ret_integer,
                         struct berth_error *err)
{
    if (kind == SCHEMA_DURATION)
        return config_parse_duration(node->text, ret_integer, err);
    if (kind == SCHEMA_BYTES)
        return config_parse_bytes(node->text, ret_integer, err);
    return config_read_int(node, ret_integer, err);
}

void schema_format_integer(enum schema_kind kind, int64_t integer, char ret_text[CONFIG_UNITS_MAX])
{
    if (kind == SCHEMA_DURATION)
        config_format_duration(integer, ret_text);
    else if (kind == SCHEMA_BYTES)
        config_format_bytes(integer, ret_text);
    else
        snprintf(ret_text, CONFIG_UNITS_MAX, "%lld", (long long)integer);
}

/* A table in the source has no sorted copy of its fields, and few of them. */
static const struct schema *find_in_order(const struct schema *object, const char *name)
{
    for (size_t i = 0; i < object->field_count; i++)
        if (strcmp(name, object->fields[i]->name) == 0)
            return object->fields[i];
    return NULL;
}

const struct schema *schema_find_field(const struct schema *object, const char *name)
{
    size_t low = 0;
    size_t high = object->field_count;

    if (object->sorted_fields == NULL)
        return find_in_order(object, name);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, object->sorted_fields[middle]->name);

        if (order == 0)
            return object->sorted_fields[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool schema_requires_fields(const struct schema *object)
{
    for (size_t i = 0; i < object->field_count; i++) {
        const struct schema *field = object->fields[i];

        if (field->required || (field->kind == SCHEMA_OBJECT && schema_requires_fields(field)))
            return true;
    }
    return false;
}
