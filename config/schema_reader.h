/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas out of YAML: the `config:` of a manifest. */
#ifndef CONFIG_SCHEMA_READER_H
#define CONFIG_SCHEMA_READER_H

#include "schema.h"

/**
 * Reads the fields of an object: `node` is the map under `config:`, NULL for none. Borrows text from the
 * node's tree.
 *
 * @return an object, to be destroyed; NULL with errors in `diagnostics`.
 */
struct schema *schema_create(const struct config_node *node, struct config_diagnostics *diagnostics);
void schema_destroy(struct schema *schema);

#endif
