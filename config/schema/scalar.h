/* SPDX-License-Identifier: Apache-2.0 */
/* One scalar against its schema. */
#ifndef CONFIG_SCHEMA_SCALAR_H
#define CONFIG_SCHEMA_SCALAR_H

#include <config/tree/arena.h>
#include "value.h"

/**
 * Reads and checks a scalar: its kind, bounds, pattern and choices.
 *
 * @param arena      holds a completed path.
 * @param ret_value  kind and content are set, nothing else.
 * @return false, with what was found and expected in `err`, never the text of a secret.
 */
bool scalar_read(const struct schema *schema, const struct config_node *node, struct berth_arena *arena,
                 struct berth_value *ret_value, struct berth_error *err);

/** Checks the file that a value names, if its format requires one. As scalar_read. */
bool scalar_check_file(const struct schema *schema, const struct berth_value *value, struct berth_error *err);

/** Is a length or count within the schema's bounds? `what` is "bytes long" or "items". */
bool scalar_check_count(const struct schema *schema, size_t count, const char *what, struct berth_error *err);

#endif
