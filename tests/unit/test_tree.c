/* SPDX-License-Identifier: Apache-2.0 */
/* Untyped trees: growing, looking up, and laying one upon another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <config/print/print.h>
#include <config/tree/tree.h>

static struct config_tree *read_tree(const char *name, const char *text)
{
    struct config_diagnostics diagnostics = {0};
    struct config_tree *tree = config_yaml_read(name, text, strlen(text), &config_limits_file, &diagnostics);

    assert_non_null(tree);
    return tree;
}

static void assert_prints(const struct config_tree *tree, const char *expected)
{
    struct config_text out = {0};

    config_print_tree(&out, config_tree_root(tree), 0);
    assert_string_equal(out.bytes, expected);
    config_text_finish(&out);
}

static void assert_merges(const char *base, const char *over, const char *expected)
{
    struct config_tree *tree = read_tree("base", base);

    config_tree_merge(tree, read_tree("over", over));
    assert_prints(tree, expected);
    config_tree_destroy(tree);
}

static void maps_merge_key_by_key_and_the_rest_is_replaced(void **state)
{
    assert_merges("a: 1\nb: {x: 1, w: 2}\nc: [1, 2]\n", "b: {w: 3, z: 4}\nc: [9]\nd: 5\n",
                  "a: 1\nb:\n  x: 1\n  w: 3\n  z: 4\nc:\n  - 9\nd: 5\n");
    assert_merges("a: {x: 1}\n", "a: 2\n", "a: 2\n");
    assert_merges("a: 2\n", "a: {x: 1}\n", "a:\n  x: 1\n");
    assert_merges("", "a: 1\n", "a: 1\n");
    assert_merges("a: 1\n", "", "a: 1\n");
    assert_merges("a: 1\n", "- 1\n", "- 1\n");
}

static void a_key_without_a_value_leaves_maps_and_lists(void **state)
{
    assert_merges("a: {x: 1}\nb: [1]\nc: 2\n", "a:\nb: ~\nc: null\n", "a:\n  x: 1\nb:\n  - 1\nc: null\n");
    assert_merges("a: {x: 1}\n", "a: \"\"\n", "a: \"\"\n");
}

static void marks_go_along(void **state)
{
    struct config_tree *tree = read_tree("base", "a: {x: 1, y: 2}\n");
    struct config_node *a;

    config_tree_merge(tree, read_tree("over", "\n\na: {y: 3}\n"));
    a = config_node_find(config_tree_root(tree), "a");
    assert_string_equal(config_node_find(a, "x")->mark.file, "base");
    assert_string_equal(config_node_find(a, "y")->mark.file, "over");
    assert_int_equal(config_node_find(a, "y")->mark.line, 3);
    config_tree_destroy(tree);
}

static void maps_grow_and_shrink(void **state)
{
    struct config_tree *tree = config_tree_create();
    struct config_mark mark = {"f", 1, 1};
    struct config_node *map = config_tree_add_node(tree, CONFIG_MAP, mark);
    struct config_node *nodes[1000];
    char key[16];

    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        nodes[i] = config_tree_add_scalar(tree, "", mark);
        nodes[i]->key = config_tree_add_text(tree, key, strlen(key));
        config_node_append(tree, map, nodes[i]);
        snprintf(key, sizeof(key), "k%d", i - 1);
        if (i % 3 == 2)
            assert_ptr_equal(config_node_take(map, key), nodes[i - 1]);
    }
    assert_null(config_node_take(map, "k1"));
    assert_int_equal(map->count, 1000 - 333);
    assert_ptr_equal(map->items[0], nodes[0]);
    assert_ptr_equal(map->items[1], nodes[2]);
    assert_ptr_equal(map->items[map->count - 1], nodes[999]);
    config_tree_destroy(tree);
}

static void looking_up_where_there_is_no_map_finds_nothing(void **state)
{
    struct config_tree *tree = read_tree("f", "[a]");

    assert_null(config_node_find(NULL, "a"));
    assert_null(config_node_find(config_tree_root(tree), "a"));
    assert_null(config_node_take(NULL, "a"));
    assert_null(config_node_take(config_tree_root(tree), "a"));
    assert_int_equal(config_tree_root(tree)->count, 1);
    config_tree_destroy(tree);
    config_tree_destroy(NULL);
}

static void large_maps_merge(void **state)
{
    enum { COUNT = 50000 };
    char *base = malloc(COUNT * 16), *over = malloc(COUNT * 16);
    size_t base_length = 0, over_length = 0;
    struct config_tree *tree;

    for (size_t i = 0; i < COUNT; i++) {
        base_length += (size_t)sprintf(base + base_length, "key%zu: 1\n", i);
        over_length += (size_t)sprintf(over + over_length, "key%zu: 2\n", COUNT - i);
    }
    tree = read_tree("base", base);
    config_tree_merge(tree, read_tree("over", over));
    assert_int_equal(config_tree_root(tree)->count, COUNT + 1);
    assert_string_equal(config_tree_root(tree)->items[0]->text, "1");
    assert_string_equal(config_tree_root(tree)->items[1]->text, "2");
    config_tree_destroy(tree);
    free(base);
    free(over);
}

static void a_printed_tree_reads_back_the_same(void **state)
{
    static const char text[] =
        "quoted: \"1\"\nempty:\n\"key with: colon\": x\nlists: [[1, [2]], [], {}]\n"
        "maps: [{a: 1, b: {c: d}}, {e: [f]}]\nlines: \"one\\ntwo\\u0085\\u2028\\\"\\\\\"\n";
    struct config_tree *tree;
    struct config_text first = {0}, second = {0};

    tree = read_tree("f", text);
    config_print_tree(&first, config_tree_root(tree), 0);
    config_tree_destroy(tree);
    tree = read_tree("f", first.bytes);
    config_print_tree(&second, config_tree_root(tree), 0);
    assert_string_equal(first.bytes, second.bytes);
    assert_string_equal(config_node_find(config_tree_root(tree), "lines")->text,
                        "one\ntwo\xc2\x85\xe2\x80\xa8\"\\");
    assert_int_equal(config_node_find(config_tree_root(tree), "lists")->items[0]->items[1]->count, 1);
    config_tree_destroy(tree);
    config_text_finish(&first);
    config_text_finish(&second);
}

static void note_both(void *context, const char *path, const struct config_node *kept,
                      const struct config_node *dropped)
{
    struct config_text *said = context;

    config_text_add(said, "%s %u/%u\n", path, kept->mark.column, dropped->mark.column);
}

static void assert_fills(const char *base, const char *under, const char *expected, const char *said)
{
    struct config_tree *tree = read_tree("base", base);
    struct config_node *rest = config_tree_adopt(tree, read_tree("under", under));
    struct config_text both = {0};

    config_tree_fill(tree, config_tree_root(tree), rest, note_both, &both);
    assert_prints(tree, expected);
    assert_string_equal(both.bytes == NULL ? "" : both.bytes, said);
    config_text_finish(&both);
    config_tree_destroy(tree);
}

static void what_is_set_stays_when_the_rest_is_filled_in(void **state)
{
    assert_fills("a: 1\nb: {x: 1}\n", "b: {z: 2}\nc: [3]\n", "a: 1\nb:\n  x: 1\n  z: 2\nc:\n  - 3\n", "");
    assert_fills("a: 1\n", "a: 1\n", "a: 1\n", "a 4/4\n");
    assert_fills("a: {b: {c: 1}}\n", "a: {b:   {c: 2, d: 3}}\n", "a:\n  b:\n    c: 1\n    d: 3\n",
                 "a.b.c 12/14\n");
    assert_fills("a: [1]\n", "a: [2]\n", "a:\n  - 1\n", "a 4/4\n");
    assert_fills("a: {b: 1}\n", "a: 2\n", "a:\n  b: 1\n", "a 4/4\n");
    assert_fills("a: 2\n", "a: {b: 1}\n", "a: 2\n", "a 4/4\n");
    assert_fills("a:\nb: ''\n", "a: {b: 1}\nb: x\n", "a:\n  b: 1\nb: \"\"\n", "b 4/4\n");
    assert_fills("a: 1\n", "a:\n", "a: 1\n", "");
}

/* Longer than what is searched one by one, and than a path may be. */
static void large_maps_are_filled_too(void **state)
{
    struct config_text base = {0}, under = {0}, both = {0};
    struct config_tree *tree;
    char long_key[600];

    memset(long_key, 'k', sizeof(long_key) - 1);
    long_key[sizeof(long_key) - 1] = '\0';
    config_text_add(&base, "%s: {a: 1}\n", long_key);
    config_text_add(&under, "%s: {a: 2}\n", long_key);
    for (size_t i = 0; i < 1000; i++) {
        config_text_add(&base, "k%zu: 1\n", 2 * i);
        config_text_add(&under, "k%zu: 2\n", 3 * i);
    }
    tree = read_tree("base", base.bytes);
    config_tree_fill(tree, config_tree_root(tree), config_tree_adopt(tree, read_tree("under", under.bytes)),
                     note_both, &both);
    /* Multiples of 2 and of 3 below 2000 and 3000. */
    assert_int_equal(config_tree_root(tree)->count, 1 + 1000 + 1000 - 334);
    assert_string_equal(config_node_find(config_tree_root(tree), "k6")->text, "1");
    assert_string_equal(config_node_find(config_tree_root(tree), "k9")->text, "2");
    assert_non_null(strstr(both.bytes, "k6 5/5\n"));
    assert_int_equal(strspn(both.bytes, "k"), 511);
    config_text_finish(&base);
    config_text_finish(&under);
    config_text_finish(&both);
    config_tree_destroy(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_merge_key_by_key_and_the_rest_is_replaced),
        cmocka_unit_test(a_key_without_a_value_leaves_maps_and_lists),
        cmocka_unit_test(marks_go_along),
        cmocka_unit_test(maps_grow_and_shrink),
        cmocka_unit_test(looking_up_where_there_is_no_map_finds_nothing),
        cmocka_unit_test(large_maps_merge),
        cmocka_unit_test(what_is_set_stays_when_the_rest_is_filled_in),
        cmocka_unit_test(large_maps_are_filled_too),
        cmocka_unit_test(a_printed_tree_reads_back_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
