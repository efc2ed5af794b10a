/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the two readers of YAML with each other, for a unit test and a fuzz target. */
#ifndef TESTS_UNIT_YAML_READERS_H
#define TESTS_UNIT_YAML_READERS_H

#include <assert.h>
#include <string.h>

#include <config/tree/readers.h>

static inline void check_same_mark(const struct config_mark *one, const struct config_mark *other)
{
    assert(one->line == other->line && one->column == other->column);
    assert((one->file == NULL) == (other->file == NULL));
}

static inline void check_same_node(const struct config_node *one, const struct config_node *other)
{
    assert(one->kind == other->kind && one->count == other->count);
    check_same_mark(&one->mark, &other->mark);
    check_same_mark(&one->key_mark, &other->key_mark);
    assert((one->key == NULL) == (other->key == NULL));
    assert(one->key == NULL || strcmp(one->key, other->key) == 0);
    if (one->kind == CONFIG_SCALAR)
        assert(one->plain == other->plain && one->length == other->length &&
               memcmp(one->text, other->text, one->length + 1) == 0);
    for (size_t i = 0; i < one->count; i++)
        check_same_node(one->items[i], other->items[i]);
}

/* What the quick reader accepts is what libyaml reads, with the same places. @return has it accepted it? */
static inline bool read_plain_and_whole(const char *text, size_t length, const struct config_limits *limits)
{
    struct config_diagnostics diagnostics = {0};
    struct config_tree *plain = config_yaml_read_plain("a.yaml", text, length, limits), *whole;

    if (plain == NULL)
        return false;
    whole = config_yaml_read_whole("a.yaml", text, length, limits, &diagnostics);
    assert(whole != NULL && diagnostics.count == 0);
    check_same_node(config_tree_root(plain), config_tree_root(whole));
    config_tree_destroy(plain);
    config_tree_destroy(whole);
    config_diagnostics_finish(&diagnostics);
    return true;
}

#endif
