/* SPDX-License-Identifier: Apache-2.0 */
/* Typed values one by one, each with its path and origin, for what shows settings in its own form. */
#ifndef CONFIG_PRINT_EACH_H
#define CONFIG_PRINT_EACH_H

#include <berth/inspect.h>
#include <config/schema/value.h>
#include <config/text/text.h>

/**
 * Visits a section's values in the schema's order until the visitor returns false: each scalar, and each list
 * or map that is empty or secret. Deprecated settings that are not set are left out. A secret's text is never
 * handed on.
 */
void config_print_each(const struct config_values *values,
                       bool (*on_setting)(void *context, const struct berth_setting *setting), void *context);

/** Adds a key to a dotted path, quoted if it would read as several steps or as an index. */
void config_print_add_key(struct config_text *path, const char *key);

#endif
