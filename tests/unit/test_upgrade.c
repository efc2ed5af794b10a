/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration written for older plugins: versions, former names, and migrations by the plugins' own code.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <core/manifest/manifest.h>
#include <core/settings/settings.h>

#define HEAD "module: m\nversion: 1.0.0\nplugins:\n"
#define KETTLE "io.example.v1.kettle"

/* Version 1 had `off` and a time in seconds; version 2 has `on` and a duration. */
static const char kettle[] = HEAD "  - type: io.example.v1\n    id: kettle\n    config_version: 2\n"
                                  "    callbacks: [migrate]\n"
                                  "    renames: [{before: 2, from: off}, {before: 2, from: seconds}]\n"
                                  "    config:\n"
                                  "      'on': {type: bool, default: true}\n"
                                  "      timeout: {type: duration, default: 10s}\n"
                                  "      size: {type: bytes, default: 1KiB}\n"
                                  "      heat: {type: float, default: 1.0}\n";

struct scene {
    char path[64];
    struct manifest *manifest;
    struct catalog catalog;
    struct config_diagnostics diagnostics;
    struct settings *settings;
    char *migrated;
    size_t changed;
    bool fine;
};

static struct scene set_scene(const char *manifest, const char *text)
{
    struct scene scene = {.path = "/tmp/berth-upgrade-XXXXXX"};
    int fd = mkstemp(scene.path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    scene.manifest = manifest_parse("m.so", manifest, strlen(manifest), &scene.diagnostics);
    for (size_t i = 0; i < scene.diagnostics.count; i++)
        print_message("%s\n", scene.diagnostics.items[i].message);
    assert_non_null(scene.manifest);
    catalog_init(&scene.catalog, (const struct manifest *const *)&scene.manifest, 1);
    return scene;
}

static void strike(struct scene *scene)
{
    settings_destroy(scene->settings);
    catalog_finish(&scene->catalog);
    manifest_destroy(scene->manifest);
    config_diagnostics_finish(&scene->diagnostics);
    free(scene->migrated);
    unlink(scene->path);
}

static bool says(const struct scene *scene, enum config_severity severity, const char *expected)
{
    for (size_t i = 0; i < scene->diagnostics.count; i++)
        if (scene->diagnostics.items[i].severity == severity &&
            strstr(scene->diagnostics.items[i].message, expected) != NULL)
            return true;
    for (size_t i = 0; i < scene->diagnostics.count; i++)
        print_message("said: %s\n", scene->diagnostics.items[i].message);
    return false;
}

static const struct berth_value *find(const struct berth_migration *migration, const char *key)
{
    return migration->settings->find(migration->settings->root, key);
}

static enum berth_code migrate_kettle(const struct berth_migration *migration, struct berth_error *err)
{
    const struct berth_settings *settings = migration->settings;
    enum berth_code code = BERTH_OK;
    char yaml[64];

    if (migration->from_version != 1)
        return berth_error_set(err, BERTH_INTERNAL, "version %u", migration->from_version);
    if (find(migration, "off") != NULL) {
        code = migration->set(migration, "on", settings->boolean(find(migration, "off")) ? "false" : "true",
                              err);
        migration->remove(migration, "off");
    }
    if (code == BERTH_OK && find(migration, "seconds") != NULL) {
        snprintf(yaml, sizeof(yaml), "%llds", (long long)settings->integer(find(migration, "seconds")));
        code = migration->set(migration, "timeout", yaml, err);
        migration->remove(migration, "seconds");
    }
    return code;
}

static enum berth_code call_kettle(void *context, const struct manifest_plugin *plugin,
                                   const struct berth_migration *migration, struct berth_error *err)
{
    return migrate_kettle(migration, err);
}

static struct scene migrate_file(const char *manifest, const char *text)
{
    struct scene scene = set_scene(manifest, text);
    struct settings_migration migration = {&scene.catalog, call_kettle, NULL};

