/* SPDX-License-Identifier: Apache-2.0 */
/* Printed configurations: YAML with and without origins, JSON, defaults with their docs. */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <config/print/each.h>
#include <config/print/print.h>
#include <config/schema/schema.h>

static const char schema_text[] =
    "greeting: {type: string, default: Hello, doc: \"The word that\\nopens.\"}\n"
    "size: {type: bytes, default: 4KiB, max: 1MiB}\n"
    "wait: {type: duration, default: 90s}\n"
    "ratio: {type: float, default: 0.1}\n"
    "on: {type: bool, default: true}\n"
    "token: {type: string, default: hunter2, secret: true}\n"
    "keys: {type: list, items: {type: string}, secret: true, default: [hunter2]}\n"
    "address: {type: string}\n"
    "names: {type: list, items: {type: string}, default: ['1', 'a b', '']}\n"
    "old: {type: int, default: 1, deprecated: new}\n"
    "hosts: {type: list, items: {type: object, fields: {name: {type: string}, port: {type: int, default: "
    "80}}}}\n"
    "limits: {type: map, items: {type: int}, default: {}}\n"
    "tls: {type: object, fields: {key: {type: path, required: true}, strict: {type: bool, default: true}}}\n"
    "log: {type: object, fields: {level: {type: enum, values: [low, high], default: low}}}\n"
    "free: {type: map, items: {type: any}, default: {}, merge: true}\n"
    "doors: {type: map, items: {type: object, fields: {at: {type: object, fields: {hour: {type: int, doc: "
    "From "
    "0.}}}}}}\n";

static const struct config_print_options plain = {0}, all = {.secrets = true};

struct printed {
    struct config_tree *schema_tree, *tree;
    struct schema *schema;
    struct config_values *values;
    struct config_diagnostics diagnostics;
    struct config_text out;
};

static struct printed begin(const char *section)
{
    struct printed printed = {0};
    struct config_check_options options = {0};

    printed.schema_tree = config_yaml_read("m", schema_text, strlen(schema_text), &config_limits_manifest,
                                           &printed.diagnostics);
    assert_non_null(printed.schema_tree);
    printed.schema = schema_create(config_tree_root(printed.schema_tree), &printed.diagnostics);
    assert_non_null(printed.schema);
    if (section != NULL) {
        printed.tree =
            config_yaml_read("f", section, strlen(section), &config_limits_file, &printed.diagnostics);
        assert_non_null(printed.tree);
    }
    printed.values =
        config_values_create(printed.schema, printed.tree == NULL ? NULL : config_tree_root(printed.tree),
                             &options, &printed.diagnostics);
    assert_non_null(printed.values);
    return printed;
}

static void end(struct printed *printed)
{
    config_text_finish(&printed->out);
    config_values_destroy(printed->values);
    schema_destroy(printed->schema);
    config_tree_destroy(printed->tree);
    config_tree_destroy(printed->schema_tree);
    config_diagnostics_finish(&printed->diagnostics);
}

static void values_print_as_people_write_them(void **state)
{
    struct printed printed = begin("size: 8192\nhosts: [{name: x}, {port: 81}]\nlimits: {a: 1, 'b c': 2}\n"
                                   "tls: {key: /k}\ngreeting: 'yes'\n");

    config_print_values(&printed.out, config_values_root(printed.values), 0, &plain);
    assert_string_equal(printed.out.bytes, "greeting: \"yes\"\n"
                                           "size: 8KiB\n"
                                           "wait: 1m30s\n"
                                           "ratio: 0.1\n"
                                           "\"on\": true\n"
                                           "# token: secret, not shown\n"
                                           "# keys: secret, not shown\n"
                                           "# address: not set\n"
                                           "names:\n"
                                           "  - \"1\"\n"
                                           "  - a b\n"
                                           "  - \"\"\n"
                                           "hosts:\n"
                                           "  - name: x\n"
                                           "    port: 80\n"
                                           "  -\n"
                                           "    # name: not set\n"
                                           "    port: 81\n"
                                           "limits:\n"
                                           "  a: 1\n"
                                           "  b c: 2\n"
                                           "tls:\n"
                                           "  key: /k\n"
                                           "  strict: true\n"
                                           "log:\n"
                                           "  level: low\n"
                                           "free: {}\n"
                                           "# doors: not set\n");
    end(&printed);
}

