/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML reader: places of words, and what it refuses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tests/cmocka.h>

#include <config/print/print.h>
#include <config/tree/tree.h>

#include <tests/unit/yaml_readers.h>

static struct config_tree *read_bytes(const char *text, size_t length, struct config_diagnostics *diagnostics)
{
    return config_yaml_read("a.yaml", text, length, &config_limits_file, diagnostics);
}

static void assert_refused_bytes(const char *text, size_t length, const char *expected)
{
    struct config_diagnostics diagnostics = {0};
    char *line;

    assert_null(read_bytes(text, length, &diagnostics));
    assert_true(diagnostics.error_count >= 1);
    line = config_diagnostic_format(&diagnostics.items[0]);
    assert_string_equal(line, expected);
    free(line);
    config_diagnostics_finish(&diagnostics);
}

static void assert_refused(const char *text, const char *expected)
{
    assert_refused_bytes(text, strlen(text), expected);
}

static struct config_tree *assert_read(const char *text)
{
    struct config_diagnostics diagnostics = {0};
    struct config_tree *tree = read_bytes(text, strlen(text), &diagnostics);

    if (tree == NULL)
        print_message("%s\n", diagnostics.items[0].message);
    assert_non_null(tree);
    assert_int_equal(diagnostics.count, 0);
    return tree;
}

/* The text `count` times. */
static char *repeat(const char *text, size_t count)
{
    size_t length = strlen(text);
    char *repeated = malloc(length * count + 1);

    assert_non_null(repeated);
    for (size_t i = 0; i < count; i++)
        memcpy(repeated + i * length, text, length);
    repeated[length * count] = '\0';
    return repeated;
}

static void every_node_knows_its_place(void **state)
{
    struct config_tree *tree = assert_read("a: 1\nlist:\n  - \"x\"\n  - {k: ü, z: v}\n");
    struct config_node *root = config_tree_root(tree);
    struct config_node *list = config_node_find(root, "list");
    struct config_node *z = config_node_find(list->items[1], "z");

    assert_string_equal(root->mark.file, "a.yaml");
    assert_int_equal(list->key_mark.line, 2);
    assert_int_equal(list->key_mark.column, 1);
    assert_int_equal(list->mark.line, 3);
    assert_int_equal(z->key_mark.line, 4);
    assert_int_equal(z->key_mark.column, 12);
    assert_int_equal(z->mark.column, 15);
    assert_true(config_node_find(root, "a")->plain);
    assert_false(list->items[0]->plain);
    config_tree_destroy(tree);
}

static void block_texts_and_quotes_are_read(void **state)
{
    struct config_tree *tree =
        assert_read("%YAML 1.2\n---\na: |\n  one\n  two\nb: 'it''s'\nc: \"\\u00fc\"\n");
    struct config_node *root = config_tree_root(tree);

    assert_string_equal(config_node_find(root, "a")->text, "one\ntwo\n");
    assert_string_equal(config_node_find(root, "b")->text, "it's");
    assert_string_equal(config_node_find(root, "c")->text, "ü");
    config_tree_destroy(tree);
}

static void an_empty_document_has_no_root(void **state)
{
    static const char *const texts[] = {"", "\n", "# only a comment\n", "\xef\xbb\xbf"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config_tree *tree = assert_read(texts[i]);

        assert_null(config_tree_root(tree));
        config_tree_destroy(tree);
    }
}

