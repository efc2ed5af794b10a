/* SPDX-License-Identifier: Apache-2.0 */
/* What every part of a manifest is read with: a node of the right kind, known keys, a text, a number. */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

#include <config/nearest.h>

/* An array of at least one member, so that NULL only means that memory is out. */
void *manifest_allocate(struct manifest_reader *reader, const struct config_node *node, size_t count,
                        size_t size)
{
    void *array = calloc(count > 0 ? count : 1, size);

    if (array == NULL)
        manifest_complain(reader, &node->mark, "no memory for its %zu items", count);
    return array;
}

static const char *kind_name(enum config_node_kind kind)
{
    switch (kind) {
    case CONFIG_SCALAR:
        return "a text";
    case CONFIG_LIST:
        return "a list";
    case CONFIG_MAP:
        return "a map";
    }
    return "nothing";
}

bool manifest_expect(struct manifest_reader *reader, const struct config_node *node,
                     enum config_node_kind kind, const char *what)
{
    if (node->kind == kind)
        return true;
    manifest_complain(reader, &node->mark, "%s must be %s, not %s", what, kind_name(kind),
                      kind_name(node->kind));
    return false;
}

void manifest_check_keys(struct manifest_reader *reader, const struct config_node *map, const char *what,
                         const char *const *known, size_t count)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct config_node *item = map->items[i];
        const char *nearest;
        bool is_known = false;

        for (size_t j = 0; j < count && !is_known; j++)
            is_known = strcmp(item->key, known[j]) == 0;
        if (is_known)
            continue;
        nearest = config_nearest(item->key, known, count);
        manifest_complain_of_unknown(reader, &item->key_mark, "%s has no key \"%.60s\"%s%s%s", what,
                                     item->key, nearest != NULL ? " (did you mean \"" : "",
                                     nearest != NULL ? nearest : "", nearest != NULL ? "\"?)" : "");
    }
}

/* What stands at a key; a key with nothing behind it is as good as none. */
const struct config_node *manifest_find(const struct config_node *map, const char *key)
{
    const struct config_node *node = config_node_find(map, key);

    return node != NULL && config_node_is_empty(node) ? NULL : node;
}

/* The text at a key; NULL where it is not there or wrong, which then has been said. */
const char *manifest_read_text(struct manifest_reader *reader, const struct config_node *map, const char *key,
                               bool required, const char *what)
{
    const struct config_node *node = manifest_find(map, key);

    if (node == NULL) {
        if (required)
            manifest_complain(reader, &map->mark, "%s has no %s, which it must have", what, key);
        return NULL;
    }
    if (!manifest_expect(reader, node, CONFIG_SCALAR, key))
        return NULL;
    if (node->length == 0)
        manifest_complain(reader, &node->mark, "%s is empty", key);
    return node->text;
}

bool manifest_read_number(struct manifest_reader *reader, const struct config_node *node, const char *key,
                          uint32_t *ret_number)
{
    uint32_t number = 0;

    if (!manifest_expect(reader, node, CONFIG_SCALAR, key))
        return false;
    for (size_t i = 0; i < node->length && number <= VERSION_NUMBER_MAX; i++)
        number = node->text[i] >= '0' && node->text[i] <= '9' ? number * 10 + (uint32_t)(node->text[i] - '0')
                                                              : UINT32_MAX;
    if (number == 0 || number > VERSION_NUMBER_MAX) {
        manifest_complain(reader, &node->mark, "%s: \"%.60s\" is no number from 1 to %d", key, node->text,
                          VERSION_NUMBER_MAX);
        return false;
    }
    *ret_number = number;
    return true;
}
