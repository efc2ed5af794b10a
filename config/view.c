/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin sees of typed values: a table of questions, each of which takes NULL for what is not there.
 */
#include "view.h"

#include <stdio.h>
#include <string.h>

#include "scalar.h"

static enum berth_value_kind view_kind(const struct berth_value *value)
{
    return value == NULL ? BERTH_VALUE_NONE : value->kind;
}

static bool is_untyped(const struct berth_value *value)
{
    return value != NULL && value->misread != NULL;
}

/* The first is enough: it fails the migration. */
static void note_misread(const struct berth_value *value, const char *why)
{
    struct config_misread *misread = value->misread;

    if (misread->message[0] != '\0')
        return;
    misread->mark = value->mark;
    snprintf(misread->message, sizeof(misread->message), "%s%s%s",
             value->node->key == NULL ? "" : value->node->key, value->node->key == NULL ? "" : ": ", why);
}

/* Is it a single value? A typed question about a list or map has no answer. */
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

static bool read_boolean(const struct berth_value *value)
{
    struct berth_error err;
    bool boolean = false;

    if (is_scalar(value, "true or false") && !scalar_read_bool(value->node, &boolean, &err))
        note_misread(value, err.message);
    return boolean;
}

/* A number, a duration or a size: no text is two of them. */
static int64_t read_integer(const struct berth_value *value)
{
    struct berth_error err, ignored;
    int64_t integer = 0;

    if (is_scalar(value, "an integer") && !scalar_read_integer(SCHEMA_INT, value->node, &integer, &err) &&
        !scalar_read_integer(SCHEMA_DURATION, value->node, &integer, &ignored) &&
        !scalar_read_integer(SCHEMA_BYTES, value->node, &integer, &ignored))
        note_misread(value, err.message);
    return integer;
}

static double read_number(const struct berth_value *value)
{
    struct berth_error err;
    double number = 0.0;

    if (is_scalar(value, "a number") && !scalar_read_float(value->node, &number, &err))
        note_misread(value, err.message);
    return number;
}

static bool view_boolean(const struct berth_value *value)
{
    if (is_untyped(value))
        return read_boolean(value);
    return view_kind(value) == BERTH_VALUE_BOOL && value->boolean;
}

static int64_t view_integer(const struct berth_value *value)
{
    if (is_untyped(value))
        return read_integer(value);
    return view_kind(value) == BERTH_VALUE_INT ? value->integer : 0;
}

static double view_number(const struct berth_value *value)
{
    if (is_untyped(value))
        return read_number(value);
    return view_kind(value) == BERTH_VALUE_FLOAT ? value->number : 0.0;
}

static const char *view_string(const struct berth_value *value)
{
    return view_kind(value) == BERTH_VALUE_STRING ? value->string : NULL;
}

static size_t view_count(const struct berth_value *value)
{
    enum berth_value_kind kind = view_kind(value);

    return kind == BERTH_VALUE_LIST || kind == BERTH_VALUE_MAP ? value->count : 0;
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

struct berth_settings view_of(const struct berth_value *root)
{
    return (struct berth_settings){
        .size = sizeof(struct berth_settings),
        .root = root,
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
}
