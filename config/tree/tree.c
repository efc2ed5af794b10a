/* SPDX-License-Identifier: Apache-2.0 */
/* Untyped trees: nodes in one arena, their texts in another, and the merging of two trees. */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/hash.h>
#include <sdk/base/memory.h>

#include "arena.h"

/* Keys and words such as "string" are repeated all over a manifest: each is kept once while it is remembered.
 */
#define REMEMBERED 64
#define REMEMBERED_LENGTH 32

struct short_text {
    const char *text;
    size_t length;
};

struct config_tree {
    struct berth_arena nodes, texts;
    /* By their hashes; NULL before the first text, and without nodes. */
    struct short_text *remembered;
    struct config_node *root;
    struct config_node *files;
    bool expanded;
};

const struct config_limits config_limits_file = {
    .max_bytes = 4 * 1024 * 1024,
    .max_depth = 64,
    .max_nodes = 100000,
};

const struct config_limits config_limits_manifest = {
    .max_bytes = 64 * 1024,
    .max_depth = 32,
    .max_nodes = 10000,
};

const struct config_limits config_limits_source = {
    .max_bytes = 64 * 1024,
    .max_depth = 32,
    .max_nodes = 10000,
    .aliases = true,
};

struct config_tree *config_tree_create(void)
{
    struct config_tree *tree = memory_allocate(1, sizeof(*tree));

    return tree;
}

void config_tree_destroy(struct config_tree *tree)
{
    if (tree == NULL)
        return;
    berth_arena_finish(&tree->nodes);
    berth_arena_finish(&tree->texts);
    free(tree);
}

void config_tree_forget_nodes(struct config_tree *tree)
{
    berth_arena_finish(&tree->nodes);
    tree->nodes = (struct berth_arena){0};
    tree->root = tree->files = NULL;
    tree->remembered = NULL;
}

struct config_node *config_tree_root(const struct config_tree *tree)
{
    return tree->root;
}

void config_tree_set_root(struct config_tree *tree, struct config_node *root)
{
    tree->root = root;
}

bool config_tree_is_expanded(const struct config_tree *tree)
{
    return tree->expanded;
}

void config_tree_set_expanded(struct config_tree *tree)
{
    tree->expanded = true;
}

struct config_node *config_tree_add_node(struct config_tree *tree, enum config_node_kind kind,
                                         struct config_mark mark)
{
    struct config_node *node = config_arena_allocate(&tree->nodes, sizeof(*node));

    node->kind = kind;
    node->mark = mark;
    if (kind == CONFIG_SCALAR)
        node->text = "";
    return node;
}

const char *config_tree_add_text(struct config_tree *tree, const char *text, size_t length)
{
    struct short_text *known;

    if (length > REMEMBERED_LENGTH)
        return config_arena_copy(&tree->texts, text, length);
    if (tree->remembered == NULL)
        tree->remembered = config_arena_allocate(&tree->nodes, REMEMBERED * sizeof(*tree->remembered));
    known = &tree->remembered[berth_hash(BERTH_HASH_START, text, length) % REMEMBERED];
    if (known->text == NULL || known->length != length || memcmp(known->text, text, length) != 0)
        *known = (struct short_text){config_arena_copy(&tree->texts, text, length), length};
    return known->text;
}

struct config_node *config_tree_add_scalar(struct config_tree *tree, const char *text,
                                           struct config_mark mark)
{
    struct config_node *node = config_tree_add_node(tree, CONFIG_SCALAR, mark);

    node->length = strlen(text);
    node->text = config_tree_add_text(tree, text, node->length);
    return node;
}

/* Capacity is 4, then the next power of two, so the count alone says when it is used up. */
static bool is_full(size_t count)
{
    return count == 0 || (count >= 4 && (count & (count - 1)) == 0);
}

void config_node_append(struct config_tree *tree, struct config_node *parent, struct config_node *item)
{
    if (is_full(parent->count)) {
        size_t capacity = parent->count == 0 ? 4 : parent->count * 2;
        struct config_node **items =
            config_arena_allocate(&tree->nodes, capacity * sizeof(struct config_node *));

        if (parent->count > 0)
            memcpy(items, parent->items, parent->count * sizeof(struct config_node *));
        parent->items = items;
    }
    parent->items[parent->count++] = item;
}

/* Recursion is bounded by the depth that the reader accepts. */
struct config_node *config_tree_copy_node(struct config_tree *tree, const struct config_node *node)
{
    struct config_node *copy = config_arena_allocate(&tree->nodes, sizeof(*copy));

    *copy = *node;
    copy->items = NULL;
    copy->count = 0;
    for (size_t i = 0; i < node->count; i++)
        config_node_append(tree, copy, config_tree_copy_node(tree, node->items[i]));
    return copy;
}

struct config_node *config_node_take(struct config_node *map, const char *key)
{
    if (map == NULL || map->kind != CONFIG_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        struct config_node *item = map->items[i];

        if (strcmp(item->key, key) != 0)
            continue;
        memmove(&map->items[i], &map->items[i + 1], (map->count - i - 1) * sizeof(struct config_node *));
        map->count--;
        return item;
    }
    return NULL;
}

struct config_node *config_node_find(const struct config_node *map, const char *key)
{
    if (map == NULL || map->kind != CONFIG_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->items[i]->key, key) == 0)
            return map->items[i];
    }
    return NULL;
}

