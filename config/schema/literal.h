/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces of a schema that is a constant in C. For the .c files that hold one. */
#ifndef CONFIG_SCHEMA_LITERAL_H
#define CONFIG_SCHEMA_LITERAL_H

#include "schema.h"

/** One schema; as a member of FIELDS, its `index` is its place there. */
#define FIELD(...)                                                                                           \
    &(const struct schema)                                                                                   \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }
/** The members of an object. */
#define FIELDS(...)                                                                                          \
    .fields = (const struct schema *const[]){__VA_ARGS__},                                                   \
    .field_count = sizeof((const struct schema *const[]){__VA_ARGS__}) / sizeof(const struct schema *)
/** A default: a word, or a list or map without members. */
#define WORD(literal)                                                                                        \
    &(const struct config_node)                                                                              \
    {                                                                                                        \
        .kind = CONFIG_SCALAR, .text = literal, .length = sizeof(literal) - 1, .plain = true                 \
    }
#define EMPTY(node_kind)                                                                                     \
    &(const struct config_node)                                                                              \
    {                                                                                                        \
        .kind = (node_kind)                                                                                  \
    }
/** The only values that are allowed. */
#define CHOICES(...)                                                                                         \
    .choices = (const char *const[]){__VA_ARGS__},                                                           \
    .choice_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

#endif
