/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration back into text: typed values, untyped trees, and a schema's defaults with their docs. */
#ifndef CONFIG_PRINT_PRINT_H
#define CONFIG_PRINT_PRINT_H

#include "json.h"
#include <config/text/text.h>
#include <config/schema/value.h>

struct config_print_options {
    /** After each value, a comment with its file:line:column, or `default`, and where a migration took it
     * from. */
    bool origins;
    bool secrets;
};

/**
 * Adds a map's values as YAML that loads back as the same values, indented by `indent` spaces. Unset values
 * are comments; so are secrets, unless `secrets`. Deprecated settings that are not set are left out.
 */
void config_print_values(struct config_text *out, const struct berth_value *map, size_t indent,
                         const struct config_print_options *options);

/**
 * Writes a value, as the member `key` unless that is NULL. Has the same members as config_print_values.
 */
void config_print_json(struct config_json *json, const char *key, const struct berth_value *value,
                       const struct config_print_options *options);

/**
 * Adds every field of an object with its doc as a comment and its default. Fields without a default, secret
 * or deprecated ones are comments, so the text loads back as the defaults.
 *
 * @param defaults  what config_values_create made of the schema and no section.
 */
void config_print_defaults(struct config_text *out, const struct schema *object,
                           const struct berth_value *defaults, size_t indent);

/** Adds a map or list as YAML, as written but without comments. */
void config_print_tree(struct config_text *out, const struct config_node *node, size_t indent);

/** Is it not to be shown? A list with secret items is secret as a whole: hiding some would move the others.
 */
bool config_print_is_secret(const struct berth_value *value);
/** Is it a deprecated setting that is not set? Loading it back would be its first use. */
bool config_print_is_unused(const struct berth_value *value);
/** Does a text mean itself to every YAML reader without quotes? */
bool config_print_is_plain(const char *text, size_t length);
/** Adds a key, quoted if necessary. */
void config_print_key(struct config_text *out, const char *key);
/** Adds a comment, wrapped. */
void config_print_comment(struct config_text *out, const char *comment, size_t indent);
/** Adds a scalar as YAML: "4KiB", "1m30s", quoted if necessary. */
void config_print_scalar(struct config_text *out, const struct berth_value *value);

#endif