static void what_configuration_does_not_need_is_refused_at_its_place(void **state)
{
    static const struct {
        const char *text, *line;
    } cases[] = {
        {"a: &x 1\n", "a.yaml:1:4: anchor &x is not supported; repeat the value"},
        {"a: &x [1]\n", "a.yaml:1:4: anchor &x is not supported; repeat the value"},
        {"a: {b: &x {}}\n", "a.yaml:1:8: anchor &x is not supported; repeat the value"},
        {"a: *x\n", "a.yaml:1:4: alias *x is not supported; repeat the value"},
        {"a: !!str 1\n", "a.yaml:1:4: a tag (!…) is not supported; the schema determines the type"},
        {"a: ! 1\n", "a.yaml:1:4: a tag (!…) is not supported; the schema determines the type"},
        {"!x a: 1\n", "a.yaml:1:1: a tag (!…) is not supported; the schema determines the type"},
        {"- !!seq [1]\n", "a.yaml:1:3: a tag (!…) is not supported; the schema determines the type"},
        {"%TAG ! tag:x,2000:\n---\na: 1\n", "a.yaml:1:1: a %TAG directive is not supported"},
        {"a: 1\n---\nb: 2\n", "a.yaml:2:1: second document (---); a file holds only one"},
        {"a: 1\nb: 2\na: 3\n", "a.yaml:3:1: duplicate key \"a\"; first set on line 1"},
        {"x: {a: 1, 'a': 2}\n", "a.yaml:1:11: duplicate key \"a\"; first set on line 1"},
        {"[a]: 1\n", "a.yaml:1:1: a list cannot be a key; use a plain word"},
        {"? {a: 1}\n: 1\n", "a.yaml:1:3: a map cannot be a key; use a plain word"},
        {"\"\": 1\n", "a.yaml:1:1: empty key; give it a name"},
        {"a: \"x\\0y\"\n", "a.yaml:1:4: the text contains NUL (\\0); no setting can hold one"},
        {"\"\\0\": y\n", "a.yaml:1:1: the text contains NUL (\\0); no setting can hold one"},
        {"a: 1\nb: \xff\n", "a.yaml:2:4: byte 0xff is not valid UTF-8"},
        {"ü: \xc0\x80\n", "a.yaml:1:4: byte 0xc0 is not valid UTF-8"},
        {"a: \xed\xa0\x80\n", "a.yaml:1:4: byte 0xed is not valid UTF-8"},
        {"a: \xf4\x90\x80\x80\n", "a.yaml:1:4: byte 0xf4 is not valid UTF-8"},
        {"a: \xe2\x82", "a.yaml:1:4: byte 0xe2 is not valid UTF-8"},
        {"a: \x01\n", "a.yaml:1:4: control characters are not allowed"},
        {"\xff\xfe\x61\x00", "a.yaml:1:1: byte 0xff is not valid UTF-8"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].text, cases[i].line);
}

static void a_nul_byte_is_refused_at_its_place(void **state)
{
    assert_refused_bytes("a: 1\nb: x\0y\n", 11, "a.yaml:2:5: NUL byte; configuration files are UTF-8 text");
}

static void what_is_no_yaml_is_refused_with_its_line(void **state)
{
    static const char *const texts[] = {"a: [1, 2\n", "a: b: c\n", "a: {b: 1\nc: 2\n",
                                        "\ta: 1\n",   "a: 'x\n",   "a: @x\n"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config_diagnostics diagnostics = {0};

        assert_null(read_bytes(texts[i], strlen(texts[i]), &diagnostics));
        assert_int_equal(diagnostics.count, 1);
        assert_true(diagnostics.items[0].mark.line >= 1);
        config_diagnostics_finish(&diagnostics);
    }
}

static void all_duplicate_keys_are_said_at_once(void **state)
{
    struct config_diagnostics diagnostics = {0};
    const char *text = "a: 1\na: 2\nb: {c: 1, c: 2}\na: 3\n";

    assert_null(read_bytes(text, strlen(text), &diagnostics));
    assert_int_equal(diagnostics.error_count, 3);
    config_diagnostics_finish(&diagnostics);
}

static void a_depth_of_10000_is_refused(void **state)
{
    char *flow = repeat("[", 10000);
    char *maps = repeat("{a: ", 10000);
    char *block = repeat("- ", 10000);

    assert_refused(flow, "a.yaml:1:65: nested deeper than 64 levels");
    assert_refused(maps, "a.yaml:1:257: nested deeper than 64 levels");
    assert_refused(block, "a.yaml:1:129: nested deeper than 64 levels");
    free(flow);
    free(maps);
    free(block);
}

static void depth_64_is_read(void **state)
{
    char *open = repeat("[", 64);
    char *close = repeat("]", 64);
    char text[200];
    struct config_tree *tree;

    snprintf(text, sizeof(text), "%s%s\n", open, close);
    tree = assert_read(text);
    config_tree_destroy(tree);
    free(open);
    free(close);
}

