/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files share that read a manifest: each reports all that is wrong, at its mark, and reads on. Texts
 * that are read are borrowed from the tree. Only the files of this room include it.
 */
#ifndef CORE_MANIFEST_READER_H
#define CORE_MANIFEST_READER_H

#include <config/text/diagnostics.h>
#include <config/tree/tree.h>

#include "manifest.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/** Where what is read lies, and where errors go; both borrowed. */
struct reader {
    struct config_tree *tree;
    struct config_diagnostics *diagnostics;
};

/** Adds an error at a mark. */
#define complain(reader, mark, ...)                                                                          \
    config_diagnostics_add((reader)->diagnostics, CONFIG_ERROR, (mark), __VA_ARGS__)

/** The same for a name that a newer berth may know. */
#define complain_of_unknown(reader, mark, format, ...)                                                       \
    config_diagnostics_add((reader)->diagnostics, config_diagnostics_of_unknown((reader)->diagnostics),      \
                           (mark), format "%s", __VA_ARGS__,                                                 \
                           (reader)->diagnostics->forgives_unknown ? "; ignoring it" : "")

/** An array of zeros, to be freed. Never empty, so NULL always means out of memory, which is reported. */
void *reader_allocate(struct reader *reader, const struct config_node *node, size_t count, size_t size);
/** Is the node of this kind? Reports it if it is not. @param what  for people, such as "a service". */
bool reader_expect(struct reader *reader, const struct config_node *node, enum config_node_kind kind,
                   const char *what);
bool reader_is_among(const char *name, const char *const *names, size_t count);
/** Reports the keys of a map that are not known, with the nearest that is. */
void reader_check_keys(struct reader *reader, const struct config_node *map, const char *what,
                       const char *const *known, size_t count);
/** The value at a key; NULL if the key is missing or empty. */
const struct config_node *reader_find(const struct config_node *map, const char *key);
/** The text at a key; NULL if it is missing or wrong, which has been reported. */
const char *reader_text(struct reader *reader, const struct config_node *map, const char *key, bool required,
                        const char *what);
/** A version's number, from 1 to 1,000,000. @return false if it is none, which has been reported. */
bool reader_number(struct reader *reader, const struct config_node *node, const char *key,
                   uint32_t *ret_number);
/**
 * Reads a list of texts, each judged by `check` at its place.
 *
 * @param list       may be NULL.
 * @param ret_texts  to be freed; as it was without a list.
 */
void reader_texts(struct reader *reader, const struct config_node *list, const char *name, const char *what,
                  void (*check)(struct reader *reader, const struct config_node *list, size_t i,
                                const struct manifest_plugin *plugin),
                  const struct manifest_plugin *plugin, const char *const **ret_texts, size_t *ret_count);

/** services.c: what it serves, by which transports, and what it carries as a server. */
void services_read(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin);
void services_finish(struct manifest_plugin *plugin);
/** section.c: its settings, and what became of former ones. After its URI and its callbacks. */
void section_read(struct reader *reader, const struct config_node *map, struct manifest_plugin *plugin);
void section_finish(struct manifest_plugin *plugin);

#endif