static void what_is_read_as_written_loads_back_the_same(void **state)
{
    static const char text[] = "free:\n"
                               "  count: 16384\n"
                               "  deep:\n"
                               "    - true\n"
                               "    -\n"
                               "      - 0.5\n"
                               "  none: \"\"\n"
                               "  quoted: \"true\"\n"
                               "  whole: 1.0\n"
                               "  \"yes\": {}\n"
                               "  zero: \"0\"\n";
    struct printed printed = begin(text);
    const struct berth_settings *settings = config_values_settings(printed.values);
    struct berth_value map = {.kind = BERTH_VALUE_MAP, .count = 1};
    struct berth_value *items[1];
    char *json = NULL;
    size_t length;
    struct config_json writer = {.out = open_memstream(&json, &length)};

    items[0] = (struct berth_value *)(uintptr_t)settings->find(settings->root, "free");
    map.items = items;
    config_print_values(&printed.out, &map, 0, &plain);
    assert_string_equal(printed.out.bytes, text);
    config_print_json(&writer, NULL, items[0], &plain);
    fclose(writer.out);
    assert_string_equal(json,
                        "{\n  \"count\": 16384,\n  \"deep\": [\n    true,\n    [\n      0.5\n    ]\n  ],\n"
                        "  \"none\": \"\",\n  \"quoted\": \"true\",\n  \"whole\": 1,\n  \"yes\": {},\n  "
                        "\"zero\": \"0\"\n}\n");
    free(json);
    end(&printed);
}

static void origins_stand_behind_each_value(void **state)
{
    struct printed printed = begin("size: 8192\nnames: [x]\nlimits: {}\n");

    config_print_values(&printed.out, config_values_root(printed.values), 2,
                        &(struct config_print_options){.origins = true});
    assert_non_null(strstr(printed.out.bytes, "  greeting: Hello  # default\n  size: 8KiB  # f:1:7\n"));
    assert_non_null(strstr(printed.out.bytes, "  names:\n    - x  # f:2:9\n"));
    assert_non_null(strstr(printed.out.bytes, "  limits: {}  # f:3:9\n"));
    end(&printed);
}

/* Each setting as one line of a text. */
static bool note_setting(void *context, const struct berth_setting *setting)
{
    struct config_text *text = context;

    config_text_add(text, "%s = %s @ %s%s%s\n", setting->path, setting->value != NULL ? setting->value : "-",
                    setting->where != NULL ? setting->where : "-", setting->is_secret ? " secret" : "",
                    setting->is_cut ? " cut" : "");
    return true;
}

static void each_setting_has_its_path_value_and_origin(void **state)
{
    struct printed printed = begin("size: 8192\ntoken: swordfish\nkeys: [swordfish]\n"
                                   "hosts: [{name: x}, {port: 81}]\nlimits: {a.b: 1, 'c d': 2}\n"
                                   "free: {deep: [[true], {}], \"q\\\"\\n\": 'yes'}\n");

    config_print_each(printed.values, note_setting, &printed.out);
    assert_string_equal(printed.out.bytes, "greeting = Hello @ default\n"
                                           "size = 8KiB @ f:1:7\n"
                                           "wait = 1m30s @ default\n"
                                           "ratio = 0.1 @ default\n"
                                           "on = true @ default\n"
                                           "token = - @ f:2:8 secret\n"
                                           "keys = - @ f:3:7 secret\n"
                                           "address = - @ -\n"
                                           "names[0] = \"1\" @ default\n"
                                           "names[1] = a b @ default\n"
                                           "names[2] = \"\" @ default\n"
                                           "hosts[0].name = x @ f:4:16\n"
                                           "hosts[0].port = 80 @ default\n"
                                           "hosts[1].name = - @ -\n"
                                           "hosts[1].port = 81 @ f:4:27\n"
                                           "limits.\"a.b\" = 1 @ f:5:15\n"
                                           "limits.\"c d\" = 2 @ f:5:25\n"
                                           "tls = - @ -\n"
                                           "log.level = low @ default\n"
                                           "free.deep[0][0] = true @ f:6:16\n"
                                           "free.deep[1] = {} @ f:6:23\n"
                                           "free.\"q\\\"\\n\" = \"yes\" @ f:6:37\n"
                                           "doors = - @ -\n");
    end(&printed);
}

