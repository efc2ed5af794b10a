/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration written for older plugins: versions, former names, and migrations by the plugins' own code.
 */

#include <stdlib.h>
#include <string.h>
#include <time.h>
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

/* Several modules, each from a text of its own. */
static struct scene set_scene_of(const char *const *manifests, size_t count, struct manifest *read[4],
                                 const char *text)
{
    struct scene scene = set_scene(manifests[0], text);

    read[0] = scene.manifest;
    catalog_finish(&scene.catalog);
    for (size_t i = 1; i < count; i++) {
        read[i] = manifest_parse("n.so", manifests[i], strlen(manifests[i]), &scene.diagnostics);
        assert_non_null(read[i]);
    }
    catalog_init(&scene.catalog, (const struct manifest *const *)read, count);
    return scene;
}

static void strike_all(struct scene *scene, struct manifest **read, size_t count)
{
    strike(scene);
    for (size_t i = 1; i < count; i++)
        manifest_destroy(read[i]);
}

/* As containerd divided its CRI plugin: old names in maps of names, a list where there was one value. */
static const char divided[] = HEAD
    "  - {type: io.example.grpc.v1, id: cri, config_version: 4, formerly: [cri], config: {\n"
    "      port: {type: int, default: 1}}}\n"
    "  - {type: io.example.cri.v1, id: images, config_version: 4, formerly: [io.example.grpc.v1.cri, cri],\n"
    "     renames: [{before: 3, from: sandbox_image, to: pinned.sandbox},\n"
    "               {before: 3, from: runtimes.*.snapshotter, to: platforms.*.snapshotter}], config: {\n"
    "      period: {type: int, default: 10},\n"
    "      pinned: {type: map, items: {type: string}},\n"
    "      platforms: {type: map, items: {type: object, fields: {snapshotter: {type: string}}}}}}\n"
    "  - {type: io.example.cri.v1, id: runtime, config_version: 4, formerly: [io.example.grpc.v1.cri, cri],\n"
    "     leaves: [period], callbacks: [migrate], migrates: listed,\n"
    "     renames: [{before: 4, from: cni.bin_dir, to: cni.bin_dirs, wrap: true}, {before: 3, from: "
    "untrusted},\n"
    "               {before: 3, from: runtimes.*.mode, to: runtimes.*.sandboxer}], config: {\n"
    "      period: {type: duration, default: 1s},\n"
    "      cni: {type: object, fields: {bin_dirs: {type: list, items: {type: string}}}},\n"
    "      runtimes: {type: map, items: {type: object, fields: {snapshotter: {type: string},\n"
    "                                                           sandboxer: {type: string}}}}}}\n";

static void settings_move_to_the_plugins_that_declare_them(void **state)
{
    expect_file(divided,
                "plugins:\n"
                "  io.example.grpc.v1.cri:\n"
                "    config_version: 2\n"
                "    port: 7\n"
                "    sandbox_image: pause\n"
                "    period: 5\n"
                "    cni: {bin_dir: /opt}\n"
                "    runtimes:\n"
                "      a.b: {snapshotter: native, mode: shim}\n"
                "      runc: {mode: pod, sandboxer: shim}\n",
                "plugins:\n"
                "  io.example.grpc.v1.cri:\n"
                "    config_version: 4\n"
                "    port: 7\n"
                "  io.example.cri.v1.images:\n"
                "    config_version: 4\n"
                "    period: 5\n"
                "    pinned:\n"
                "      sandbox: pause\n"
                "    platforms:\n"
                "      a.b:\n"
                "        snapshotter: native\n"
                "  io.example.cri.v1.runtime:\n"
                "    config_version: 4\n"
                "    runtimes:\n"
                "      a.b:\n"
                "        snapshotter: native\n"
                "        sandboxer: shim\n"
                "      runc:\n"
                "        sandboxer: shim\n"
                "    cni:\n"
                "      bin_dirs:\n"
                "        - /opt\n");
}

