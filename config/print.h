/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration back into text: typed values, untyped trees, and a schema's defaults with their docs. */
#ifndef CONFIG_PRINT_H
#define CONFIG_PRINT_H

#include "json.h"
#include "text.h"
#include "value.h"

struct config_print_options {
    /** Behind each value a comment with its file:line:column, or `default`. */
    bool origins;
    bool secrets;
};

/**
 * Adds the lines of a map's values as YAML, `indent` spaces in, that load back as the same values. What has
 * no value is a comment, and so is a secret, unless secrets are wanted. A deprecated setting that nobody set
 * is left out.
 */
void config_print_values(struct config_text *out, const struct berth_value *map, size_t indent,
                         const struct config_print_options *options);

/**
 * Writes a value, as a member of that key where it is not NULL. Has the members that config_print_values has,
 * and no other.
 */
void config_print_json(struct config_json *json, const char *key, const struct berth_value *value,
                       const struct config_print_options *options);

/**
 * Adds every field of an object with its doc as a comment and its default. What has no default, is secret or
 * deprecated, stands as a comment: so it loads back as it is.
 *
 * @param defaults  what config_values_create made of the schema and no section.
 */
void config_print_defaults(struct config_text *out, const struct schema *object,
                           const struct berth_value *defaults, size_t indent);

/** Adds a map or list as YAML, as it was written, without its comments. */
void config_print_tree(struct config_text *out, const struct config_node *node, size_t indent);

/** Adds a key, in quotes where it needs them. */
void config_print_key(struct config_text *out, const char *key);
/** Adds lines of a comment, wrapped. */
void config_print_comment(struct config_text *out, const char *comment, size_t indent);
/** Adds a scalar as YAML: "4KiB", "1m30s", quoted where it needs to be. */
void config_print_scalar(struct config_text *out, const struct berth_value *value);

#endif
