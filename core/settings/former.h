/* SPDX-License-Identifier: Apache-2.0 */
/* Sections under a name that they had before: whose they are, and which part of them. */
#ifndef CORE_SETTINGS_FORMER_H
#define CORE_SETTINGS_FORMER_H

#include <config/tree.h>

#include <core/manifest/catalog.h>

/**
 * Renames sections whose name plugins list under `formerly`. Where several plugins list it, or it is also
 * the URI of one, the section is split: each plugin without a section of its own gets the settings that it
 * declares, by their old names too. What no plugin declares stays with the one that has the name as its URI,
 * else with the first. Each move is a deprecation.
 *
 * @param sections  the map under `plugins`; may be NULL.
 * @return how many sections were made; errors are in `diagnostics`.
 */
size_t former_apply(struct config_tree *tree, struct config_node *sections, const struct catalog *catalog,
                    struct config_diagnostics *diagnostics);

#endif