static void what_moved_is_reported_with_its_place_and_keeps_it(void **state)
{
    struct scene scene =
        set_scene(divided, "plugins:\n  cri: {config_version: 1, port: 7, sandbox_image: pause,\n"
                           "        runtimes: {kata: {mode: shim}}}\n");
    const struct config_print_options print = {.origins = true};
    char *text;

    assert_true(load(&scene));
    assert_true(
        says(&scene, CONFIG_WARNING,
             "io.example.cri.v1.images: its settings are in section \"cri\", a former name (sandbox_image at "
             "2:37)"));
    assert_true(says(
        &scene, CONFIG_WARNING,
        "io.example.cri.v1.runtime: its settings are in section \"cri\", a former name (runtimes at 3:9)"));
    assert_true(says(&scene, CONFIG_WARNING,
                     "sandbox_image was renamed to pinned.sandbox in version 3 of this section"));
    text = settings_print(scene.settings, &print);
    assert_non_null(strstr(text, ":2:52, was sandbox_image of cri\n"));
    assert_non_null(strstr(text, ":3:33, was runtimes.*.mode of cri\n"));
    assert_non_null(strstr(text, ":2:34, was port of cri\n"));
    free(text);
    strike(&scene);
}

static void what_the_newer_section_sets_wins_and_is_reported(void **state)
{
    static const char text[] =
        "plugins:\n"
        "  cri: {config_version: 1, sandbox_image: one, port: 1}\n"
        "  io.example.cri.v1.images: {pinned: {other: four}}\n"
        "  io.example.grpc.v1.cri: {config_version: 2, sandbox_image: two, cni: {bin_dir: /b}}\n"
        "  io.example.cri.v1.runtime: {config_version: 3, cni: {bin_dirs: [/a]}}\n";
    struct scene scene = migrate_file(divided, text);

    assert_true(scene.fine);
    assert_string_equal(scene.migrated, "plugins:\n"
                                        "  io.example.cri.v1.images:\n"
                                        "    pinned:\n"
                                        "      other: four\n"
                                        "      sandbox: two\n"
                                        "  io.example.grpc.v1.cri:\n"
                                        "    config_version: 4\n"
                                        "    port: 1\n"
                                        "  io.example.cri.v1.runtime:\n"
                                        "    config_version: 4\n"
                                        "    cni:\n"
                                        "      bin_dirs:\n"
                                        "        - /a\n");
    assert_true(says(&scene, CONFIG_WARNING,
                     "io.example.cri.v1.images: pinned.sandbox comes from section \"cri\", and is also "
                     "set at "));
    assert_true(
        says(&scene, CONFIG_WARNING,
             "io.example.cri.v1.runtime: cni.bin_dirs comes from section \"io.example.grpc.v1.cri\""));
    strike(&scene);
}

static void two_sections_that_say_no_version_and_differ_are_an_error(void **state)
{
    expect_refusal(divided,
                   "plugins: {io.example.grpc.v1.cri: {runtimes: {a: {sandboxer: x}}},\n"
                   "          io.example.cri.v1.runtime: {runtimes: {a: {sandboxer: y}}}}\n",
                   "runtimes.a.sandboxer comes from section \"io.example.grpc.v1.cri\", and is also set at ");
}

/* Of two modules the second lists the first's URI under formerly. */
static const char owner[] = "module: o\nversion: 1.0.0\nplugins:\n"
                            "  - {type: io.example.v1, id: owner, config: {port: {type: int, default: 1}}}\n";
static const char giver[] = "module: o\nversion: 1.0.0\nplugins:\n"
                            "  - {type: io.example.v1, id: owner, gives_to: [io.example.v1.taker],\n"
                            "     config: {port: {type: int, default: 1}}}\n";
static const char taker[] = "module: t\nversion: 1.0.0\nplugins:\n"
                            "  - {type: io.example.v1, id: taker, formerly: [io.example.v1.owner],\n"
                            "     config: {secret: {type: string}, port: {type: int}}}\n";

static void another_module_takes_only_what_the_owner_gives(void **state)
{
    static const char text[] = "plugins: {io.example.v1.owner: {port: 2, secret: x}}\n";
    const char *const without[] = {owner, taker}, *const with[] = {giver, taker};
    struct manifest *read[4];
    struct scene scene = set_scene_of(without, 2, read, text);

    assert_false(load(&scene));
    assert_true(says(&scene, CONFIG_WARNING,
                     "io.example.v1.owner: module t wants to take settings out of this section for "
                     "io.example.v1.taker, but io.example.v1.owner does not list it under gives_to"));
    assert_true(says(&scene, CONFIG_ERROR, "io.example.v1.owner: unknown setting \"secret\""));
    strike_all(&scene, read, 2);
    scene = set_scene_of(with, 2, read, text);
    assert_true(load(&scene));
    assert_int_equal(scene.diagnostics.error_count, 0);
    assert_non_null(settings_of_plugin(scene.settings, "io.example.v1.taker"));
    strike_all(&scene, read, 2);
}

