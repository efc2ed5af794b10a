/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a section of configuration, checked against a schema with every kind in it, and printed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <config/print/print.h>
#include <config/schema/schema.h>
#include <config/schema/value.h>
#include <tests/unit/yaml_readers.h>

static const char schema_text[] =
    "text: {type: string, default: x, max: 64, pattern: '[a-z]*'}\n"
    "flag: {type: bool, default: true}\n"
    "number: {type: int, default: 1, min: -5, max: 1000}\n"
    "ratio: {type: float, default: 0.5, min: 0}\n"
    "wait: {type: duration, default: 1s}\n"
    "size: {type: bytes, default: 1KiB}\n"
    "file: {type: path}\n"
    "level: {type: enum, values: [low, middle, high], default: low}\n"
    "token: {type: string, secret: true}\n"
    "old: {type: int, deprecated: number}\n"
    "names: {type: list, items: {type: string}, max: 100}\n"
    "limits: {type: map, items: {type: duration}}\n"
    "hosts: {type: list, items: {type: object, fields: {name: {type: string, required: true}, port: {type: "
    "int}}}}\n"
    "tls: {type: object, fields: {key: {type: path, required: true}, on: {type: bool, default: false}}}\n"
    "free: {type: any}\n"
    "more: {type: map, merge: true, default: {a: {b: {c: 1}}, d: {b: {e: [true, 0.5]}}}, max: 100, items: "
    "{type: "
    "object, fields: {b: {type: map, items: {type: any}, default: {}}}}}\n";

static struct config_tree *schema_tree;
static struct schema *schema;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct config_diagnostics diagnostics = {0};

    schema_tree =
        config_yaml_read("schema", schema_text, strlen(schema_text), &config_limits_manifest, &diagnostics);
    assert(schema_tree != NULL);
    schema = schema_create(config_tree_root(schema_tree), &diagnostics);
    assert(schema != NULL);
    return 0;
}

/* What was written as a tree reads back as the same tree. */
static void check_tree(const struct config_tree *tree)
{
    struct config_diagnostics diagnostics = {0};
    struct config_text first = {0}, second = {0};
    struct config_tree *again;

    config_print_tree(&first, config_tree_root(tree), 0);
    again = config_yaml_read("again", first.bytes, first.length, &config_limits_file, &diagnostics);
    if (again != NULL && config_tree_root(again) != NULL) {
        config_print_tree(&second, config_tree_root(again), 0);
        assert(strcmp(first.bytes, second.bytes) == 0);
    }
    config_tree_destroy(again);
    config_text_finish(&first);
    config_text_finish(&second);
    config_diagnostics_finish(&diagnostics);
}

static void print_json(const struct berth_value *value)
{
    char *text = NULL;
    size_t length;
    struct config_json json = {.out = open_memstream(&text, &length)};

    assert(json.out != NULL);
    config_print_json(&json, NULL, value, &(struct config_print_options){0});
    assert(fclose(json.out) == 0);
    free(text);
}

/* What is printed of a section that is valid reads back as the same. */
static void check_print(const struct config_values *values)
{
    const struct config_print_options options = {.secrets = true};
    const struct config_check_options strict = {0};
    struct config_diagnostics diagnostics = {0};
    struct config_text first = {0}, second = {0};
    struct config_tree *tree;
    struct config_values *again;

    config_print_values(&first, config_values_root(values), 0, &options);
    tree = config_yaml_read("again", first.bytes, first.length, &config_limits_file, &diagnostics);
    assert(tree != NULL);
    again = config_values_create(schema, config_tree_root(tree), &strict, &diagnostics);
    assert(again != NULL);
    config_print_values(&second, config_values_root(again), 0, &options);
    assert(strcmp(first.bytes, second.bytes) == 0);
    config_values_destroy(again);
    config_tree_destroy(tree);
    config_text_finish(&first);
    config_text_finish(&second);
    config_diagnostics_finish(&diagnostics);
}

/* A migration may ask anything of any value. */
static void ask(const struct berth_settings *settings, const struct berth_value *value)
{
    const struct berth_value *item;

    settings->boolean(value);
    settings->integer(value);
    settings->number(value);
    for (size_t i = 0; (item = settings->at(value, i, NULL)) != NULL; i++)
        ask(settings, item);
}

static void check_untyped(const struct config_node *root)
{
    struct config_values *values = config_values_create_untyped(root);

    ask(config_values_settings(values), config_values_root(values));
    config_values_misread(values);
    config_values_destroy(values);
}

static void check_values(const struct config_node *root)
{
    static const struct config_check_options options[] = {
        {.section = "T.a"}, {.lenient = true, .partial = true}, {.forgiving = true}};

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        struct config_diagnostics diagnostics = {0};
        struct config_values *values = config_values_create(schema, root, &options[i], &diagnostics);
        struct config_text out = {0};

        assert(values != NULL || diagnostics.error_count > 0);
        if (values != NULL) {
            config_print_values(&out, config_values_root(values), 0,
                                &(struct config_print_options){.origins = true});
            print_json(config_values_root(values));
            if (i == 0)
                check_print(values);
        }
        config_text_finish(&out);
        config_values_destroy(values);
        config_diagnostics_finish(&diagnostics);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_diagnostics diagnostics = {0};
    struct config_tree *tree =
        config_yaml_read("fuzz", (const char *)data, size, &config_limits_manifest, &diagnostics);

    read_plain_and_whole((const char *)data, size, &config_limits_manifest);
    assert((tree == NULL) == (diagnostics.error_count > 0));
    if (tree != NULL && config_tree_root(tree) != NULL) {
        check_tree(tree);
        check_values(config_tree_root(tree));
        check_untyped(config_tree_root(tree));
    }
    config_tree_destroy(tree);
    config_diagnostics_sort(&diagnostics);
    config_diagnostics_finish(&diagnostics);
    return 0;
}