static void an_alias_bomb_ends_at_its_first_alias(void **state)
{
    assert_refused("a: &a [x, x]\nb: [*a, *a]\nc: [*b, *b]\n",
                   "a.yaml:1:4: anchor &a is not supported; repeat the value");
    assert_refused("<<: *a\n", "a.yaml:1:5: alias *a is not supported; repeat the value");
}

/* What an author's text reads as where aliases are allowed: printed, or its first error. The caller frees. */
static char *expand(const char *text)
{
    struct config_diagnostics diagnostics = {0};
    struct config_tree *tree =
        config_yaml_read("a.yaml", text, strlen(text), &config_limits_source, &diagnostics);
    struct config_text printed = {0};

    if (tree != NULL)
        config_print_tree(&printed, config_tree_root(tree), 0);
    for (size_t i = 0; i < diagnostics.count && printed.length == 0; i++)
        config_text_add(&printed, "%s", diagnostics.items[i].message);
    config_tree_destroy(tree);
    config_diagnostics_finish(&diagnostics);
    return config_text_take(&printed);
}

static void aliases_and_merge_keys_are_expanded_where_they_are_allowed(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"a: &x 1\nb: *x\nc: &x 2\nd: [*x]\n", "a: 1\nb: 1\nc: 2\nd:\n  - 2\n"},
        {"a: &x {k: [v]}\nb: *x\n", "a:\n  k:\n    - v\nb:\n  k:\n    - v\n"},
        {"a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}\n", "a:\n  k: 1\n  l: 2\nb:\n  l: 3\n  k: 1\n"},
        {"a: {<<: [&x {k: 1}, &y {k: 2, l: 2}]}\nb: {<<: [*y, *x]}\n",
         "a:\n  k: 1\n  l: 2\nb:\n  k: 2\n  l: 2\n"},
        {"a: &x {k: &x 1, l: *x}\nb: *x\n", "a:\n  k: 1\n  l: 1\nb: 1\n"},
        {"a: *x\n", "alias *x has no complete anchor &x before it"},
        {"a: &x [*x]\n", "alias *x has no complete anchor &x before it"},
        {"a: &x k\n*x : 1\n", "an alias cannot be a key; use a plain word"},
        {"a: {<<: 1}\n", "<< merges a map or a list of maps"},
        {"a: {<<: {k: 1}, <<: {l: 1}}\n", "duplicate key \"<<\"; first set on line 1"},
        {"a: !!str 1\n", "a tag (!…) is not supported; the schema determines the type"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *printed = expand(cases[i].text);

        assert_string_equal(printed, cases[i].expected);
        free(printed);
    }
}