bool config_node_lacks_space(const struct config_node *node)
{
    size_t word =
        node->kind != CONFIG_SCALAR || !node->plain
            ? 0
            : strspn(node->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

    return word > 0 && node->text[word] == ':' && node->text[word + 1] != '\0';
}

bool config_node_is_empty(const struct config_node *node)
{
    if (node->kind != CONFIG_SCALAR || !node->plain)
        return false;
    return node->length == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0;
}

struct config_node *config_tree_adopt(struct config_tree *tree, struct config_tree *other)
{
    struct config_node *root = other->root;

    berth_arena_adopt(&tree->nodes, &other->nodes);
    berth_arena_adopt(&tree->texts, &other->texts);
    free(other);
    return root;
}

/* The items of a map sorted by key, so that merging two large maps is not quadratic. */
struct slot {
    const char *key;
    size_t index;
};

static int compare_slots(const void *a, const void *b)
{
    return strcmp(((const struct slot *)a)->key, ((const struct slot *)b)->key);
}

static struct slot *create_slots(const struct config_node *map)
{
    struct slot *slots = memory_allocate(map->count + 1, sizeof(*slots));

    for (size_t i = 0; i < map->count; i++)
        slots[i] = (struct slot){map->items[i]->key, i};
    qsort(slots, map->count, sizeof(*slots), compare_slots);
    return slots;
}

static bool keeps_what_is_below(const struct config_node *base, const struct config_node *over)
{
    return base->kind != CONFIG_SCALAR && config_node_is_empty(over);
}

/* Recursion is bounded by the depth that the readers accept. */
static void merge_maps(struct config_tree *tree, struct config_node *base, const struct config_node *over)
{
    struct slot *slots = create_slots(base);
    size_t count = base->count;

    for (size_t i = 0; i < over->count; i++) {
        struct config_node *item = over->items[i];
        struct slot key = {.key = item->key};
        struct slot *slot = bsearch(&key, slots, count, sizeof(*slots), compare_slots);

        if (slot == NULL)
            config_node_append(tree, base, item);
        else if (base->items[slot->index]->kind == CONFIG_MAP && item->kind == CONFIG_MAP)
            merge_maps(tree, base->items[slot->index], item);
        else if (!keeps_what_is_below(base->items[slot->index], item))
            base->items[slot->index] = item;
    }
    free(slots);
}

void config_tree_add_file(struct config_tree *tree, const char *path)
{
    struct config_mark mark = {.file = NULL};

    if (tree->files == NULL)
        tree->files = config_tree_add_node(tree, CONFIG_LIST, mark);
    config_node_append(tree, tree->files, config_tree_add_scalar(tree, path, mark));
}

const struct config_node *config_tree_files(const struct config_tree *tree)
{
    return tree->files;
}

void config_tree_merge(struct config_tree *tree, struct config_tree *over)
{
    const struct config_node *files = over->files;
    struct config_node *root = config_tree_adopt(tree, over);

    for (size_t i = 0; files != NULL && i < files->count; i++)
        config_tree_add_file(tree, files->items[i]->text);
    if (root == NULL)
        return;
    if (tree->root == NULL)
        tree->root = root;
    else if (tree->root->kind == CONFIG_MAP && root->kind == CONFIG_MAP)
        merge_maps(tree, tree->root, root);
    else if (!keeps_what_is_below(tree->root, root))
        tree->root = root;
}

/* Below this number of items sorting costs more than it saves. */
#define SORTED_MIN 16

/* The place of a key among the first `count` items; `count` if there is none. `slots` is NULL for a small
 * map. */
static size_t find_slot(const struct config_node *map, const struct slot *slots, size_t count,
                        const char *key)
{
    const struct slot wanted = {.key = key};
    const struct slot *slot;
    size_t i = 0;

    if (slots != NULL) {
        slot = bsearch(&wanted, slots, count, sizeof(*slots), compare_slots);
        return slot == NULL ? count : slot->index;
    }
    while (i < count && strcmp(map->items[i]->key, key) != 0)
        i++;
    return i;
}

/* Receives what is in both trees, and where. */
struct filling {
    struct config_tree *tree;
    void (*on_both)(void *context, const char *path, const struct config_node *kept,
                    const struct config_node *dropped);
    void *context;
};

/* Recursion is bounded by the depth that the readers accept. A path too long for `path` is cut off. */
static void fill_map(const struct filling *filling, struct config_node *base, const struct config_node *under,
                     char path[512], size_t length)
{
    struct slot *slots = base->count < SORTED_MIN || under->count < 2 ? NULL : create_slots(base);
    size_t count = base->count;

    for (size_t i = 0; i < under->count; i++) {
        struct config_node *item = under->items[i], *kept;
        size_t place = find_slot(base, slots, count, item->key), end;
        int more;

        if (place == count) {
            config_node_append(filling->tree, base, item);
            continue;
        }
        kept = base->items[place];
        more = snprintf(path + length, 512 - length, "%s%s", length == 0 ? "" : ".", item->key);
        end = (size_t)more < 512 - length ? length + (size_t)more : 511;
        if (config_node_is_empty(kept))
            base->items[place] = item;
        else if (kept->kind == CONFIG_MAP && item->kind == CONFIG_MAP)
            fill_map(filling, kept, item, path, end);
        else if (!config_node_is_empty(item))
            filling->on_both(filling->context, path, kept, item);
    }
    free(slots);
}

void config_tree_fill(struct config_tree *tree, struct config_node *base, const struct config_node *under,
                      void (*on_both)(void *context, const char *path, const struct config_node *kept,
                                      const struct config_node *dropped),
                      void *context)
{
    struct filling filling = {tree, on_both, context};
    char path[512] = "";

    fill_map(&filling, base, under, path, 0);
}