static bool note_one(void *context, const struct berth_setting *setting)
{
    note_setting(context, setting);
    return false;
}

static void a_long_setting_is_cut_between_characters_and_a_visitor_may_stop(void **state)
{
    struct config_text section = {0}, expected = {0};
    struct printed printed;

    config_text_add(&section, "greeting: ");
    for (size_t i = 0; i < BERTH_SETTING_TEXT_MAX; i++)
        config_text_add(&section, "\xc3\xa9");
    printed = begin(section.bytes);
    config_print_each(printed.values, note_one, &printed.out);
    config_text_add(&expected, "greeting = \"");
    for (size_t i = 0; i < (BERTH_SETTING_TEXT_MAX - 1) / 2; i++)
        config_text_add(&expected, "\xc3\xa9");
    config_text_add(&expected, " @ f:1:11 cut\n");
    assert_string_equal(printed.out.bytes, expected.bytes);
    config_text_finish(&section);
    config_text_finish(&expected);
    end(&printed);
}

static void print_json(struct printed *printed, const struct config_print_options *options)
{
    char *text = NULL;
    size_t length;
    struct config_json json = {.out = open_memstream(&text, &length)};

    assert_non_null(json.out);
    config_print_json(&json, NULL, config_values_root(printed->values), options);
    assert_int_equal(fclose(json.out), 0);
    config_text_add_bytes(&printed->out, text, length);
    free(text);
}

static void json_has_no_secrets_either(void **state)
{
    struct printed printed = begin("greeting: \"q\\\"\\n\"\nhosts: [{name: x}]\n");

    print_json(&printed, &plain);
    assert_null(strstr(printed.out.bytes, "hunter2"));
    assert_non_null(strstr(printed.out.bytes, "  \"greeting\": \"q\\\"\\n\",\n  \"size\": \"4KiB\",\n"));
    assert_non_null(strstr(printed.out.bytes, "  \"ratio\": 0.1,\n  \"on\": true,\n  \"names\": [\n"));
    assert_non_null(
        strstr(printed.out.bytes,
               "  \"hosts\": [\n    {\n      \"name\": \"x\",\n      \"port\": 80\n    }\n  ],\n"));
    assert_non_null(strstr(printed.out.bytes, "  \"limits\": {},\n"));
    end(&printed);
}

static void defaults_have_their_docs_and_load_back(void **state)
{
    struct printed printed = begin(NULL);
    struct printed again;
    struct config_text first = {0}, second = {0};

    config_print_defaults(&printed.out, printed.schema, config_values_root(printed.values), 0);
    assert_non_null(strstr(printed.out.bytes, "# The word that\n# opens. (string)\ngreeting: Hello\n"));
    assert_non_null(strstr(printed.out.bytes, "# (bytes, at most 1MiB)\nsize: 4KiB\n"));
    assert_non_null(strstr(printed.out.bytes, "# (string; secret)\n# token:\n"));
    assert_non_null(strstr(printed.out.bytes, "# (int; deprecated: use new)\n# old: 1\n"));
    assert_non_null(
        strstr(printed.out.bytes, "# tls:\n  # (path; required)\n  # key:\n  # (bool)\n  # strict:\n"));
    assert_non_null(strstr(printed.out.bytes, "log:\n  # (enum: low, high)\n  level: low\n"));
    assert_non_null(strstr(printed.out.bytes, "# (map of any; merged with its default)\nfree: {}\n"));
    assert_non_null(
        strstr(printed.out.bytes, "# (list of object)\n# - name: (string)\n# - port: (int)\n# hosts:\n"));
    assert_non_null(strstr(printed.out.bytes,
                           "# (map of object)\n# - at: (object)\n# - at.hour: From 0. (int)\n# doors:\n"));
    assert_null(strstr(printed.out.bytes, "hunter2"));
    again = begin(printed.out.bytes);
    assert_int_equal(again.diagnostics.count, 0);
    config_print_values(&first, config_values_root(printed.values), 0, &plain);
    config_print_values(&second, config_values_root(again.values), 0, &plain);
    assert_string_equal(first.bytes, second.bytes);
    config_text_finish(&first);
    config_text_finish(&second);
    end(&again);
    end(&printed);
}

