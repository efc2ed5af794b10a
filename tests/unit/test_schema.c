/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas: what they say, and those that no configuration could satisfy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <config/schema/schema.h>

struct parsed {
    struct config_tree *tree;
    struct schema *schema;
    struct config_diagnostics diagnostics;
};

static struct parsed parse(const char *text)
{
    struct parsed parsed = {0};

    parsed.tree = config_yaml_read("m", text, strlen(text), &config_limits_manifest, &parsed.diagnostics);
    assert_non_null(parsed.tree);
    parsed.schema = schema_create(config_tree_root(parsed.tree), &parsed.diagnostics);
    return parsed;
}

static void finish(struct parsed *parsed)
{
    schema_destroy(parsed->schema);
    config_tree_destroy(parsed->tree);
    config_diagnostics_finish(&parsed->diagnostics);
}

static void assert_refused(const char *text, const char *expected)
{
    struct parsed parsed = parse(text);
    char *line;

    assert_null(parsed.schema);
    line = config_diagnostic_format(&parsed.diagnostics.items[0]);
    assert_string_equal(line, expected);
    assert_int_equal(parsed.diagnostics.error_count, 1);
    free(line);
    finish(&parsed);
}

static void every_member_is_read(void **state)
{
    struct parsed parsed =
        parse("greeting: {type: string, default: Hello, doc: A word., min: 1, max: 9, pattern: '[A-Z].*'}\n"
              "level: {type: enum, values: [a, b], default: b, deprecated: other}\n"
              "token: {type: string, required: true, secret: true}\n"
              "wait: {type: duration, min: 1s, max: 1m}\n"
              "ratio: {type: float, min: 0, max: 1}\n"
              "hosts: {type: list, items: {type: object, fields: {port: {type: int}}}}\n");
    const struct schema *schema = parsed.schema;

    assert_non_null(schema);
    assert_int_equal(schema->kind, SCHEMA_OBJECT);
    assert_int_equal(schema->field_count, 6);
    assert_string_equal(schema->fields[0]->name, "greeting");
    assert_string_equal(schema->fields[0]->doc, "A word.");
    assert_string_equal(schema->fields[0]->default_->text, "Hello");
    assert_int_equal(schema->fields[0]->min, 1);
    assert_non_null(schema->fields[0]->compiled_pattern);
    assert_int_equal(schema->fields[1]->choice_count, 2);
    assert_string_equal(schema->fields[1]->deprecated, "other");
    assert_true(schema->fields[2]->required && schema->fields[2]->secret);
    assert_int_equal(schema->fields[3]->max, 60000000000);
    assert_true(schema->fields[4]->has_max && schema->fields[4]->max_float == 1.0);
    assert_string_equal(schema->fields[5]->items->fields[0]->name, "port");
    assert_ptr_equal(schema_find_field(schema, "wait"), schema->fields[3]);
    assert_null(schema_find_field(schema, "wai"));
    assert_true(schema_requires_fields(schema));
    finish(&parsed);
}

static void nothing_is_an_object_without_fields(void **state)
{
    struct config_diagnostics diagnostics = {0};
    struct schema *schema = schema_create(NULL, &diagnostics);

    assert_int_equal(schema->field_count, 0);
    assert_null(schema_find_field(schema, "x"));
    schema_destroy(schema);
    schema_destroy(NULL);
}

static void a_secret_makes_all_in_it_secret(void **state)
{
    struct parsed parsed =
        parse("s: {type: object, secret: true, fields: {n: {type: list, items: {type: string}}}}\n");

    assert_true(parsed.schema->fields[0]->fields[0]->items->secret);
    finish(&parsed);
}

