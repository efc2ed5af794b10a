/* SPDX-License-Identifier: Apache-2.0 */
/* TOML as an untyped tree: the door to the one file that knows the parser, which includes it as C. */
#ifndef BERTH_IMPORT_TOML_H
#define BERTH_IMPORT_TOML_H

#include <config/tree/tree.h>

/**
 * Reads a TOML document. Numbers and booleans become plain scalars; strings become quoted ones, dates too.
 * Keys keep the order of the file. Refuses what a tree cannot hold: NUL in keys and strings, infinity and
 * NaN.
 *
 * @param name  the file name in marks; copied.
 * @return the tree, whose root is a map; NULL with at least one error in `diagnostics`, at its place: wrong
 * TOML, or anything beyond the limits.
 */
struct config_tree *toml_read(const char *name, const char *text, size_t length,
                              const struct config_limits *limits, struct config_diagnostics *diagnostics);

#endif
