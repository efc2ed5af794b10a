/* SPDX-License-Identifier: Apache-2.0 */
/* The C types of a plugin's settings. */
#include "generate.h"

#include <stdlib.h>

#include <tools/protoc-gen-berth/names.h>

char *generate_inner_tag(const struct schema *schema, const char *tag, const struct schema *inner)
{
    if (schema->kind == SCHEMA_LIST)
        return names_format("%s_item", tag);
    if (schema->kind == SCHEMA_MAP)
        return names_format("%s_value", tag);

    char *name = names_from(inner->name);
    char *result = names_format("%s_%s", tag, name);

    free(name);
    return result;
}

static void walk_inner(const struct schema *schema, const char *tag, const struct schema *inner,
                       void (*on_type)(void *, const struct schema *, const char *), void *context)
{
    char *inner_tag = generate_inner_tag(schema, tag, inner);

    generate_walk(inner, inner_tag, on_type, context);
    free(inner_tag);
}

void generate_walk(const struct schema *schema, const char *tag,
                   void (*on_type)(void *context, const struct schema *schema, const char *tag),
                   void *context)
{
    switch (schema->kind) {
    case SCHEMA_STRING:
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_FLOAT:
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
    case SCHEMA_PATH:
        return;
    case SCHEMA_ENUM:
        break;
    case SCHEMA_LIST:
    case SCHEMA_MAP:
        walk_inner(schema, tag, schema->items, on_type, context);
        break;
    case SCHEMA_OBJECT:
        for (size_t i = 0; i < schema->field_count; i++)
            walk_inner(schema, tag, schema->fields[i], on_type, context);
        break;
    }
    on_type(context, schema, tag);
}

char *generate_type(const struct schema *schema, const char *tag)
{
    switch (schema->kind) {
    case SCHEMA_STRING:
    case SCHEMA_PATH:
        return names_format("const char *");
    case SCHEMA_BOOL:
        return names_format("bool ");
    case SCHEMA_INT:
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
        return names_format("int64_t ");
    case SCHEMA_FLOAT:
        return names_format("double ");
    case SCHEMA_ENUM:
        return names_format("enum %s ", tag);
    case SCHEMA_LIST:
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
        break;
    }
    return names_format("struct %s ", tag);
}

bool generate_has_presence(const struct schema *schema)
{
    if (schema->required || schema->default_ != NULL)
        return false;
    switch (schema->kind) {
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
    case SCHEMA_FLOAT:
    case SCHEMA_ENUM:
        return true;
    case SCHEMA_STRING:
    case SCHEMA_PATH:
    case SCHEMA_LIST:
    case SCHEMA_MAP:
    case SCHEMA_OBJECT:
        break;
    }
    return false;
}
