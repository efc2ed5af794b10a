/* SPDX-License-Identifier: Apache-2.0 */
/* What every part of a manifest is read with: a node of the right kind, known keys, a text, a number. */
#ifndef CORE_MANIFEST_READER_H
#define CORE_MANIFEST_READER_H

#include <stdbool.h>
#include <stdint.h>

#include <config/diagnostics.h>
#include <config/tree.h>

#define VERSION_NUMBER_MAX 1000000

struct manifest_reader {
    struct config_tree *tree;
    struct config_diagnostics *diagnostics;
};

#define manifest_complain(reader, mark, ...)                                                                 \
    config_diagnostics_add((reader)->diagnostics, CONFIG_ERROR, (mark), __VA_ARGS__)

/** The same for a name that a newer berth may know. */
#define manifest_complain_of_unknown(reader, mark, format, ...)                                              \
    config_diagnostics_add((reader)->diagnostics, config_diagnostics_of_unknown((reader)->diagnostics),      \
                           (mark), format "%s", __VA_ARGS__,                                                 \
                           (reader)->diagnostics->forgives_unknown ? "; ignoring it" : "")

/** An array of at least one member, so that NULL only means that memory is out, which then has been said. */
void *manifest_allocate(struct manifest_reader *reader, const struct config_node *node, size_t count,
                        size_t size);
bool manifest_expect(struct manifest_reader *reader, const struct config_node *node,
                     enum config_node_kind kind, const char *what);
void manifest_check_keys(struct manifest_reader *reader, const struct config_node *map, const char *what,
                         const char *const *known, size_t count);

/** What stands at a key; a key with nothing behind it is as good as none. */
const struct config_node *manifest_find(const struct config_node *map, const char *key);
/** The text at a key; NULL where it is not there or wrong, which then has been said. */
const char *manifest_read_text(struct manifest_reader *reader, const struct config_node *map, const char *key,
                               bool required, const char *what);
bool manifest_read_number(struct manifest_reader *reader, const struct config_node *node, const char *key,
                          uint32_t *ret_number);

#endif
