/* SPDX-License-Identifier: Apache-2.0 */
/* Parsed YAML, untyped, each node with its place; and how two such trees are merged. */
#ifndef CONFIG_TREE_TREE_H
#define CONFIG_TREE_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include <config/text/diagnostics.h>

enum config_node_kind {
    CONFIG_SCALAR,
    CONFIG_LIST,
    CONFIG_MAP,
};

/** One node, owned by its tree. */
struct config_node {
    enum config_node_kind kind;
    /** Of a scalar: it is not quoted. */
    bool plain;
    struct config_mark mark;

    /** In a map: its key and the place of the key; else NULL. */
    const char *key;
    struct config_mark key_mark;
    /** Where a migration took it from: "sandbox_image of io.example.v1.old"; NULL if it is as written. */
    const char *was;

    /** CONFIG_SCALAR: UTF-8 without embedded NUL. */
    const char *text;
    size_t length;

    /** CONFIG_LIST and CONFIG_MAP, in the order of the text. Keys of a map are unique. */
    struct config_node **items;
    size_t count;
};

/** A tree and the memory of all its nodes. */
struct config_tree;

/** The limits of a reader. */
struct config_limits {
    size_t max_bytes;
    unsigned max_depth;
    size_t max_nodes;
    /** Anchors, aliases and merge keys (<<) are expanded, not refused. Each copy counts as nodes. */
    bool aliases;
};

/** For configuration files: 4 MiB, depth 64, 100,000 nodes. */
extern const struct config_limits config_limits_file;
/** For manifests: 64 KiB, depth 32, 10,000 nodes. */
extern const struct config_limits config_limits_manifest;
/** For plugin.yaml, from which a manifest is made: the same, with aliases. */
extern const struct config_limits config_limits_source;

struct config_tree *config_tree_create(void);
void config_tree_destroy(struct config_tree *tree);

/** Frees all nodes. Texts, and the file names of marks, live on. */
void config_tree_forget_nodes(struct config_tree *tree);

/** The root, or NULL for an empty document. */
struct config_node *config_tree_root(const struct config_tree *tree);
void config_tree_set_root(struct config_tree *tree, struct config_node *root);

/** Did its text have anchors or merge keys, so that only a copy of the tree reads the same without them? */
bool config_tree_is_expanded(const struct config_tree *tree);
void config_tree_set_expanded(struct config_tree *tree);

/** New nodes and copies of text, owned by the tree. They abort when out of memory. */
struct config_node *config_tree_add_node(struct config_tree *tree, enum config_node_kind kind,
                                         struct config_mark mark);
const char *config_tree_add_text(struct config_tree *tree, const char *text, size_t length);
struct config_node *config_tree_add_scalar(struct config_tree *tree, const char *text,
                                           struct config_mark mark);
/** A deep copy of a node, with the same places. */
struct config_node *config_tree_copy_node(struct config_tree *tree, const struct config_node *node);
/** Appends to a list, or to a map if `item->key` is set. */
void config_node_append(struct config_tree *tree, struct config_node *parent, struct config_node *item);
/** Removes the value at a key and returns it; NULL if there is none, or `map` is NULL or not a map. */
struct config_node *config_node_take(struct config_node *map, const char *key);

/** The value at a key; NULL if there is none, or `map` is NULL or not a map. Linear. */
struct config_node *config_node_find(const struct config_node *map, const char *key);
/** Is it like "level:debug", meant as a key and a value? */
bool config_node_lacks_space(const struct config_node *node);
/** Is it a key without a value: nothing, or an unquoted `~` or `null`? */
bool config_node_is_empty(const struct config_node *node);

/** Records a file that the tree was read from; copies the path. */
void config_tree_add_file(struct config_tree *tree, const char *path);
/** The paths of those files as a list of scalars, in reading order; NULL: none. Merging keeps them. */
const struct config_node *config_tree_files(const struct config_tree *tree);

/** Moves all nodes of `other` into the tree and destroys `other`. @return the root of `other`. */
struct config_node *config_tree_adopt(struct config_tree *tree, struct config_tree *other);

/**
 * Merges `over` into the tree: maps key by key; anything else is replaced, with its marks. A key without a
 * value leaves a map or list unchanged. Destroys `over`.
 */
void config_tree_merge(struct config_tree *tree, struct config_tree *over);

/**
 * Adds what `under` has and `base` has not, maps key by key; a key without a value counts as missing. What is
 * in both at one key and is not two maps stays as in `base`, and `on_both` is told of it.
 *
 * @param under  a map of the same tree; its nodes are moved.
 * @param on_both  `path` is dotted.
 */
void config_tree_fill(struct config_tree *tree, struct config_node *base, const struct config_node *under,
                      void (*on_both)(void *context, const char *path, const struct config_node *kept,
                                      const struct config_node *dropped),
                      void *context);

/**
 * Reads one YAML document. Refuses tags, duplicate keys, keys other than scalars, NUL, invalid UTF-8, a
 * second document, anchors and aliases unless the limits allow them, and anything beyond the limits, each
 * at its place.
 *
 * @param name  the file name in marks; copied.
 * @return the tree, or NULL with at least one error in `diagnostics`.
 */
struct config_tree *config_yaml_read(const char *name, const char *text, size_t length,
                                     const struct config_limits *limits,
                                     struct config_diagnostics *diagnostics);

#endif
