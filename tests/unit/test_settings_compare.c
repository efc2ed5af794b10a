/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between two configurations, and where. */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <core/settings/settings.h>
#include <core/settings/store.h>

#include "scratch.h"

#define URI "io.example.v1.a"

static const char module_text[] =
    "module: m\nversion: 1.0.0\nplugins:\n"
    "  - type: io.example.v1\n    id: a\n    config_version: 2\n    callbacks: [migrate]\n"
    "    renames: [{before: 2, from: old}, {before: 2, from: big, to: size}]\n    migrates: listed\n"
    "    config:\n"
    "      size: {type: bytes, default: 4KiB}\n"
    "      token: {type: string, secret: true}\n"
    "      ratio: {type: float, default: 0.5}\n"
    "      names: {type: list, items: {type: string}}\n"
    "      hosts: {type: map, items: {type: object, fields: {port: {type: int, default: 80}}}}\n"
    "      extra: {type: any}\n"
    "      limits: {type: object, fields: {burst: {type: int, default: 5}}}\n"
    "  - {type: io.example.v1, id: b}\n"
    "  - type: io.example.v1\n    id: c\n    callbacks: [reconfigure]\n"
    "    config:\n"
    "      cert: {type: path, format: file}\n"
    "      more: {type: list, items: {type: object, fields: {key: {type: path, format: file}}}}\n"
    "  - type: io.example.v1\n    id: d\n    config: {cert: {type: path, format: file}}\n";

static struct manifest *manifest;
static struct catalog catalog;

static struct settings *load(const char *name, const char *text)
{
    struct config_diagnostics diagnostics = {0};
    struct config_tree *tree = config_yaml_read(name, text, strlen(text), &config_limits_file, &diagnostics);
    struct settings *settings = settings_create(tree, &(struct settings_options){0}, &diagnostics);

    if (settings == NULL || !settings_check_plugins(settings, &catalog, false, &diagnostics))
        fail_msg("%s", diagnostics.items[0].message);
    config_diagnostics_finish(&diagnostics);
    return settings;
}

static void assert_explained(const struct settings_differences *found, const char *expected)
{
    char text[4096] = "";

    for (size_t i = 0; i < found->count; i++) {
        char *line = settings_difference_explain(&found->items[i]);
        size_t used = strlen(text);

        snprintf(text + used, sizeof(text) - used, "%s%s%s", used > 0 ? "; " : "", line,
                 found->items[i].needs_restart ? " (restart)" : "");
        free(line);
    }
    assert_string_equal(text, expected);
}

#define SECTION "plugins:\n  io.example.v1.a:\n"

static const struct {
    const char *before, *after, *expected;
} section_cases[] = {
    {"", "", ""},
    {"", SECTION "    size: 4096\n", ""},
    {SECTION "    size: 1KiB\n", "# moved\n" SECTION "    size: 1024\n", ""},
    {"", SECTION "    size: 1KiB\n", "size changed at new:3:11"},
    {SECTION "    size: 1KiB\n", "", "size was reset to its default (was set at old:3:11)"},
    {SECTION "    token: a\n", SECTION "    token: b\n", "token changed at new:3:12"},
    {SECTION "    ratio: 0.5\n", SECTION "    ratio: 0.25\n", "ratio changed at new:3:12"},
    {SECTION "    names: [a, b]\n", SECTION "    names: [a, c]\n", "names[1] changed at new:3:16"},
    {SECTION "    names: [a, b]\n", SECTION "    names: [a]\n", "names changed at new:3:12"},
    {SECTION "    limits: {burst: 5}\n", SECTION "    limits: {burst: 6}\n",
     "limits.burst changed at new:3:21"},
    {SECTION "    hosts: {a: {}, b.c: {port: 1}}\n", SECTION "    hosts: {b.c: {port: 2}, a: {}}\n",
     "hosts.\"b.c\".port changed at new:3:25"},
    {SECTION "    hosts: {a: {}, b: {}}\n", SECTION "    hosts: {a: {}, c: {}}\n",
     "hosts.c changed at new:3:23; hosts.b was reset to its default (was set at old:3:23)"},
    {SECTION "    extra: {a: [1, x]}\n", SECTION "    extra: {a: [1, 2]}\n",
     "extra.a[1] changed at new:3:20"},
    {SECTION "    old: 1\n", SECTION "    old: 1\n", ""},
    {SECTION "    old: 1\n", SECTION "    old: 2\n", "its section changed at new:2:3"},
    {SECTION "    old: 1\n", SECTION "    size: 1KiB\n", "its section changed at new:2:3"},
};