static void each_mistake_is_named_at_its_place(void **state)
{
    static const struct {
        const char *text, *line;
    } cases[] = {
        {"[a]", "m:1:1: fields must be a map of names to settings"},
        {"a: string", "m:1:4: a: expected a map such as {type: string, default: Hello}"},
        {"a: {doc: x}", "m:1:4: a: type is missing (such as type: string)"},
        {"a: {type: strng}",
         "m:1:11: a: \"strng\" is not a type (did you mean \"string\"?); use string, bool, "
         "int, float, duration, bytes, path, enum, list, map, object or any"},
        {"A: {type: int}",
         "m:1:1: \"A\" is not a valid name of a setting (use a-z, 0-9 and _; at most 64, no digit first)"},
        {"a: {type: int, defualt: 1}",
         "m:1:16: a: a setting has no key \"defualt\" (did you mean \"default\"?)"},
        {"a: {type: int, default: x}", "m:1:25: a: default: \"x\" is not an integer (use digits, unquoted)"},
        {"a: {type: int, default: 7, max: 5}", "m:1:25: a: default: \"7\" is too large: at most 5"},
        {"a: {type: int, default: [1]}", "m:1:25: a: default: expected int, found a list"},
        {"a: {type: int, default: }", "m:1:25: a: the default is empty; use \"\" for an empty text"},
        {"a: {type: list, items: {type: int}, default: [x]}",
         "m:1:47: a: default: [0]: \"x\" is not an integer (use digits, unquoted)"},
        {"a: {type: int, default: 1, required: true}", "m:1:16: a: a required setting has no default"},
        {"a: {type: path, default: x}", "m:1:26: a: the default of a path must be absolute"},
        {"a: {type: object, default: {}}", "m:1:19: a: an object has no default; give its fields defaults"},
        {"a: {type: int, min: 5, max: 4}", "m:1:4: a: min is larger than max"},
        {"a: {type: bool, min: 5}", "m:1:17: a: min does not apply to type bool"},
        {"a: {type: any, max: 5}", "m:1:16: a: max does not apply to type any"},
        {"a: {type: list, items: {type: int}, default: [1], merge: true}",
         "m:1:51: a: merge does not apply to type list"},
        {"a: {type: map, items: {type: int}, merge: true}", "m:1:36: a: merge needs a default"},
        {"a: {type: map, items: {type: int}, default: {x: 1}, merge: 1}",
         "m:1:60: a: merge: \"1\" is not a boolean (use true or false, unquoted)"},
        {"a: {type: duration, max: 5}",
         "m:1:26: a: max: \"5\" is not a duration (use a form such as 10s, 1m30s or 250ms)"},
        {"a: {type: int, pattern: x}", "m:1:16: a: pattern does not apply to type int"},
        {"a: {type: string, format: adress}",
         "m:1:27: a: type string has no format \"adress\" (did you mean \"address\"?)"},
        {"a: {type: string, format: file}", "m:1:27: a: type string has no format \"file\""},
        {"a: {type: path, format: address}", "m:1:25: a: type path has no format \"address\""},
        {"a: {type: int, format: file}", "m:1:24: a: type int has no format \"file\""},
        {"a: {type: string, format: host_port, default: here}",
         "m:1:47: a: default: \"here\" has no port (try here:50051)"},
        {"a: {type: string, pattern: 'a)'}", "m:1:28: a: \"a)\" is not a valid pattern: unmatched )"},
        {"a: {type: string, pattern: '(a'}", "m:1:28: a: \"(a\" is not a valid pattern: unmatched ("},
        {"a: {type: string, pattern: '[a'}",
         "m:1:28: a: \"[a\" is not a valid pattern: Unmatched [, [^, [:, [., or [="},
        {"a: {type: string, values: [x]}", "m:1:19: a: values does not apply to type string"},
        {"a: {type: enum}", "m:1:4: a: an enum needs values: […]"},
        {"a: {type: enum, values: []}", "m:1:25: a: an enum has 1 to 256 values"},
        {"a: {type: enum, values: [x, x]}", "m:1:29: a: \"x\" is listed twice in values"},
        {"a: {type: list}", "m:1:4: a: a list needs items: {type: …}"},
        {"a: {type: int, items: {type: int}}", "m:1:16: a: items does not apply to type int"},
        {"a: {type: list, items: {type: int, default: 1}}",
         "m:1:24: a: an item cannot be required or deprecated, or have a default"},
        {"a: {type: int, fields: {}}", "m:1:16: a: fields does not apply to type int"},
        {"a: {type: int, required: 1}",
         "m:1:26: a: required: \"1\" is not a boolean (use true or false, unquoted)"},
        {"a: {type: int, doc: [x]}", "m:1:21: a: doc must be a string"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].text, cases[i].line);
}

static void all_mistakes_are_said_at_once(void **state)
{
    struct parsed parsed = parse("a: {type: int, default: x, min: y}\nb: {type: z}\nc: {tpye: int}\n");

    assert_null(parsed.schema);
    assert_int_equal(parsed.diagnostics.error_count, 3);
    finish(&parsed);
}

/* regcomp writes repetitions out: each of these would take gigabytes, or for ever. */
static void a_pattern_that_costs_too_much_is_refused_before_it_is_compiled(void **state)
{
    static const char *const patterns[] = {
        "((((a{255}){255}){255}){255}){255}",
        "(((((((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+",
        "a{9999}",
        "((((((((((((((((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))))))))))))))))",
        "(a*)*\\1\\1",
        "a{100}{100}",
    };

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        char text[256];
        struct parsed parsed;

        snprintf(text, sizeof(text), "a: {type: string, pattern: '%s'}", patterns[i]);
        parsed = parse(text);
        assert_null(parsed.schema);
        assert_non_null(strstr(parsed.diagnostics.items[0].message, "is not a valid pattern"));
        finish(&parsed);
    }
}

static void ordinary_patterns_are_taken(void **state)
{
    static const char *const patterns[] = {
        "[a-z]+(-[a-z0-9]+)*", "[^]x[:digit:]]{1,64}", "([0-9]{1,3}\\.){3}[0-9]{1,3}(:[0-9]+)?",
        "(unix|tcp)://.+",     "x|y|(a|b)?\\(\\)",
    };

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        char text[256];
        struct parsed parsed;

        snprintf(text, sizeof(text), "a: {type: string, pattern: '%s'}", patterns[i]);
        parsed = parse(text);
        assert_non_null(parsed.schema);
        finish(&parsed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_is_read),
        cmocka_unit_test(nothing_is_an_object_without_fields),
        cmocka_unit_test(a_secret_makes_all_in_it_secret),
        cmocka_unit_test(each_mistake_is_named_at_its_place),
        cmocka_unit_test(all_mistakes_are_said_at_once),
        cmocka_unit_test(a_pattern_that_costs_too_much_is_refused_before_it_is_compiled),
        cmocka_unit_test(ordinary_patterns_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
