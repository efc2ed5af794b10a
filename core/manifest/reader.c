/* SPDX-License-Identifier: Apache-2.0 */
/* Reads texts, numbers and lists of a manifest, and says what is wrong with them. */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

#define VERSION_NUMBER_MAX 1000000

void *reader_allocate(struct reader *reader, const struct config_node *node, size_t count, size_t size)
{
    void *array = calloc(count > 0 ? count : 1, size);

    if (array == NULL)
        complain(reader, &node->mark, "no memory for its %zu items", count);
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

bool reader_expect(struct reader *reader, const struct config_node *node, enum config_node_kind kind,
                   const char *what)
{
    if (node->kind == kind)
        return true;
    complain(reader, &node->mark, "%s must be %s, not %s", what, kind_name(kind), kind_name(node->kind));
    return false;
}

bool reader_is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

void reader_check_keys(struct reader *reader, const struct config_node *map, const char *what,
                       const char *const *known, size_t count)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct config_node *item = map->items[i];
        const char *nearest;

        if (reader_is_among(item->key, known, count))
            continue;
        nearest = config_nearest(item->key, known, count);
        complain_of_unknown(reader, &item->key_mark, "%s has no key \"%.60s\"%s%s%s", what, item->key,
                            nearest != NULL ? " (did you mean \"" : "", nearest != NULL ? nearest : "",
                            nearest != NULL ? "\"?)" : "");
    }
}

const struct config_node *reader_find(const struct config_node *map, const char *key)
{
    const struct config_node *node = config_node_find(map, key);

    return node != NULL && config_node_is_empty(node) ? NULL : node;
}

const char *reader_text(struct reader *reader, const struct config_node *map, const char *key, bool required,
                        const char *what)
{
    const struct config_node *node = reader_find(map, key);

    if (node == NULL) {
        if (required)
            complain(reader, &map->mark, "%s has no %s, which is required", what, key);
        return NULL;
    }
    if (!reader_expect(reader, node, CONFIG_SCALAR, key))
        return NULL;
    if (node->length == 0)
        complain(reader, &node->mark, "%s is empty", key);
    return node->text;
}

bool reader_number(struct reader *reader, const struct config_node *node, const char *key,
                   uint32_t *ret_number)
{
    uint32_t number = 0;

    if (!reader_expect(reader, node, CONFIG_SCALAR, key))
        return false;
    for (size_t i = 0; i < node->length && number <= VERSION_NUMBER_MAX; i++)
        number = node->text[i] >= '0' && node->text[i] <= '9' ? number * 10 + (uint32_t)(node->text[i] - '0')
                                                              : UINT32_MAX;
    if (number == 0 || number > VERSION_NUMBER_MAX) {
        complain(reader, &node->mark, "%s: \"%.60s\" is not a number from 1 to %d", key, node->text,
                 VERSION_NUMBER_MAX);
        return false;
    }
    *ret_number = number;
    return true;
}

void reader_texts(struct reader *reader, const struct config_node *list, const char *name, const char *what,
                  void (*check)(struct reader *reader, const struct config_node *list, size_t i,
                                const struct manifest_plugin *plugin),
                  const struct manifest_plugin *plugin, const char *const **ret_texts, size_t *ret_count)
{
    const char **texts;

    if (list == NULL || !reader_expect(reader, list, CONFIG_LIST, name))
        return;
    texts = reader_allocate(reader, list, list->count, sizeof(*texts));
    if (texts == NULL)
        return;
    *ret_texts = texts;
    *ret_count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!reader_expect(reader, list->items[i], CONFIG_SCALAR, what))
            continue;
        check(reader, list, i, plugin);
        texts[(*ret_count)++] = list->items[i]->text;
    }
}