static void a_claim_on_nothing_is_not_worth_a_word(void **state)
{
    const char *const both[] = {owner, taker};
    struct manifest *read[4];
    struct scene scene = set_scene_of(both, 2, read, "plugins: {io.example.v1.owner: {port: 2}}\n");

    assert_true(load(&scene));
    assert_int_equal(scene.diagnostics.count, 0);
    strike_all(&scene, read, 2);
}

/* Each had the other's name. */
static const char circle[] = HEAD "  - {type: io.example.v1, id: a, formerly: [io.example.v1.b],\n"
                                  "     config: {x: {type: int, default: 1}}}\n"
                                  "  - {type: io.example.v1, id: b, formerly: [io.example.v1.a],\n"
                                  "     config: {y: {type: int, default: 1}}}\n";

static void a_circle_of_names_moves_each_setting_once(void **state)
{
    expect_file(circle,
                "plugins: {io.example.v1.a: {y: 5, config_version: 1}, io.example.v1.b: {x: 6, "
                "config_version: 1}}\n",
                "plugins:\n"
                "  io.example.v1.a:\n"
                "    config_version: 1\n"
                "    x: 6\n"
                "  io.example.v1.b:\n"
                "    config_version: 1\n"
                "    \"y\": 5\n");
}

static enum berth_code call_divided(void *context, const struct manifest_plugin *plugin,
                                    const struct berth_migration *migration, struct berth_error *err)
{
    (*(size_t *)context)++;
    assert_int_equal(migration->move(migration, "untrusted", "runtimes.\"a.b\"", err), BERTH_OK);
    assert_int_equal(migration->move(migration, "untrusted", "runtimes.c", err), BERTH_NOT_FOUND);
    assert_int_equal(migration->move(migration, "runtimes", "runtimes.c", err), BERTH_INVALID_ARGUMENT);
    assert_int_equal(migration->move(migration, "runtimes.\"a.b\"", "cni.bin_dirs", err),
                     BERTH_ALREADY_EXISTS);
    assert_null(find(migration, "untrusted"));
    return migration->set(migration, "runtimes.\"c.d\".sandboxer", "shim", err);
}

static void code_runs_only_for_settings_that_are_listed(void **state)
{
    struct scene scene = set_scene(divided, "plugins: {io.example.cri.v1.runtime: {config_version: 2, "
                                            "runtimes: {a: {mode: shim}}}}\n");
    size_t calls = 0;
    struct settings_migration migration = {&scene.catalog, call_divided, &calls};

    assert_true(load(&scene));
    assert_false(settings_needs_migration(scene.settings, "io.example.cri.v1.runtime"));
    assert_non_null(settings_of_plugin(scene.settings, "io.example.cri.v1.runtime"));
    strike(&scene);
    scene = set_scene(divided, "plugins: {io.example.grpc.v1.cri: {config_version: 2, "
                               "untrusted: {sandboxer: x}, cni: {bin_dirs: [/a]}}}\n");
    migration.catalog = &scene.catalog;
    assert_true(
        settings_migrate_file(scene.path, &migration, &scene.migrated, &scene.changed, &scene.diagnostics));
    assert_int_equal(calls, 1);
    assert_true(says(&scene, CONFIG_WARNING, "untrusted is now runtimes.\"a.b\""));
    assert_true(says(&scene, CONFIG_WARNING, "runtimes.\"a.b\" is now cni.bin_dirs, which is also set"));
    assert_non_null(strstr(scene.migrated, "c.d:\n        sandboxer: shim\n"));
    strike(&scene);
}

static enum berth_code set_for_ever(void *context, const struct manifest_plugin *plugin,
                                    const struct berth_migration *migration, struct berth_error *err)
{
    const char *yaml = context;
    struct berth_error ignored;
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < 200000 && code == BERTH_OK; i++)
        code = yaml != NULL ? migration->set(migration, "on", yaml, &ignored)
               : migration->remove(migration, "on") == BERTH_RESOURCE_EXHAUSTED ? BERTH_RESOURCE_EXHAUSTED
                                                                                : BERTH_OK;
    assert_int_equal(code, BERTH_RESOURCE_EXHAUSTED);
    return BERTH_OK;
}

