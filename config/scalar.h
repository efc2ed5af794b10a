/* SPDX-License-Identifier: Apache-2.0 */
/* One scalar against its schema. */
#ifndef CONFIG_SCALAR_H
#define CONFIG_SCALAR_H

#include "arena.h"
#include "value.h"

/**
 * Reads and checks a scalar: its kind, bounds, pattern and choices.
 *
 * @param arena      where a path is put together.
 * @param ret_value  kind and content are set, nothing else.
 * @return false with what was found and what was expected in `err`; a secret's text is not in it.
 */
bool scalar_read(const struct schema *schema, const struct config_node *node, struct config_arena *arena,
                 struct berth_value *ret_value, struct berth_error *err);

/** Looks at the file that a value names, where its format asks for one. As scalar_read. */
bool scalar_check_file(const struct schema *schema, const struct berth_value *value, struct berth_error *err);

/** Is a length or count within the schema's bounds? `what` is "bytes long" or "items". */
bool scalar_check_count(const struct schema *schema, size_t count, const char *what, struct berth_error *err);

#endif