    scene.fine =
        settings_migrate_file(scene.path, &migration, &scene.migrated, &scene.changed, &scene.diagnostics);
    return scene;
}

static void expect_file(const char *manifest, const char *text, const char *expected)
{
    struct scene scene = migrate_file(manifest, text);

    if (!scene.fine)
        says(&scene, CONFIG_ERROR, "(none)");
    assert_true(scene.fine);
    assert_string_equal(scene.migrated, expected);
    strike(&scene);
}

static void expect_refusal(const char *manifest, const char *text, const char *said)
{
    struct scene scene = migrate_file(manifest, text);

    assert_false(scene.fine);
    assert_true(says(&scene, CONFIG_ERROR, said));
    strike(&scene);
}

static void a_migration_reads_what_the_file_says(void **state)
{
    expect_file(kettle, "plugins: {" KETTLE ": {config_version: 1, off: true, seconds: 30}}\n",
                "plugins:\n  " KETTLE ":\n    config_version: 2\n    \"on\": false\n    timeout: 30s\n");
    expect_file(kettle, "plugins: {" KETTLE ": {config_version: 1, off: false, seconds: 0x10}}\n",
                "plugins:\n  " KETTLE ":\n    config_version: 2\n    \"on\": true\n    timeout: 16s\n");
}

static void a_migration_never_writes_what_the_file_does_not_say(void **state)
{
    expect_refusal(kettle, "plugins: {" KETTLE ": {config_version: 1, off: yes}}\n", "off: \"yes\" is");
    expect_refusal(kettle, "plugins: {" KETTLE ": {config_version: 1, off: 'true'}}\n", "off: \"true\" is");
    expect_refusal(kettle, "plugins: {" KETTLE ": {config_version: 1, seconds: soon}}\n",
                   "seconds: \"soon\" is");
    expect_refusal(kettle, "plugins: {" KETTLE ": {config_version: 1, seconds: [1]}}\n",
                   "seconds: expected an integer, found a list");
}

static enum berth_code read_kinds(void *context, const struct manifest_plugin *plugin,
                                  const struct berth_migration *migration, struct berth_error *err)
{
    const struct berth_settings *settings = migration->settings;

    assert_int_equal(settings->integer(find(migration, "timeout")), 90000000000);
    assert_int_equal(settings->integer(find(migration, "size")), 65536);
    assert_true(settings->number(find(migration, "heat")) > 0.49);
    assert_int_equal(settings->kind(find(migration, "heat")), BERTH_VALUE_STRING);
    assert_string_equal(settings->string(find(migration, "heat")), "0.5");
    assert_false(settings->boolean(find(migration, "none")));
    assert_int_equal(settings->integer(NULL), 0);
    return BERTH_OK;
}

static void durations_sizes_and_fractions_are_read_too(void **state)
{
    struct scene scene = set_scene(
        kettle, "plugins: {" KETTLE ": {config_version: 1, timeout: 1m30s, size: 64KiB, heat: 0.5}}\n");
    struct settings_migration migration = {&scene.catalog, read_kinds, NULL};

    assert_true(
        settings_migrate_file(scene.path, &migration, &scene.migrated, &scene.changed, &scene.diagnostics));
    strike(&scene);
}

static bool load(struct scene *scene)
{
    struct settings_options options = {.path = scene->path};

    scene->settings = settings_load(&options, &scene->diagnostics);
    assert_non_null(scene->settings);
    return settings_check_plugins(scene->settings, &scene->catalog, false, &scene->diagnostics);
}

static enum berth_code start(struct scene *scene)
{
    return settings_migrate_plugin(scene->settings, &scene->manifest->plugins[0], migrate_kettle,
                                   &scene->diagnostics);
}

static void a_section_without_a_version_that_fits_is_of_the_current_one(void **state)
{
    struct scene scene = set_scene(kettle, "plugins: {" KETTLE ": {timeout: 30s}}\n");

    assert_true(load(&scene));
    assert_false(settings_needs_migration(scene.settings, KETTLE));
    assert_int_equal(scene.diagnostics.count, 0);
    strike(&scene);
}

static void a_section_without_a_version_that_fits_an_older_one_is_migrated(void **state)
{
    struct scene scene = set_scene(kettle, "plugins: {" KETTLE ": {off: true, size: 2KiB}}\n");
    const struct berth_settings *section;

    assert_true(load(&scene));
    assert_true(settings_needs_migration(scene.settings, KETTLE));
    assert_int_equal(scene.diagnostics.count, 1);
    assert_true(says(&scene, CONFIG_WARNING, "the section fits version 1 but not the current version 2"));
    assert_int_equal(start(&scene), BERTH_OK);
    section = settings_of_plugin(scene.settings, KETTLE);
    assert_false(section->boolean(section->find(section->root, "on")));
    assert_int_equal(section->integer(section->find(section->root, "size")), 2048);
    strike(&scene);
    expect_file(kettle, "plugins: {" KETTLE ": {seconds: 5}}\n",
                "plugins:\n  " KETTLE ":\n    config_version: 2\n    timeout: 5s\n");
}

static void a_section_that_fits_no_version_is_refused_with_a_word_of_config_version(void **state)
{
    struct scene scene = set_scene(kettle, "plugins: {" KETTLE ": {of: true}}\n");

    assert_false(load(&scene));
    assert_int_equal(scene.diagnostics.error_count, 1);
    assert_true(says(&scene, CONFIG_ERROR, "unknown setting \"of\""));
    assert_true(says(&scene, CONFIG_WARNING, "add config_version: 1"));
    strike(&scene);
}

/* Version 1's `greeting` is today's `opening`; today's `greeting` is something else. */
static const char renamed[] = HEAD "  - type: io.example.v1\n    id: kettle\n    config_version: 2\n"
                                   "    renames: [{before: 2, from: greeting, to: opening}]\n    config:\n"
                                   "      opening: {type: string, default: Hello}\n"
                                   "      greeting: {type: int, default: 3}\n";

static void declared_renames_alone_tell_the_version(void **state)
{
    struct scene scene = set_scene(renamed, "plugins: {" KETTLE ": {greeting: Hi}}\n");
    const struct berth_settings *section;

    assert_true(load(&scene));
    assert_true(says(&scene, CONFIG_WARNING, "the section fits version 1 but not the current version 2"));
    section = settings_of_plugin(scene.settings, KETTLE);
    assert_string_equal(section->string(section->find(section->root, "opening")), "Hi");
    assert_int_equal(section->integer(section->find(section->root, "greeting")), 3);
    strike(&scene);
    scene = set_scene(renamed, "plugins: {" KETTLE ": {greeting: 5}}\n");
    assert_true(load(&scene));
    section = settings_of_plugin(scene.settings, KETTLE);
    assert_int_equal(section->integer(section->find(section->root, "greeting")), 5);
    strike(&scene);
    scene = set_scene(renamed, "plugins: {" KETTLE ": {greting: Hi}}\n");
    assert_false(load(&scene));
    assert_true(says(&scene, CONFIG_WARNING, "add config_version: 1"));
    strike(&scene);
}

static const char one_former[] =
    HEAD "  - type: io.example.v1\n    id: kettle\n    formerly: [cri, io.old.v1.pot]\n"
         "    config:\n      size: {type: int, default: 1}\n";

static void a_section_is_found_under_a_former_name(void **state)
{
    static const char *const names[] = {"cri", "io.old.v1.pot"};

    for (size_t i = 0; i < 2; i++) {
        char text[128], said[128];
        const struct berth_settings *section;
        struct scene scene;

        snprintf(text, sizeof(text), "plugins: {%s: {size: 7}}\n", names[i]);
        snprintf(said, sizeof(said), "its settings are in section \"%s\", a former name", names[i]);
        scene = set_scene(one_former, text);
        assert_true(load(&scene));
        assert_int_equal(scene.diagnostics.count, 1);
        assert_true(says(&scene, CONFIG_WARNING, said));
        assert_non_null(scene.diagnostics.items[0].deprecated);
        section = settings_of_plugin(scene.settings, KETTLE);
        assert_int_equal(section->integer(section->find(section->root, "size")), 7);
        strike(&scene);
        expect_file(one_former, text, "plugins:\n  " KETTLE ":\n    size: 7\n");
    }
}

static void the_former_and_the_present_name_together_are_an_error(void **state)
{
    struct scene scene = set_scene(one_former, "plugins: {cri: {size: 7}, " KETTLE ": {size: 8}}\n");

    assert_false(load(&scene));
    assert_true(
        says(&scene, CONFIG_ERROR, "\"cri\" is a former name of " KETTLE ", which also has a section"));
    strike(&scene);
}

static void a_former_name_among_the_disabled_names_the_present_one(void **state)
{
    static const char *const names[] = {"cri", "kettle"};

    for (size_t i = 0; i < 2; i++) {
        char text[64];
        struct scene scene;

        snprintf(text, sizeof(text), "disabled_plugins: [%s]\n", names[i]);
        scene = set_scene(one_former, text);
        assert_false(load(&scene));
        assert_true(says(&scene, CONFIG_ERROR, "(did you mean \"" KETTLE "\"?)"));
        strike(&scene);
    }
}

/* What was one plugin, io.example.grpc.v1.cri, is that one, images and runtime. */
static const char three[] = HEAD
    "  - {type: io.example.grpc.v1, id: cri, config_version: 2, config: {\n"
    "      port: {type: int, default: 1}, shared: {type: int, default: 1}}}\n"
    "  - {type: io.example.cri.v1, id: images, config_version: 2, formerly: [cri, io.example.grpc.v1.cri],\n"
    "     renames: [{before: 2, from: containerd.snapshotter, to: snapshotter}], config: {\n"
    "      snapshotter: {type: string, default: overlayfs}, mirrors: {type: map, items: {type: string}},\n"
    "      shared: {type: int, default: 1}}}\n"
    "  - {type: io.example.cri.v1, id: runtime, config_version: 2, formerly: [cri, io.example.grpc.v1.cri],\n"
    "     config: {containerd: {type: object, fields: {runtimes: {type: map, items: {type: string}}}}}}\n";

static void a_section_is_split_among_those_that_had_its_name(void **state)
{
    expect_file(three,
                "plugins:\n"
                "  io.example.grpc.v1.cri:\n"
                "    port: 7\n"
                "    shared: 2\n"
                "    mirrors: {a: b}\n"
                "    containerd:\n"
                "      snapshotter: native\n"
                "      runtimes: {runc: x}\n",
                "plugins:\n"
                "  io.example.grpc.v1.cri:\n"
                "    port: 7\n"
                "    shared: 2\n"
                "  io.example.cri.v1.images:\n"
                "    shared: 2\n"
                "    mirrors:\n"
                "      a: b\n"
                "    snapshotter: native\n"
                "  io.example.cri.v1.runtime:\n"
                "    containerd:\n"
                "      runtimes:\n"
                "        runc: x\n");
    expect_file(three, "plugins: {cri: {containerd: {snapshotter: native}, mirrors: {}}}\n",
                "plugins:\n"
                "  io.example.cri.v1.images:\n"
                "    mirrors: {}\n"
                "    snapshotter: native\n");
}

static void a_section_of_today_is_not_split(void **state)
{
    static const char text[] = "plugins: {io.example.grpc.v1.cri: {port: 7, shared: 2}}\n";

    expect_file(three, text, text);
}

static void what_nobody_declares_is_one_error(void **state)
{
    struct scene scene = set_scene(three, "plugins: {io.example.grpc.v1.cri: {mirrors: {a: b}, prot: 1}}\n");

    assert_false(load(&scene));
    assert_int_equal(scene.diagnostics.error_count, 1);
    assert_true(says(&scene, CONFIG_ERROR, "io.example.grpc.v1.cri: unknown setting \"prot\""));
    strike(&scene);
}

/* Two plugins get a section from a former name; both are also migrated to version 2. */
static void a_section_that_is_moved_and_migrated_counts_once(void **state)
{
    struct scene scene = migrate_file(three, "plugins: {cri: {config_version: 1, mirrors: {a: b}, "
                                             "containerd: {snapshotter: native, runtimes: {runc: x}}}}\n");

    assert_true(scene.fine);
    assert_int_equal(scene.changed, 2);
    strike(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_migration_reads_what_the_file_says),
        cmocka_unit_test(a_migration_never_writes_what_the_file_does_not_say),
        cmocka_unit_test(durations_sizes_and_fractions_are_read_too),
        cmocka_unit_test(a_section_without_a_version_that_fits_is_of_the_current_one),
        cmocka_unit_test(a_section_without_a_version_that_fits_an_older_one_is_migrated),
        cmocka_unit_test(a_section_that_fits_no_version_is_refused_with_a_word_of_config_version),
        cmocka_unit_test(declared_renames_alone_tell_the_version),
        cmocka_unit_test(a_section_is_found_under_a_former_name),
        cmocka_unit_test(the_former_and_the_present_name_together_are_an_error),
        cmocka_unit_test(a_former_name_among_the_disabled_names_the_present_one),
        cmocka_unit_test(a_section_is_split_among_those_that_had_its_name),
        cmocka_unit_test(a_section_of_today_is_not_split),
        cmocka_unit_test(what_nobody_declares_is_one_error),
        cmocka_unit_test(a_section_that_is_moved_and_migrated_counts_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