static void a_migration_without_end_is_refused_whatever_it_returns(void **state)
{
    static char list[10001];
    static char one[] = "x";
    char *const values[] = {one, list, NULL};

    list[0] = '[';
    for (size_t i = 1; i < 9999; i += 2)
        memcpy(list + i, "1,", 2);
    list[9999] = ']';
    for (size_t i = 0; i < 3; i++) {
        struct scene scene = set_scene(kettle, "plugins: {" KETTLE ": {config_version: 1, off: true}}\n");
        struct settings_migration migration = {&scene.catalog, set_for_ever, values[i]};

        assert_false(settings_migrate_file(scene.path, &migration, &scene.migrated, &scene.changed,
                                           &scene.diagnostics));
        assert_true(says(
            &scene, CONFIG_ERROR,
            "cannot migrate its section from version 1 to version 2: exceeded the limits of a migration: "));
        strike(&scene);
    }
}

static void renames_with_stars_stay_within_what_is_a_map(void **state)
{
    static const char *const wrong[] = {
        "{runtimes: [a]}",    "{runtimes: x}", "{cni: {bin_dir: {a: b}}}",
        "{runtimes: {a: x}}", "{pinned: 5}",   "{sandbox_image: [x], pinned: {sandbox: y}}"};
    char text[256];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct scene scene;

        snprintf(text, sizeof(text), "plugins: {io.example.grpc.v1.cri: %s}\n", wrong[i]);
        scene = set_scene(divided, text);
        assert_false(load(&scene));
        assert_true(scene.diagnostics.error_count > 0);
        strike(&scene);
    }
}

/* A file of a megabyte, most of it names that move. */
static char *write_large(size_t *ret_count)
{
    char *text = malloc(2 * 1024 * 1024);
    size_t length, count = 0;

    assert_non_null(text);
    length = (size_t)sprintf(text, "plugins:\n  io.example.grpc.v1.cri:\n    config_version: 2\n"
                                   "    sandbox_image: pause\n    runtimes:\n");
    while (length < 1024 * 1024)
        length += (size_t)sprintf(text + length, "      runtime%06zu: {snapshotter: native, mode: shim}\n",
                                  count++);
    *ret_count = count;
    return text;
}

static uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void a_megabyte_is_migrated_in_time(void **state)
{
    size_t count;
    char *text = write_large(&count);
    struct scene scene = set_scene(divided, text);
    const struct berth_settings *images;
    uint64_t start = now_ns(), loaded, checked;

    scene.settings = settings_load(&(struct settings_options){.path = scene.path}, &scene.diagnostics);
    assert_non_null(scene.settings);
    loaded = now_ns();
    assert_true(settings_check_plugins(scene.settings, &scene.catalog, false, &scene.diagnostics));
    checked = now_ns();
    print_message("%zu bytes: read in %.1f ms, migrated and checked in %.1f ms\n", strlen(text),
                  (double)(loaded - start) / 1e6, (double)(checked - loaded) / 1e6);
    images = settings_of_plugin(scene.settings, "io.example.cri.v1.images");
    assert_int_equal(images->count(images->find(images->root, "platforms")), count);
    /* 45 to 50 ms with gcc -O2, about a third of it for checking what was migrated. Quadratic work would take
     * many seconds; a sanitizer takes its share. */
    assert_true(checked - loaded < 2000000000);
    strike(&scene);
    free(text);
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
        cmocka_unit_test(settings_move_to_the_plugins_that_declare_them),
        cmocka_unit_test(what_moved_is_reported_with_its_place_and_keeps_it),
        cmocka_unit_test(what_the_newer_section_sets_wins_and_is_reported),
        cmocka_unit_test(two_sections_that_say_no_version_and_differ_are_an_error),
        cmocka_unit_test(another_module_takes_only_what_the_owner_gives),
        cmocka_unit_test(a_claim_on_nothing_is_not_worth_a_word),
        cmocka_unit_test(a_circle_of_names_moves_each_setting_once),
        cmocka_unit_test(code_runs_only_for_settings_that_are_listed),
        cmocka_unit_test(a_migration_without_end_is_refused_whatever_it_returns),
        cmocka_unit_test(renames_with_stars_stay_within_what_is_a_map),
        cmocka_unit_test(a_megabyte_is_migrated_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