static void differences_of_a_section_are_told_with_their_place(void **state)
{
    for (size_t i = 0; i < sizeof(section_cases) / sizeof(section_cases[0]); i++) {
        struct settings *before = load("old", section_cases[i].before);
        struct settings *after = load("new", section_cases[i].after);
        struct settings_differences found;

        settings_compare_plugin(before, after, URI, &found);
        settings_destroy(before);
        settings_destroy(after);
        assert_explained(&found, section_cases[i].expected);
        settings_differences_finish(&found);
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Only plugins that take changes in place are told: others would restart. */
static void a_file_that_a_setting_names_differs_where_it_was_replaced(void **state)
{
    char folder[PATH_MAX], one[PATH_MAX + 8], other[PATH_MAX + 8], text[4 * PATH_MAX], expected[3 * PATH_MAX];
    struct settings *before, *after, *missing;
    struct settings_differences found;

    scratch_create(folder);
    snprintf(one, sizeof(one), "%s/a.pem", folder);
    snprintf(other, sizeof(other), "%s/b.pem", folder);
    snprintf(text, sizeof(text),
             "plugins: {io.example.v1.c: {cert: %s, more: [{}, {key: %s}]}, io.example.v1.d: {cert: %s}}\n",
             one, other, one);
    write_file(one, "1");
    before = load("old", text);
    write_file(other, "2");
    after = load("new", text);
    snprintf(expected, sizeof(expected), "more[1].key: %s changed", other);
    settings_compare_plugin(before, after, "io.example.v1.c", &found);
    assert_explained(&found, expected);
    settings_differences_finish(&found);
    settings_compare_plugin(after, after, "io.example.v1.c", &found);
    assert_explained(&found, "");
    settings_differences_finish(&found);

    assert_int_equal(unlink(one), 0);
    assert_int_equal(rename(other, one), 0);
    missing = load("missing", text);
    snprintf(expected, sizeof(expected), "cert: %s changed; more[1].key: %s changed", one, other);
    settings_compare_plugin(after, missing, "io.example.v1.c", &found);
    assert_explained(&found, expected);
    settings_differences_finish(&found);
    settings_compare_plugin(after, missing, "io.example.v1.d", &found);
    assert_explained(&found, "");
    settings_differences_finish(&found);
    settings_destroy(before);
    settings_destroy(after);
    settings_destroy(missing);
    scratch_remove(folder);
}

static void what_the_daemon_itself_can_change_is_told_from_what_needs_its_restart(void **state)
{
    struct settings *before = load("old", "root: /a\nlog: {level: info}\n");
    struct settings *after = load("new", "root: /b\nlog: {level: debug}\ntimeouts: {init: 3s}\n"
                                         "disabled_plugins: [io.example.v1.b]\n" SECTION "    size: 1KiB\n");
    struct settings_differences found;

    settings_compare_daemon(before, after, &found);
    assert_explained(&found, "root changed at new:1:7 (restart); disabled_plugins changed at new:4:19; "
                             "log.level changed at new:2:14; timeouts.init changed at new:3:18");
    settings_differences_finish(&found);
    settings_compare_daemon(after, after, &found);
    assert_int_equal(found.count, 0);
    settings_destroy(before);
    settings_destroy(after);
}

static void another_isolation_of_a_plugin_is_noticed(void **state)
{
    struct settings *none = load("none", ""), *some = load("some", "isolation: {" URI ": {memory: 64MiB}}\n");
    struct settings *other = load("other", "isolation: {" URI ": {memory: 32MiB}}\n");

    assert_false(settings_isolation_differs(none, none, URI));
    assert_false(settings_isolation_differs(some, some, URI));
    assert_true(settings_isolation_differs(none, some, URI));
    assert_true(settings_isolation_differs(some, none, URI));
    assert_true(settings_isolation_differs(some, other, URI));
    assert_false(settings_isolation_differs(some, other, "io.example.v1.b"));
    settings_destroy(none);
    settings_destroy(some);
    settings_destroy(other);
}

static void long_maps_are_compared_in_any_order_and_many_differences_counted(void **state)
{
    char forwards[4096] = SECTION "    hosts:\n", backwards[4096] = SECTION "    hosts:\n";
    struct settings *before, *after, *none = load("none", "");
    struct settings_differences found;

    for (int i = 0; i < 40; i++) {
        sprintf(forwards + strlen(forwards), "      h%d: {port: %d}\n", i, i);
        sprintf(backwards + strlen(backwards), "      h%d: {port: %d}\n", 39 - i, i == 7 ? 99 : 39 - i);
    }
    before = load("old", forwards);
    after = load("new", backwards);
    settings_compare_plugin(before, after, URI, &found);
    assert_explained(&found, "hosts.h32.port changed at new:11:19");
    settings_differences_finish(&found);
    settings_compare_plugin(none, after, URI, &found);
    assert_explained(&found, "hosts changed at new:4:7");
    settings_differences_finish(&found);
    settings_destroy(after);
    for (char *at = backwards; (at = strstr(at, "      h")) != NULL; at++)
        at[6] = 'g';
    after = load("new", backwards);
    settings_compare_plugin(before, after, URI, &found);
    assert_int_equal(found.count, SETTINGS_DIFFERENCES_MAX);
    assert_int_equal(found.dropped, 80 - SETTINGS_DIFFERENCES_MAX);
    settings_differences_finish(&found);
    settings_destroy(before);
    settings_destroy(after);
    settings_destroy(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_of_a_section_are_told_with_their_place),
        cmocka_unit_test(a_file_that_a_setting_names_differs_where_it_was_replaced),
        cmocka_unit_test(what_the_daemon_itself_can_change_is_told_from_what_needs_its_restart),
        cmocka_unit_test(another_isolation_of_a_plugin_is_noticed),
        cmocka_unit_test(long_maps_are_compared_in_any_order_and_many_differences_counted),
    };
    struct config_diagnostics diagnostics = {0};
    int failed;

    manifest = manifest_parse("m.so", module_text, strlen(module_text), &diagnostics);
    if (manifest == NULL)
        return 99;
    catalog_init(&catalog, (const struct manifest *const[]){manifest}, 1);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    catalog_finish(&catalog);
    manifest_destroy(manifest);
    config_diagnostics_finish(&diagnostics);
    return failed;
}