/* Each line is ten times the one before it; the depth grows by one. */
static void a_bomb_of_allowed_aliases_ends_at_the_limits(void **state)
{
    char text[4096] = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    char *printed;

    for (int i = 1; i < 10; i++)
        sprintf(text + strlen(text),
                "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1,
                i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    printed = expand(text);
    assert_string_equal(printed, "more than 10000 values in one file; split it");
    free(printed);
    strcpy(text, "a0: &a0 []\n");
    for (int i = 1; i < 40; i++)
        sprintf(text + strlen(text), "a%d: &a%d [*a%d]\n", i, i, i - 1);
    printed = expand(text);
    assert_string_equal(printed, "nested deeper than 32 levels");
    free(printed);
}

static void too_many_values_are_refused(void **state)
{
    char *items = repeat("- x\n", 100001);

    assert_refused(items, "a.yaml:100000:3: more than 100000 values in one file; split it");
    free(items);
}

static void too_many_bytes_are_refused(void **state)
{
    char *text = repeat("# comment\n", 500000);

    assert_refused(text, "a.yaml: too large: 5000000 bytes, at most 4194304");
    free(text);
}

/* Ten times as many keys take about ten times as long: checked with a generous bound for busy machines. */
static double seconds_for(size_t keys)
{
    char *text = malloc(keys * 16 + 1);
    size_t length = 0;
    struct timespec before, after;
    struct config_tree *tree;

    assert_non_null(text);
    for (size_t i = 0; i < keys; i++)
        length += (size_t)sprintf(text + length, "key%zu: 1\n", i);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    tree = assert_read(text);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    config_tree_destroy(tree);
    free(text);
    return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

static void many_keys_in_one_map_are_not_quadratic(void **state)
{
    seconds_for(9000);
    assert_true(seconds_for(90000) < 40 * seconds_for(9000) + 0.5);
}

/* What authors write is read without libyaml, to the same values at the same places. */
static void manifests_are_read_by_the_quick_reader_as_by_libyaml(void **state)
{
    static const char *const texts[] = {
        "a: b\n",
        "a: b",
        "# first\n\na: b # c\n  # further right\n\nc: d",
        "a:\nb: # nothing\nc: ~\n",
        "a:\n  b:\n    c: d e  f\n  g: h\ni: j\n",
        "a:\n- b\n- c\nd: e\n",
        "a:\n  - b\n  - - c\n    - d\n  - e: f\n    g:\n    - h\n  - 'i'\n",
        "- a\n-   b: c\n    d: e\n- [f, g]\n",
        "a: [b, 'c', \"d\", {e: f}, [], {}, -1, http://g:80/h#i ]  # j\n",
        "a: {\"b\": c, 'd': [e], f: {g: h}}\n",
        "\"a\": \"b \\\"c\\\" \\\\ d#e: f\"\n'g''h': 'i''j # k'\n",
        "a: it's \"here\" & there, [or] {not} <|> !\n",
        "a: \xc2\xb1\x31 \xe2\x80\x93\n",
        "a: b''c\nd: 'b''c'\ne: b''c\nf: e\\\\g\nh: \"e\\\\g\"\n",
        "[a, b]\n",
        "a\n",
    };
    char *note = NULL;
    size_t size = 0;
    FILE *file;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!read_plain_and_whole(texts[i], strlen(texts[i]), &config_limits_manifest))
            fail_msg("not read: %s", texts[i]);
    /* As large as a manifest may be. */
    file = open_memstream(&note, &size);
    fputs("module: a\nplugins:\n", file);
    for (int i = 0; i < 500; i++)
        fprintf(file, "  - type: io.example.a.v1\n    id: p%d\n    requires: [a, b]\n", i);
    fclose(file);
    assert_true(read_plain_and_whole(note, size, &config_limits_manifest));
    free(note);
}

/* Some of it is YAML that means something else than it looks like, some is wrong: libyaml tells. */
static void the_quick_reader_leaves_to_libyaml_what_it_is_not_certain_about(void **state)
{
    static const char *const texts[] = {
        "",
        "# nothing\n",
        "a: b\n  c\n",
        "a: b\n\n   c: d\n",
        "a:\n  b\n  c\n",
        "a: b: c\n",
        "a: &b c\n",
        "a: *b\n",
        "a: !b c\n",
        "a: |\n  b\n",
        "a: >\n  b\n",
        "? a\n: b\n",
        "a: \"b\n  c\"\n",
        "a: [b,\n  c]\n",
        "a: [b, ]\n",
        "a: {b, c}\n",
        "a: {b: }\n",
        "a: [b: c]\n",
        "a: [b] c\n",
        "a: 'b' c\n",
        "a: \"\\n\"\n",
        "a:\tb\n",
        "a: b\r\n",
        "\xef\xbb\xbf"
        "a: b\n",
        "--- a\n",
        "---\na: b\n",
        "a: b\n...\n",
        "a: b\n---\nc: d\n",
        "%YAML 1.1\n---\na: b\n",
        "a: b\na: c\n",
        "a: {b: c, b: d}\n",
        "a: - b\n",
        "-\n",
        "- a\n b: c\n",
        "  a: b\nc: d\n",
        "a:\n    b: c\n  d: e\n",
        "a : b\n",
        ": a\n",
        "\"\": a\n",
        "a: @b\n",
        "a: `b\n",
        "a: %b\n",
        "a: \xc2\xa0"
        "b\n",
        "a: \xc2\x85\n",
        "a: \xe2\x80\xa8\n",
        "a: \xff\n",
        "a: \xf0\x9f\x98\x80\n",
        "a: ]\n",
        "a: \"b\"#c\n",
        "[a]: b\n",
        "a: [b:]\n",
        "a: [b ? c]\n",
        "...: a\n",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (read_plain_and_whole(texts[i], strlen(texts[i]), &config_limits_manifest))
            fail_msg("read although it is not plain: %s", texts[i]);
}

/* libyaml counts what is written, not what is meant. */
static void a_key_of_escapes_is_read_alike_up_to_the_longest(void **state)
{
    char text[2200];

    for (size_t pairs = 490; pairs <= 520; pairs++)
        for (size_t i = 0; i < 2; i++) {
            const char *const quotes[] = {"\"\\\\", "'''"};
            size_t length = 0;

            text[length++] = quotes[i][0];
            for (size_t k = 0; k < pairs; k++, length += 2)
                memcpy(text + length, quotes[i] + 1, 2);
            text[length++] = quotes[i][0];
            length += (size_t)sprintf(text + length, ": b\n");
            read_plain_and_whole(text, length, &config_limits_manifest);
        }
}

static double seconds_for_a_line(size_t values)
{
    char *text = malloc(values * 3 + 16);
    size_t length = 6;
    struct timespec before, after;

    assert_non_null(text);
    memcpy(text, "a: [\xc3\xa9", length);
    for (size_t i = 0; i < values; i++, length += 3)
        memcpy(text + length, ", b", 3);
    memcpy(text + length, "]\n", 2);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    config_tree_destroy(config_yaml_read_plain("a.yaml", text, length + 2, &config_limits_file));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    free(text);
    return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

static void many_values_on_one_line_are_not_quadratic(void **state)
{
    seconds_for_a_line(9000);
    assert_true(seconds_for_a_line(90000) < 40 * seconds_for_a_line(9000) + 0.5);
}

/* Whoever exceeds them is told so, by the other reader. */
static void the_quick_reader_keeps_to_the_limits(void **state)
{
    const struct config_limits limits = {.max_bytes = 64, .max_depth = 3, .max_nodes = 6};
    const struct config_limits expanding = {.max_bytes = 64, .max_depth = 3, .max_nodes = 6, .aliases = true};

    assert_true(read_plain_and_whole("a: [b, [c]]\n", 12, &limits));
    assert_false(read_plain_and_whole("a: [b, [[c]]]\n", 14, &limits));
    assert_false(read_plain_and_whole("a:\n  - - - b\n", 13, &limits));
    assert_true(read_plain_and_whole("a: [b, c, d, e]\n", 16, &limits));
    assert_false(read_plain_and_whole("a: [b, c, d, e, f]\n", 19, &limits));
    assert_false(read_plain_and_whole("a: 345678901234567890123456789012345678901234567890123456789012345\n",
                                      67, &limits));
    assert_null(config_yaml_read_plain("a.yaml", "a: b\n", 5, &expanding));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_knows_its_place),
        cmocka_unit_test(block_texts_and_quotes_are_read),
        cmocka_unit_test(an_empty_document_has_no_root),
        cmocka_unit_test(what_configuration_does_not_need_is_refused_at_its_place),
        cmocka_unit_test(a_nul_byte_is_refused_at_its_place),
        cmocka_unit_test(what_is_no_yaml_is_refused_with_its_line),
        cmocka_unit_test(all_duplicate_keys_are_said_at_once),
        cmocka_unit_test(a_depth_of_10000_is_refused),
        cmocka_unit_test(depth_64_is_read),
        cmocka_unit_test(an_alias_bomb_ends_at_its_first_alias),
        cmocka_unit_test(aliases_and_merge_keys_are_expanded_where_they_are_allowed),
        cmocka_unit_test(a_bomb_of_allowed_aliases_ends_at_the_limits),
        cmocka_unit_test(too_many_values_are_refused),
        cmocka_unit_test(too_many_bytes_are_refused),
        cmocka_unit_test(many_keys_in_one_map_are_not_quadratic),
        cmocka_unit_test(manifests_are_read_by_the_quick_reader_as_by_libyaml),
        cmocka_unit_test(the_quick_reader_leaves_to_libyaml_what_it_is_not_certain_about),
        cmocka_unit_test(the_quick_reader_keeps_to_the_limits),
        cmocka_unit_test(a_key_of_escapes_is_read_alike_up_to_the_longest),
        cmocka_unit_test(many_values_on_one_line_are_not_quadratic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
