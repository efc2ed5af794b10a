/* SPDX-License-Identifier: Apache-2.0 */
/* What a YAML text says, untyped, each node with its place; and how two such trees are merged. */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "diagnostics.h"

enum config_node_kind {
    CONFIG_SCALAR,
    CONFIG_LIST,
    CONFIG_MAP,
};

/** One node. All that hangs off it belongs to its tree. */
struct config_node {
    enum config_node_kind kind;
    struct config_mark mark;

    /** In a map: its key and where that stands; else NULL. */
    const char *key;
    struct config_mark key_mark;

    /** CONFIG_SCALAR: UTF-8 without NUL inside; `plain` where it stood without quotes. */
    const char *text;
    size_t length;
    bool plain;

    /** CONFIG_LIST and CONFIG_MAP, in the order of the text. A map has no key twice. */
    struct config_node **items;
    size_t count;
};

/** A tree and the memory of all its nodes. */
struct config_tree;

/** What a reader takes before it refuses. */
struct config_limits {
    size_t max_bytes;
    unsigned max_depth;
    size_t max_nodes;
};

/** For configuration files: 4 MiB, depth 64, 100,000 nodes. */
extern const struct config_limits config_limits_file;
/** For manifests: 64 KiB, depth 32, 10,000 nodes. */
extern const struct config_limits config_limits_manifest;

struct config_tree *config_tree_create(void);
void config_tree_destroy(struct config_tree *tree);

/** The root, or NULL for an empty document. */
struct config_node *config_tree_root(const struct config_tree *tree);
void config_tree_set_root(struct config_tree *tree, struct config_node *root);

/** New nodes and copies of text that live as long as the tree. They abort when memory is out. */
struct config_node *config_tree_add_node(struct config_tree *tree, enum config_node_kind kind,
                                         struct config_mark mark);
const char *config_tree_add_text(struct config_tree *tree, const char *text, size_t length);
/** A copy of a node and all below it, with the same places. */
struct config_node *config_tree_copy_node(struct config_tree *tree, const struct config_node *node);
/** Appends to a list, or to a map where `item->key` is set. */
void config_node_append(struct config_tree *tree, struct config_node *parent, struct config_node *item);
/** Removes the item at `i`. */
void config_node_remove(struct config_node *parent, size_t i);

/** The value at a key of a map; NULL where there is none or `map` is no map (or NULL). Linear. */
struct config_node *config_node_find(const struct config_node *map, const char *key);
/** Is it a "level:debug" that was meant to be a key and a value? */
bool config_node_lacks_space(const struct config_node *node);
/** Did its author write a key and no value: nothing at all, `~` or `null`, without quotes? */
bool config_node_is_empty(const struct config_node *node);

/** Notes a file that the tree is made of; the path is copied. */
void config_tree_add_file(struct config_tree *tree, const char *path);
/** The paths of those files as a list of scalars, in the order of reading; NULL: none. Merging keeps them. */
const struct config_node *config_tree_files(const struct config_tree *tree);

/** Moves what `other` holds into the tree, with no change of place; `other` is destroyed. Its root. */
struct config_node *config_tree_adopt(struct config_tree *tree, struct config_tree *other);

/**
 * Lays `over` upon the tree: maps are merged key by key, anything else is replaced, marks go along. A key
 * without a value leaves a map or list as it is. The nodes of `over` move in; it is destroyed.
 */
void config_tree_merge(struct config_tree *tree, struct config_tree *over);

/**
 * Reads one YAML document. Refuses anchors, aliases, tags, duplicate keys, keys that are no scalars, NUL,
 * invalid UTF-8, a second document, and what is over the limits; each at its place.
 *
 * @param name  what marks call the file; copied.
 * @return the tree, or NULL with at least one error in `diagnostics`.
 */
struct config_tree *config_yaml_read(const char *name, const char *text, size_t length,
                                     const struct config_limits *limits,
                                     struct config_diagnostics *diagnostics);

#endif