static const char odd_section[] =
    "size: 1MB\nwait: 1.5s\nratio: 1e-7\nhosts: [{name: 'a: b'}, {port: 1}]\ntoken: '<secret>: #1'\n"
    "keys: [a, 'null']\ngreeting: \"\\tü#\\u2028\"\n"
    "names: ['- x', '#', 'null', '~', ' x', 'x ', '{', '0x1']\n";

static void a_printed_section_reads_back_the_same(void **state)
{
    struct printed printed = begin(odd_section);
    struct printed again;

    config_print_values(&printed.out, config_values_root(printed.values), 0, &all);
    assert_non_null(strstr(printed.out.bytes, "<secret>: #1"));
    again = begin(printed.out.bytes);
    assert_int_equal(again.diagnostics.count, 0);
    config_print_values(&again.out, config_values_root(again.values), 0, &all);
    assert_string_equal(printed.out.bytes, again.out.bytes);
    end(&again);
    end(&printed);
}

static void printed_json_reads_back_the_same(void **state)
{
    struct printed printed = begin(odd_section);
    struct printed again;

    print_json(&printed, &all);
    again = begin(printed.out.bytes);
    assert_int_equal(again.diagnostics.count, 0);
    print_json(&again, &all);
    assert_string_equal(printed.out.bytes, again.out.bytes);
    end(&again);
    end(&printed);
}

static void a_secret_that_is_left_out_is_not_set(void **state)
{
    struct printed printed = begin("token: s3cret\nkeys: [s3cret]\n");
    struct printed again;
    const struct berth_settings *settings;

    config_print_values(&printed.out, config_values_root(printed.values), 0, &plain);
    assert_null(strstr(printed.out.bytes, "s3cret"));
    again = begin(printed.out.bytes);
    settings = config_values_settings(again.values);
    assert_string_equal(settings->string(settings->find(settings->root, "token")), "hunter2");
    end(&again);
    end(&printed);
}

static void a_deprecated_setting_is_printed_where_it_was_set(void **state)
{
    struct printed printed = begin("old: 1\n");

    config_print_values(&printed.out, config_values_root(printed.values), 0, &plain);
    assert_non_null(strstr(printed.out.bytes, "\nold: 1\n"));
    end(&printed);
}

static void a_comment_cannot_end_its_line(void **state)
{
    struct config_text out = {0};

    config_print_comment(&out, "one\xc2\x85two\xe2\x80\xa8three\rfour\nfive", 2);
    assert_string_equal(out.bytes, "  # one two three four\n  # five\n");
    config_text_finish(&out);
}

static void a_long_comment_is_wrapped_at_words(void **state)
{
    struct config_text out = {0};
    char *line;

    for (int i = 0; i < 60; i++)
        config_text_add(&out, "word%d ", i);
    line = config_text_take(&out);
    config_print_comment(&out, line, 0);
    free(line);
    for (char *rest = out.bytes; (line = strsep(&rest, "\n")) != NULL;)
        assert_true(strlen(line) <= 100);
    config_text_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_print_as_people_write_them),
        cmocka_unit_test(what_is_read_as_written_loads_back_the_same),
        cmocka_unit_test(origins_stand_behind_each_value),
        cmocka_unit_test(each_setting_has_its_path_value_and_origin),
        cmocka_unit_test(a_long_setting_is_cut_between_characters_and_a_visitor_may_stop),
        cmocka_unit_test(json_has_no_secrets_either),
        cmocka_unit_test(defaults_have_their_docs_and_load_back),
        cmocka_unit_test(a_printed_section_reads_back_the_same),
        cmocka_unit_test(printed_json_reads_back_the_same),
        cmocka_unit_test(a_secret_that_is_left_out_is_not_set),
        cmocka_unit_test(a_deprecated_setting_is_printed_where_it_was_set),
        cmocka_unit_test(a_comment_cannot_end_its_line),
        cmocka_unit_test(a_long_comment_is_wrapped_at_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
