/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's configuration: defaults, files, sections of plugins, migrations and printed forms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <core/report.h>
#include <core/settings/settings.h>
#include <core/settings/store.h>

static const char greeter_text[] = "module: greeter\n"
                                   "version: 1.2.0\n"
                                   "plugins:\n"
                                   "  - type: io.containerd.grpc.v1\n"
                                   "    id: greeter\n"
                                   "    description: Says hello.\n"
                                   "    services:\n"
                                   "      helloworld.Greeter: {SayHello: unary}\n"
                                   "    config_version: 3\n"
                                   "    renames:\n"
                                   "      - {before: 3, from: text.opening, to: greeting}\n"
                                   "      - {before: 2, from: hello, to: text.opening}\n"
                                   "    config:\n"
                                   "      greeting: {type: string, default: Hello, doc: Opens each reply.}\n"
                                   "      max_name: {type: bytes, default: 4KiB, max: 1MiB}\n"
                                   "      token: {type: string, secret: true, default: hunter2}\n";

static const char store_text[] = "module: store\n"
                                 "version: 2.0.0\n"
                                 "plugins:\n"
                                 "  - type: io.berth.store.v1\n"
                                 "    id: lmdb\n"
                                 "    config_version: 2\n"
                                 "    callbacks: [migrate]\n"
                                 "    config:\n"
                                 "      map_size: {type: bytes, default: 64MiB}\n"
                                 "      limits: {type: object, fields: {burst: {type: int, default: 5}}}\n"
                                 "  - type: io.berth.store.v1\n"
                                 "    id: needy\n"
                                 "    config:\n"
                                 "      address: {type: string, required: true}\n";

/* One configuration file with the two modules above. */
struct scene {
    char folder[64];
    char path[128];
    struct manifest *manifests[2];
    struct catalog catalog;
    struct settings *settings;
    struct config_diagnostics diagnostics;
};

static void write_file(const struct scene *scene, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", scene->folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct scene set_scene(const char *text)
{
    struct scene scene = {.folder = "/tmp/berth-settings-XXXXXX"};

    assert_non_null(mkdtemp(scene.folder));
    snprintf(scene.path, sizeof(scene.path), "%s/berthd.yaml", scene.folder);
    if (text != NULL)
        write_file(&scene, "berthd.yaml", text);
    scene.manifests[0] = manifest_parse("greeter.so", greeter_text, strlen(greeter_text), &scene.diagnostics);
    scene.manifests[1] = manifest_parse("store.so", store_text, strlen(store_text), &scene.diagnostics);
    assert_non_null(scene.manifests[0]);
    assert_non_null(scene.manifests[1]);
    catalog_init(&scene.catalog, (const struct manifest *const *)scene.manifests, 2);
    return scene;
}

static bool load(struct scene *scene, bool lenient)
{
    struct settings_options options = {.path = scene->path, .lenient = lenient};

    scene->settings = settings_load(&options, &scene->diagnostics);
    return scene->settings != NULL;
}

static bool check(struct scene *scene)
{
    return settings_check_plugins(scene->settings, &scene->catalog, false, &scene->diagnostics);
}

static void strike(struct scene *scene)
{
    static const char *const names[] = {"berthd.yaml", "10-a.yaml"};

    settings_destroy(scene->settings);
    catalog_finish(&scene->catalog);
    manifest_destroy(scene->manifests[0]);
    manifest_destroy(scene->manifests[1]);
    config_diagnostics_finish(&scene->diagnostics);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[256];

        snprintf(path, sizeof(path), "%s/%s", scene->folder, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(scene->folder), 0);
}

/* Is there a diagnostic of this severity whose line, without the folder, is this? Prints them all if not. */
static bool says(const struct scene *scene, enum config_severity severity, const char *expected)
{
    size_t folder = strlen(scene->folder);

    for (size_t i = 0; i < scene->diagnostics.count; i++) {
        char *line = config_diagnostic_format(&scene->diagnostics.items[i]);
        const char *shown = strncmp(line, scene->folder, folder) == 0 ? line + folder + 1 : line;
        bool is_it = strcmp(shown, expected) == 0 && scene->diagnostics.items[i].severity == severity;

        free(line);
        if (is_it)
            return true;
    }
    for (size_t i = 0; i < scene->diagnostics.count; i++)
        print_message("said: %s\n", scene->diagnostics.items[i].message);
    return false;
}

static const char *string_of(const struct scene *scene, const char *uri, const char *key)
{
    const struct berth_settings *settings = settings_of_plugin(scene->settings, uri);

    assert_non_null(settings);
    return settings->string(settings->find(settings->root, key));
}

static void without_a_file_there_are_defaults(void **state)
{
    struct config_diagnostics diagnostics = {0};
    struct settings *settings;

    setenv("XDG_CONFIG_HOME", "/nonexistent/config", 1);
    settings = settings_load(&(struct settings_options){0}, &diagnostics);
    assert_non_null(settings);
    assert_int_equal(settings->version, 1);
    assert_int_equal(settings->prepare_threads, 4);
    assert_int_equal(settings->timeouts.prepare_ns, 30000000000);
    assert_int_equal(settings->timeouts.close_ns, 5000000000);
    assert_int_equal(settings->loop.warn_after_ns, 200000000);
    assert_int_equal(settings->loop.stall_after_ns, 2000000000);
    assert_int_equal(settings->loop.abort_after_ns, 0);
    assert_int_equal(settings->log_level, BERTH_LOG_INFO);
    assert_true(settings->plugin_dir_count >= 1);
    if (geteuid() == 0) {
        assert_string_equal(settings->root, "/var/lib/berth");
        assert_string_equal(settings->state, "/run/berth");
    }
    settings_destroy(settings);
    config_diagnostics_finish(&diagnostics);
}

/* In a process of its own, which nobody's variables and no rights of root follow. */
static int look_as_a_user(void)
{
    struct config_diagnostics diagnostics = {0};
    struct settings *settings;
    char *path;
    bool is_right;

    if (geteuid() == 0 && setuid(65534) != 0)
        return 2;
    setenv("XDG_CONFIG_HOME", "/nonexistent/config", 1);
    setenv("XDG_DATA_HOME", "relative/paths/count/for/nothing", 1);
    setenv("XDG_RUNTIME_DIR", "/nonexistent/run", 1);
    setenv("HOME", "/nonexistent/home", 1);
    path = settings_default_path();
    settings = settings_load(&(struct settings_options){0}, &diagnostics);
    is_right = settings != NULL && strcmp(path, "/nonexistent/config/berth/berthd.yaml") == 0 &&
               strcmp(settings->root, "/nonexistent/home/.local/share/berth") == 0 &&
               strcmp(settings->state, "/nonexistent/run/berth") == 0;
    settings_destroy(settings);
    config_diagnostics_finish(&diagnostics);
    free(path);
    return is_right ? 0 : 1;
}

static void a_user_has_folders_of_his_own(void **state)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0)
        _exit(look_as_a_user());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_named_file_has_to_be_there(void **state)
{
    struct scene scene = set_scene(NULL);

    assert_false(load(&scene, false));
    assert_true(says(&scene, CONFIG_ERROR, "berthd.yaml: cannot be opened: No such file or directory"));
    strike(&scene);
}

static void a_file_sets_what_the_daemon_does(void **state)
{
    struct scene scene = set_scene("root: data\nstate: /run/x\nplugin_dirs: [modules, /opt/modules]\n"
                                   "required_plugins: [io.berth.store.v1.lmdb]\n"
                                   "disabled_plugins: [io.containerd.grpc.v1.greeter]\n"
                                   "services: {helloworld.Greeter: io.containerd.grpc.v1.greeter}\n"
                                   "log: {level: debug, format: json}\n"
                                   "timeouts: {init: 3s, plugins: {io.berth.store.v1.lmdb: {init: 1m}}}\n"
                                   "prepare_threads: 8\n"
                                   "loop: {warn_after: 0s, abort_after: 1m}\n");
    char path[128];

    assert_true(load(&scene, false));
    snprintf(path, sizeof(path), "%s/data", scene.folder);
    assert_string_equal(scene.settings->root, path);
    assert_string_equal(scene.settings->state, "/run/x");
    snprintf(path, sizeof(path), "%s/modules", scene.folder);
    assert_int_equal(scene.settings->plugin_dir_count, 2);
    assert_string_equal(scene.settings->plugin_dirs[0], path);
    assert_int_equal(scene.settings->required_count, 1);
    assert_int_equal(scene.settings->required[0].mark.line, 4);
    assert_int_equal(scene.settings->plan.disabled_count, 1);
    assert_string_equal(scene.settings->plan.choices[0].service, "helloworld.Greeter");
    assert_int_equal(scene.settings->log_level, BERTH_LOG_DEBUG);
    assert_int_equal(scene.settings->log_format, LOG_JSON);
    assert_int_equal(scene.settings->prepare_threads, 8);
    assert_int_equal(scene.settings->loop.warn_after_ns, 0);
    assert_int_equal(scene.settings->loop.stall_after_ns, 2000000000);
    assert_int_equal(scene.settings->loop.abort_after_ns, 60000000000);
    assert_int_equal(settings_timeouts_of(scene.settings, "io.berth.store.v1.lmdb").init_ns, 60000000000);
    assert_int_equal(settings_timeouts_of(scene.settings, "io.berth.store.v1.lmdb").drain_ns, 10000000000);
    assert_int_equal(settings_timeouts_of(scene.settings, "io.berth.store.v1.x").init_ns, 3000000000);
    strike(&scene);
}

static void a_plugins_activation_is_a_word_or_a_map(void **state)
{
    struct scene scene = set_scene("activation:\n"
                                   "  default: call\n"
                                   "  idle_after: 5m\n"
                                   "  plugins:\n"
                                   "    io.containerd.grpc.v1.greeter: start\n"
                                   "    io.berth.store.v1.needy: {activate: call, idle_after: 2s}\n"
                                   "    io.berth.store.v1.lmdb: {idle_after: 0s}\n");
    const struct settings_activation *found;
    const struct settings_plan *plan;

    assert_true(load(&scene, false));
    plan = &scene.settings->plan;
    assert_true(plan->starts_on_call);
    assert_int_equal(plan->starts_on_call_mark.line, 2);
    assert_int_equal(plan->idle_after_ns, 300000000000);
    assert_int_equal(plan->max_waiting, 10000);
    found = settings_find_activation(plan, "io.containerd.grpc.v1.greeter");
    assert_non_null(found);
    assert_true(found->is_decided && !found->on_call && !found->has_idle_after);
    assert_int_equal(found->mark.line, 5);
    assert_int_equal(found->mark.column, 36);
    found = settings_find_activation(plan, "io.berth.store.v1.needy");
    assert_non_null(found);
    assert_true(found->is_decided && found->on_call && found->has_idle_after);
    assert_int_equal(found->idle_after_ns, 2000000000);
    found = settings_find_activation(plan, "io.berth.store.v1.lmdb");
    assert_non_null(found);
    assert_true(!found->is_decided && found->has_idle_after && found->idle_after_ns == 0);
    assert_null(settings_find_activation(plan, "io.berth.store.v1.other"));
    strike(&scene);
}

static void the_command_line_wins_over_files(void **state)
{
    struct scene scene = set_scene("root: /a\nstate: /b\nplugin_dirs: [/c]\n");
    const char *const directories[] = {"/z", "relative"};
    struct settings_options options = {
        .path = scene.path, .root = "/x", .state = "/y", .plugin_dirs = directories, .plugin_dir_count = 2};
    char *text;

    scene.settings = settings_load(&options, &scene.diagnostics);
    assert_non_null(scene.settings);
    assert_string_equal(scene.settings->root, "/x");
    assert_string_equal(scene.settings->state, "/y");
    assert_int_equal(scene.settings->plugin_dir_count, 2);
    assert_string_equal(scene.settings->plugin_dirs[0], "/z");
    assert_int_equal(scene.settings->plugin_dirs[1][0], '/');
    text = settings_print(scene.settings, &(struct config_print_options){.origins = true});
    assert_non_null(strstr(text, "root: /x  # --root\n"));
    free(text);
    strike(&scene);
}

static void all_that_is_wrong_is_said_at_once(void **state)
{
    struct scene scene =
        set_scene("verson: 1\nprepare_threads: 0\nlog: {level: loud}\ntimeouts: {init: soon}\n"
                  "plugins: [x]\n");

    assert_false(load(&scene, false));
    assert_int_equal(scene.diagnostics.error_count, 5);
    assert_true(says(&scene, CONFIG_ERROR,
                     "berthd.yaml:1:1: unknown setting \"verson\" (did you mean \"version\"?)"));
    assert_true(
        says(&scene, CONFIG_ERROR, "berthd.yaml:2:18: prepare_threads: \"0\" is too small: at least 1"));
    assert_true(says(&scene, CONFIG_ERROR,
                     "berthd.yaml:3:14: log.level: \"loud\" is not one of: error, warn, info, debug"));
    strike(&scene);
}

static void plugins_are_checked_in_spite_of_errors_elsewhere(void **state)
{
    struct scene scene = set_scene("prepare_threads: many\nlog: loud\nplugins:\n"
                                   "  io.berth.store.v1.needy: {address: a, adress: b}\n");
    struct settings_options options = {.path = scene.path, .keep_going = true};

    scene.settings = settings_load(&options, &scene.diagnostics);
    assert_non_null(scene.settings);
    assert_int_equal(scene.diagnostics.error_count, 2);
    assert_int_equal(scene.settings->prepare_threads, 4);
    assert_false(check(&scene));
    assert_int_equal(scene.diagnostics.error_count, 3);
    strike(&scene);
}

static void a_broken_import_hides_nothing_of_the_other_files(void **state)
{
    struct scene scene = set_scene("imports: [missing.yaml]\nprepare_threads: many\nplugins:\n"
                                   "  io.berth.store.v1.needy: {address: a, adress: b}\n"
                                   "  io.x.y.v1.z: {}\n");
    struct settings_options options = {.path = scene.path, .keep_going = true};

    scene.settings = settings_load(&options, &scene.diagnostics);
    assert_non_null(scene.settings);
    assert_int_equal(scene.diagnostics.error_count, 2);
    assert_false(check(&scene));
    assert_int_equal(scene.diagnostics.error_count, 3);
    assert_true(
        says(&scene, CONFIG_WARNING,
             "berthd.yaml:5:3: plugins: no plugin \"io.x.y.v1.z\" was found; it may be in a rejected file"));
    strike(&scene);
}

static void settings_of_a_broken_import_are_not_handed_out(void **state)
{
    struct scene scene = set_scene("imports: [missing.yaml]\n");

    assert_false(load(&scene, false));
    assert_int_equal(scene.diagnostics.error_count, 1);
    strike(&scene);
}

static void plugins_are_not_checked_against_directories_that_nobody_meant(void **state)
{
    struct scene scene = set_scene("plugin_dirs: [/a, {}]\n");
    struct settings_options options = {.path = scene.path, .keep_going = true};

    scene.settings = settings_load(&options, &scene.diagnostics);
    assert_null(scene.settings);
    assert_int_equal(scene.diagnostics.error_count, 1);
    strike(&scene);
}

static void unknown_plugins_are_errors_with_the_nearest_name(void **state)
{
    struct scene scene =
        set_scene("required_plugins: [io.berth.store.v1.lmbd]\n"
                  "disabled_plugins: [io.berth.nothing.v1.x]\n"
                  "services: {helloworld.Greetr: x, helloworld.Greeter: io.berth.store.v1.lmdb}\n"
                  "timeouts: {plugins: {io.berth.store.v1.lmd: {init: 1s}}}\n"
                  "plugins:\n"
                  "  io.berth.store.v1.needy: {address: a}\n"
                  "  io.containerd.grpc.v1.greter: {greeting: Hi}\n");

    assert_true(load(&scene, false));
    assert_false(check(&scene));
    assert_int_equal(scene.diagnostics.error_count, 6);
    assert_true(
        says(&scene, CONFIG_ERROR,
             "berthd.yaml:1:20: required_plugins: no plugin \"io.berth.store.v1.lmbd\" was found (did you "
             "mean \"io.berth.store.v1.lmdb\"?)"));
    assert_true(says(&scene, CONFIG_ERROR,
                     "berthd.yaml:2:20: disabled_plugins: no plugin \"io.berth.nothing.v1.x\" was found"));
    assert_true(says(&scene, CONFIG_ERROR,
                     "berthd.yaml:3:12: services: no plugin exports \"helloworld.Greetr\" (did you mean "
                     "\"helloworld.Greeter\"?)"));
    assert_true(
        says(&scene, CONFIG_ERROR,
             "berthd.yaml:3:54: services: io.berth.store.v1.lmdb does not export helloworld.Greeter, but "
             "io.containerd.grpc.v1.greeter does"));
    assert_true(
        says(&scene, CONFIG_ERROR,
             "berthd.yaml:4:22: timeouts.plugins: no plugin \"io.berth.store.v1.lmd\" was found (did you "
             "mean \"io.berth.store.v1.lmdb\"?)"));
    assert_true(
        says(&scene, CONFIG_ERROR,
             "berthd.yaml:7:3: plugins: no plugin \"io.containerd.grpc.v1.greter\" was found (did you mean "
             "\"io.containerd.grpc.v1.greeter\"?)"));
    strike(&scene);
}

static void lenient_makes_unknown_names_warnings(void **state)
{
    struct scene scene = set_scene("verson: 1\nrequired_plugins: [io.berth.store.v1.lmbd]\n"
                                   "plugins:\n"
                                   "  io.berth.store.v1.needy: {address: a, other: 1}\n"
                                   "  io.containerd.grpc.v1.greter: {greeting: Hi}\n");

    assert_true(load(&scene, true));
    assert_true(check(&scene));
    assert_int_equal(scene.diagnostics.error_count, 0);
    assert_int_equal(scene.diagnostics.count, 4);
    strike(&scene);
}

static void a_rejected_file_does_not_make_its_section_an_error(void **state)
{
    struct scene scene =
        set_scene("plugins:\n  io.berth.store.v1.needy: {address: a}\n  io.x.y.v1.z: {a: 1}\n");

    assert_true(load(&scene, false));
    assert_true(settings_check_plugins(scene.settings, &scene.catalog, true, &scene.diagnostics));
    assert_true(
        says(&scene, CONFIG_WARNING,
             "berthd.yaml:3:3: plugins: no plugin \"io.x.y.v1.z\" was found; it may be in a rejected file"));
    strike(&scene);
}

static const char clock_text[] =
    "module: clock\n"
    "version: 1.0.0\n"
    "plugins:\n"
    "  - type: com.acme.clock.v1\n"
    "    id: ntp\n"
    "    services: {acme.Clock: {Now: unary}}\n"
    "    skip_unless: [servers, tls.on, \"env:BERTH_TEST_CLOCK|BERTH_TEST_WATCH\"]\n"
    "    config:\n"
    "      servers: {type: list, items: {type: string}, default: []}\n"
    "      key: {type: string, required: true}\n"
    "      tls: {type: object, fields: {on: {type: bool, default: false}}}\n";

/* What the plan is told of the clock, whose section is `section`; NULL: that it is not to be skipped. */
static const char *unset_of_clock(const char *section, size_t expected_errors)
{
    static char condition[64];
    struct scene scene = set_scene(section);
    struct manifest *clock = manifest_parse("clock.so", clock_text, strlen(clock_text), &scene.diagnostics);
    const struct manifest *const manifests[] = {clock};
    const char *unset = NULL;

    assert_non_null(clock);
    catalog_finish(&scene.catalog);
    catalog_init(&scene.catalog, manifests, 1);
    assert_true(load(&scene, false));
    check(&scene);
    assert_int_equal(scene.diagnostics.error_count, expected_errors);
    if (scene.settings->plan.unset_count > 0) {
        assert_int_equal(scene.settings->plan.unset_count, 1);
        assert_string_equal(scene.settings->plan.unset[0].uri, "com.acme.clock.v1.ntp");
        snprintf(condition, sizeof(condition), "%s", scene.settings->plan.unset[0].condition);
        unset = condition;
    }
    strike(&scene);
    manifest_destroy(clock);
    return unset;
}

#define CLOCK "plugins:\n  com.acme.clock.v1.ntp: "

static void a_plugin_is_to_be_skipped_until_all_that_its_manifest_names_is_set(void **state)
{
    unsetenv("BERTH_TEST_CLOCK");
    assert_string_equal(unset_of_clock("version: 1\n", 0), "servers");
    assert_string_equal(unset_of_clock(CLOCK "{servers: [], tls: {on: true}}\n", 0), "servers");
    assert_string_equal(unset_of_clock(CLOCK "{servers: [a]}\n", 0), "tls.on");
    assert_string_equal(unset_of_clock(CLOCK "{servers: [a], tls: {on: true}}\n", 0),
                        "env:BERTH_TEST_CLOCK|BERTH_TEST_WATCH");
    setenv("BERTH_TEST_CLOCK", "", 1);
    assert_string_equal(unset_of_clock(CLOCK "{servers: [a], tls: {on: true}}\n", 0),
                        "env:BERTH_TEST_CLOCK|BERTH_TEST_WATCH");
    setenv("BERTH_TEST_CLOCK", "1", 1);
    assert_null(unset_of_clock(CLOCK "{servers: [a], key: k, tls: {on: true}}\n", 0));
    unsetenv("BERTH_TEST_CLOCK");
    setenv("BERTH_TEST_WATCH", "1", 1);
    assert_null(unset_of_clock(CLOCK "{servers: [a], key: k, tls: {on: true}}\n", 0));
    unsetenv("BERTH_TEST_WATCH");
}

static void who_is_skipped_may_lack_what_is_required_but_not_be_wrong(void **state)
{
    setenv("BERTH_TEST_CLOCK", "1", 1);
    assert_null(unset_of_clock(CLOCK "{servers: [a], tls: {on: true}}\n", 1));
    assert_null(unset_of_clock(CLOCK "{key: [k]}\n", 1));
    assert_string_equal(unset_of_clock(CLOCK "{key: k}\n", 0), "servers");
    unsetenv("BERTH_TEST_CLOCK");
}

/* The names are checked although the kinds are wrong, so that all is told at once. */
static void a_service_whose_provider_is_no_text_is_an_error(void **state)
{
    static const char *const values[] = {"[x]", "{x: y}", ""};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct settings_options options = {.keep_going = true};
        char text[64];
        struct scene scene;

        snprintf(text, sizeof(text), "services: {helloworld.Greeter: %s}\n", values[i]);
        scene = set_scene(text);
        options.path = scene.path;
        scene.settings = settings_load(&options, &scene.diagnostics);
        assert_non_null(scene.settings);
        assert_int_equal(scene.diagnostics.error_count, 1);
        check(&scene);
        assert_int_equal(scene.diagnostics.error_count, 2);
        assert_true(
            says(&scene, CONFIG_ERROR, "io.berth.store.v1.needy: address: required but not set (string)"));
        strike(&scene);
    }
}

static void transports_are_added_to_services_that_there_are(void **state)
{
    struct scene scene =
        set_scene("transports:\n  helloworld.Greeter: [tcp, ttrpc]\n  hello.Greeter: [tcp]\n");

    assert_true(load(&scene, false));
    assert_false(check(&scene));
    assert_true(
        says(&scene, CONFIG_ERROR, "berthd.yaml:3:3: transports: no plugin exports \"hello.Greeter\""));
    assert_int_equal(scene.settings->plan.transport_count, 2);
    assert_string_equal(scene.settings->plan.transports[0].service, "helloworld.Greeter");
    assert_int_equal(scene.settings->plan.transports[0].count, 2);
    assert_string_equal(scene.settings->plan.transports[0].names[1], "ttrpc");
    strike(&scene);
}

static void the_check_of_a_section_is_timed(void **state)
{
    struct scene scene = set_scene("plugins:\n  io.berth.store.v1.needy: {address: a}\n");
    uint64_t before_ns = uv_hrtime(), start_ns = 0, took_ns = 0;

    assert_true(load(&scene, false));
    assert_true(check(&scene));
    settings_get_check_time(scene.settings, "io.berth.store.v1.needy", &start_ns, &took_ns);
    assert_true(start_ns >= before_ns);
    assert_true(took_ns > 0);
    assert_true(start_ns + took_ns <= uv_hrtime());
    settings_get_check_time(scene.settings, "io.x.y.v1.z", &start_ns, &took_ns);
    assert_int_equal(start_ns, 0);
    assert_int_equal(took_ns, 0);
    strike(&scene);
}

static void sections_are_checked_and_completed(void **state)
{
    struct scene scene = set_scene("imports: ['[0-9]*-a.yaml']\nplugins:\n"
                                   "  io.containerd.grpc.v1.greeter: {greeting: Hi, max_name: 2MiB}\n");

    write_file(&scene, "10-a.yaml",
               "plugins:\n  io.containerd.grpc.v1.greeter: {max_name: 8KiB}\n"
               "  io.berth.store.v1.needy: {address: a}\n");
    assert_true(load(&scene, false));
    assert_true(check(&scene));
    assert_string_equal(string_of(&scene, "io.containerd.grpc.v1.greeter", "greeting"), "Hi");
    assert_string_equal(string_of(&scene, "io.berth.store.v1.needy", "address"), "a");
    assert_null(settings_of_plugin(scene.settings, "io.x.y.v1.z"));
    strike(&scene);
}

static void wrong_sections_are_named_with_their_plugin(void **state)
{
    struct scene scene = set_scene("plugins:\n"
                                   "  io.containerd.grpc.v1.greeter: {greting: Hi, max_name: 2MiB}\n");

    assert_true(load(&scene, false));
    assert_false(check(&scene));
    assert_int_equal(scene.diagnostics.error_count, 3);
    assert_true(
        says(&scene, CONFIG_ERROR,
             "berthd.yaml:2:35: io.containerd.grpc.v1.greeter: unknown setting \"greting\" (did you mean "
             "\"greeting\"?)"));
    assert_true(
        says(&scene, CONFIG_ERROR,
             "berthd.yaml:2:58: io.containerd.grpc.v1.greeter: max_name: \"2MiB\" is too large: at most "
             "1MiB"));
    assert_true(
        says(&scene, CONFIG_ERROR, "io.berth.store.v1.needy: address: required but not set (string)"));
    strike(&scene);
}

static void a_plugin_is_not_both_required_and_disabled(void **state)
{
    struct scene scene = set_scene("required_plugins: [io.berth.store.v1.lmdb, io.berth.store.v1.needy]\n"
                                   "disabled_plugins: [io.berth.store.v1.needy]\n");
    char *line;

    assert_true(load(&scene, false));
    assert_false(check(&scene));
    assert_int_equal(scene.diagnostics.error_count, 1);
    line = config_diagnostic_format(&scene.diagnostics.items[0]);
    assert_non_null(strstr(line,
                           "berthd.yaml:1:44: required_plugins: io.berth.store.v1.needy is also disabled "
                           "(disabled_plugins, "));
    assert_non_null(strstr(line, "berthd.yaml:2:20); remove it from one of the two"));
    free(line);
    strike(&scene);
}

static void a_disabled_plugin_may_lack_what_is_required(void **state)
{
    struct scene scene = set_scene("disabled_plugins: [io.berth.store.v1.needy]\n");

    assert_true(load(&scene, false));
    assert_true(check(&scene));
    strike(&scene);
}

static void renames_of_older_versions_are_applied_in_order(void **state)
{
    struct scene scene = set_scene("plugins:\n  io.berth.store.v1.needy: {address: a}\n"
                                   "  io.containerd.grpc.v1.greeter: {config_version: 1, hello: Hi}\n");

    assert_true(load(&scene, false));
    assert_true(check(&scene));
    assert_string_equal(string_of(&scene, "io.containerd.grpc.v1.greeter", "greeting"), "Hi");
    assert_int_equal(scene.diagnostics.count, 2);
    assert_true(says(&scene, CONFIG_WARNING,
                     "berthd.yaml:3:54: io.containerd.grpc.v1.greeter: hello was renamed to text.opening in "
                     "version 2 of this section; run `berthd config migrate` to update the file"));
    strike(&scene);
}

static void what_is_deprecated_is_named_the_same_from_start_to_start(void **state)
{
    struct scene scene = set_scene("plugins:\n  io.berth.store.v1.needy: {address: a}\n"
                                   "  io.containerd.grpc.v1.greeter: {config_version: 1, hello: Hi}\n"
                                   "  io.berth.store.v1.lmdb: {config_version: 1, megabytes: 128}\n");
    struct notices notices = {0};

    assert_true(load(&scene, false));
    assert_true(check(&scene));
    notices_take(&notices, &scene.diagnostics);
    assert_int_equal(notices.count, 3);
    assert_string_equal(notices.items[0].subject, "io.berth.store.v1.lmdb/config_version");
    assert_non_null(strstr(notices.items[0].message,
                           "berthd.yaml:4:3: io.berth.store.v1.lmdb: config_version is 1, but this module is "
                           "made for version 2; run `berthd config migrate` to update the file"));
    assert_string_equal(notices.items[1].subject, "io.containerd.grpc.v1.greeter/hello");
    assert_string_equal(notices.items[2].subject, "io.containerd.grpc.v1.greeter/text.opening");
    notices_finish(&notices);
    strike(&scene);
}

static void an_old_name_is_understood_without_a_version(void **state)
{
    struct scene scene = set_scene("plugins:\n  io.berth.store.v1.needy: {address: a}\n"
                                   "  io.containerd.grpc.v1.greeter: {text: {opening: Hi}}\n");

    assert_true(load(&scene, false));
    assert_true(check(&scene));
    assert_string_equal(string_of(&scene, "io.containerd.grpc.v1.greeter", "greeting"), "Hi");
    strike(&scene);
}

static void old_and_new_name_together_are_an_error(void **state)
{
    struct scene scene = set_scene("plugins:\n  io.berth.store.v1.needy: {address: a}\n"
                                   "  io.containerd.grpc.v1.greeter: {text: {opening: Hi}, greeting: Ho}\n");

    assert_true(load(&scene, false));
    assert_false(check(&scene));
    assert_true(says(&scene, CONFIG_ERROR,
                     "berthd.yaml:3:42: io.containerd.grpc.v1.greeter: text.opening is the old name of "
                     "greeting, and both are set; remove this one"));
    strike(&scene);
}

static void a_section_from_the_future_is_refused(void **state)
{
    struct scene scene = set_scene("plugins:\n  io.berth.store.v1.needy: {address: a, config_version: x}\n"
                                   "  io.containerd.grpc.v1.greeter: {config_version: 4}\n");

    assert_true(load(&scene, false));
    assert_false(check(&scene));
    assert_int_equal(scene.diagnostics.error_count, 2);
    assert_true(
        says(&scene, CONFIG_ERROR,
             "berthd.yaml:3:51: io.containerd.grpc.v1.greeter: config_version: this section has version 4, "
             "but module greeter 1.2.0 supports versions up to 3; install a newer module"));
    strike(&scene);
}

static enum berth_code migrate_store(const struct berth_migration *migration, struct berth_error *err)
{
    const struct berth_settings *settings = migration->settings;
    const char *megabytes = settings->string(settings->find(settings->root, "megabytes"));
    char yaml[64];
    enum berth_code code;

    assert_int_equal(migration->from_version, 1);
    assert_int_equal(migration->to_version, 2);
    assert_string_equal(megabytes, "128");
    snprintf(yaml, sizeof(yaml), "%sMiB", megabytes);
    assert_int_equal(migration->set(migration, "map_size", "[", err), BERTH_INVALID_ARGUMENT);
    assert_int_equal(migration->set(migration, "", "1", err), BERTH_INVALID_ARGUMENT);
    code = migration->set(migration, "map_size", yaml, err);
    assert_int_equal(migration->set(migration, "limits.burst", "9", err), BERTH_OK);
    assert_int_equal(migration->set(migration, "map_size.x", "9", err), BERTH_FAILED_PRECONDITION);
    assert_non_null(migration->settings->find(migration->settings->root, "limits"));
    assert_int_equal(migration->remove(migration, "nothing"), BERTH_NOT_FOUND);
    assert_int_equal(migration->remove(migration, "megabytes"), BERTH_OK);
    return code;
}

static enum berth_code refuse_store(const struct berth_migration *migration, struct berth_error *err)
{
    return berth_error_set(err, BERTH_INVALID_ARGUMENT, "these megabytes are of no use");
}

static const char old_store[] = "plugins:\n  io.berth.store.v1.needy: {address: a}\n"
                                "  io.berth.store.v1.lmdb: {config_version: 1, megabytes: 128}\n";

static void a_plugin_brings_its_own_section_up_to_date(void **state)
{
    struct scene scene = set_scene(old_store);
    const char *uri = "io.berth.store.v1.lmdb";
    const struct berth_settings *section;

    assert_true(load(&scene, false));
    assert_true(check(&scene));
    assert_true(settings_needs_migration(scene.settings, uri));
    assert_null(settings_of_plugin(scene.settings, uri));
    assert_int_equal(settings_migrate_plugin(scene.settings, &scene.manifests[1]->plugins[0], migrate_store,
                                             &scene.diagnostics),
                     BERTH_OK);
    assert_false(settings_needs_migration(scene.settings, uri));
    section = settings_of_plugin(scene.settings, uri);
    assert_int_equal(section->integer(section->find(section->root, "map_size")), 128 << 20);
    assert_int_equal(section->integer(section->find(section->find(section->root, "limits"), "burst")), 9);
    strike(&scene);
}

static void check_store(const struct berth_check *table)
{
    berth_check_problem(table, BERTH_LOG_ERROR, "map_size", "an odd size");
    berth_check_problem(table, BERTH_LOG_ERROR, "limits.burst", "too lively");
    berth_check_problem(table, BERTH_LOG_WARN, NULL, "made of %s", "sand");
    berth_check_problem(table, BERTH_LOG_ERROR, "limits.nothing.1", "there is no such setting");
    assert_int_equal(table->size, sizeof(*table));
    assert_string_equal(table->uri, "io.berth.store.v1.lmdb");
}

static const struct berth_plugin checked_store = {.size = sizeof(checked_store), .check = check_store};
static const struct berth_plugin unchecked_store = {.size = offsetof(struct berth_plugin, check)};

static void a_plugin_judges_its_settings_where_they_stand(void **state)
{
    static const char text[] = "plugins:\n"
                               "  io.berth.store.v1.lmdb:\n"
                               "    map_size: 1MiB\n"
                               "    limits: {burst: 7}\n"
                               "disabled_plugins: [io.berth.store.v1.needy]\n";
    struct scene scene = set_scene(text);

    assert_true(load(&scene, false));
    assert_true(check(&scene));
    assert_true(settings_check_plugin(scene.settings, "io.berth.store.v1.lmdb", &unchecked_store,
                                      &scene.diagnostics));
    assert_int_equal(scene.diagnostics.count, 0);
    assert_false(
        settings_check_plugin(scene.settings, "io.berth.store.v1.lmdb", &checked_store, &scene.diagnostics));
    assert_true(
        says(&scene, CONFIG_ERROR, "berthd.yaml:3:15: io.berth.store.v1.lmdb: map_size: an odd size"));
    assert_true(
        says(&scene, CONFIG_ERROR, "berthd.yaml:4:21: io.berth.store.v1.lmdb: limits.burst: too lively"));
    assert_true(says(&scene, CONFIG_WARNING, "berthd.yaml:2:3: io.berth.store.v1.lmdb: made of sand"));
    assert_true(says(&scene, CONFIG_ERROR,
                     "berthd.yaml:4:13: io.berth.store.v1.lmdb: limits.nothing.1: there is no such setting"));
    strike(&scene);
}

static void where_nothing_is_configured_a_problem_has_no_place(void **state)
{
    struct scene scene = set_scene("disabled_plugins: [io.berth.store.v1.needy]\n");

    assert_true(load(&scene, false));
    assert_true(check(&scene));
    assert_false(
        settings_check_plugin(scene.settings, "io.berth.store.v1.lmdb", &checked_store, &scene.diagnostics));
    assert_true(says(&scene, CONFIG_ERROR, "io.berth.store.v1.lmdb: map_size: an odd size"));
    strike(&scene);
}

static void a_failed_migration_is_an_error_in_the_plugins_words(void **state)
{
    struct scene scene = set_scene(old_store);

    assert_true(load(&scene, false));
    assert_true(check(&scene));
    assert_int_equal(settings_migrate_plugin(scene.settings, &scene.manifests[1]->plugins[0], refuse_store,
                                             &scene.diagnostics),
                     BERTH_INVALID_ARGUMENT);
    assert_true(says(&scene, CONFIG_ERROR,
                     "berthd.yaml:3:27: io.berth.store.v1.lmdb: cannot migrate its section from version 1 to "
                     "version 2: these megabytes are of no use"));
    assert_true(settings_needs_migration(scene.settings, "io.berth.store.v1.lmdb"));
    strike(&scene);
}

static void the_default_configuration_loads_back(void **state)
{
    struct scene scene = set_scene(NULL);
    char *text = settings_print_default(NULL, &scene.catalog);
    char *first, *second;

    assert_non_null(strstr(text, "    # Opens each reply. (string)\n    greeting: Hello\n"));
    assert_non_null(strstr(text, "    # (string; required)\n    # address:\n"));
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "\nimports:\n  - conf.d/*.yaml\n"));
    write_file(&scene, "berthd.yaml", text);
    assert_true(load(&scene, false));
    assert_false(check(&scene));
    assert_int_equal(scene.diagnostics.count, 1);
    assert_int_equal(scene.diagnostics.error_count, 1);
    first = settings_print(scene.settings, &(struct config_print_options){0});
    settings_destroy(scene.settings);
    write_file(&scene, "berthd.yaml", "");
    assert_true(load(&scene, false));
    check(&scene);
    second = settings_print(scene.settings, &(struct config_print_options){0});
    assert_string_equal(first, second);
    free(text);
    free(first);
    free(second);
    strike(&scene);
}

static void a_dump_says_where_each_value_comes_from(void **state)
{
    struct scene scene = set_scene("prepare_threads: 2\nplugins:\n"
                                   "  io.berth.store.v1.needy: {address: a}\n"
                                   "  io.containerd.grpc.v1.greeter: {greeting: Hi, token: s3cret}\n");
    char line[256];
    char *text;

    assert_true(load(&scene, false));
    assert_true(check(&scene));
    text = settings_print(scene.settings, &(struct config_print_options){.origins = true});
    snprintf(line, sizeof(line), "\nprepare_threads: 2  # %s:1:18\n", scene.path);
    assert_non_null(strstr(text, line));
    snprintf(line, sizeof(line), "    greeting: Hi  # %s:4:45\n    max_name: 4KiB  # default\n", scene.path);
    assert_non_null(strstr(text, line));
    assert_non_null(strstr(text, "    # token: secret, not shown\n"));
    assert_null(strstr(text, "s3cret"));
    free(text);
    text = settings_print_json(scene.settings, &(struct config_print_options){0});
    assert_null(strstr(text, "token"));
    assert_non_null(strstr(text, "\"prepare_threads\": 2"));
    assert_null(strstr(text, "s3cret"));
    free(text);
    strike(&scene);
}

static enum berth_code on_migrate(void *context, const struct manifest_plugin *plugin,
                                  const struct berth_migration *migration, struct berth_error *err)
{
    (*(unsigned *)context)++;
    return migrate_store(migration, err);
}

static void a_file_is_rewritten_for_the_versions_of_today(void **state)
{
    struct scene scene = set_scene("version: 1 # a comment\nplugins:\n"
                                   "  io.containerd.grpc.v1.greeter: {config_version: 1, hello: \"Hi\"}\n"
                                   "  io.berth.store.v1.lmdb: {config_version: 1, megabytes: 128}\n");
    unsigned calls = 0;
    struct settings_migration migration = {&scene.catalog, on_migrate, &calls};
    size_t changed = 0;
    char *text;

    assert_true(settings_migrate_file(scene.path, &migration, &text, &changed, &scene.diagnostics));
    assert_int_equal(changed, 2);
    assert_int_equal(calls, 1);
    assert_true(says(&scene, CONFIG_WARNING,
                     "berthd.yaml: the rewritten text has lost the comments and layout of the file"));
    assert_string_equal(text, "version: 1\n"
                              "plugins:\n"
                              "  io.containerd.grpc.v1.greeter:\n"
                              "    config_version: 3\n"
                              "    greeting: \"Hi\"\n"
                              "  io.berth.store.v1.lmdb:\n"
                              "    config_version: 2\n"
                              "    map_size: 128MiB\n"
                              "    limits:\n"
                              "      burst: 9\n");
    free(text);
    strike(&scene);
}

static void a_file_without_old_sections_is_left_as_it_is(void **state)
{
    static const char original[] = "# mine\nplugins: {io.containerd.grpc.v1.greeter: {greeting: Hi}}\n";
    struct scene scene = set_scene(original);
    struct settings_migration migration = {&scene.catalog, NULL, NULL};
    size_t changed = 7;
    char *text;

    assert_true(settings_migrate_file(scene.path, &migration, &text, &changed, &scene.diagnostics));
    assert_int_equal(changed, 0);
    assert_string_equal(text, original);
    free(text);
    strike(&scene);
}

static void the_installed_example_loads_back(void **state)
{
    const char *path = getenv("BERTH_EXAMPLE");
    struct settings_options options = {.path = path};
    struct scene scene;

    if (path == NULL)
        skip();
    scene = set_scene(NULL);
    scene.settings = settings_load(&options, &scene.diagnostics);
    assert_non_null(scene.settings);
    assert_int_equal(scene.diagnostics.count, 0);
    strike(&scene);
}

static void expect_places(const struct schema *schema)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        assert_int_equal(schema->fields[i]->index, i);
        expect_places(schema->fields[i]);
    }
    if (schema->items != NULL)
        expect_places(schema->items);
}

/* Values are stored by index, which the table in the source repeats. */
static void each_field_of_the_schema_knows_its_place(void **state)
{
    expect_places(&settings_schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_of_the_schema_knows_its_place),
        cmocka_unit_test(without_a_file_there_are_defaults),
        cmocka_unit_test(a_user_has_folders_of_his_own),
        cmocka_unit_test(a_named_file_has_to_be_there),
        cmocka_unit_test(a_file_sets_what_the_daemon_does),
        cmocka_unit_test(a_plugins_activation_is_a_word_or_a_map),
        cmocka_unit_test(the_command_line_wins_over_files),
        cmocka_unit_test(all_that_is_wrong_is_said_at_once),
        cmocka_unit_test(plugins_are_checked_in_spite_of_errors_elsewhere),
        cmocka_unit_test(a_broken_import_hides_nothing_of_the_other_files),
        cmocka_unit_test(settings_of_a_broken_import_are_not_handed_out),
        cmocka_unit_test(plugins_are_not_checked_against_directories_that_nobody_meant),
        cmocka_unit_test(unknown_plugins_are_errors_with_the_nearest_name),
        cmocka_unit_test(lenient_makes_unknown_names_warnings),
        cmocka_unit_test(a_rejected_file_does_not_make_its_section_an_error),
        cmocka_unit_test(sections_are_checked_and_completed),
        cmocka_unit_test(wrong_sections_are_named_with_their_plugin),
        cmocka_unit_test(a_plugin_is_not_both_required_and_disabled),
        cmocka_unit_test(a_disabled_plugin_may_lack_what_is_required),
        cmocka_unit_test(renames_of_older_versions_are_applied_in_order),
        cmocka_unit_test(what_is_deprecated_is_named_the_same_from_start_to_start),
        cmocka_unit_test(an_old_name_is_understood_without_a_version),
        cmocka_unit_test(old_and_new_name_together_are_an_error),
        cmocka_unit_test(a_plugin_is_to_be_skipped_until_all_that_its_manifest_names_is_set),
        cmocka_unit_test(who_is_skipped_may_lack_what_is_required_but_not_be_wrong),
        cmocka_unit_test(a_service_whose_provider_is_no_text_is_an_error),
        cmocka_unit_test(transports_are_added_to_services_that_there_are),
        cmocka_unit_test(the_check_of_a_section_is_timed),
        cmocka_unit_test(a_section_from_the_future_is_refused),
        cmocka_unit_test(a_plugin_brings_its_own_section_up_to_date),
        cmocka_unit_test(a_plugin_judges_its_settings_where_they_stand),
        cmocka_unit_test(where_nothing_is_configured_a_problem_has_no_place),
        cmocka_unit_test(a_failed_migration_is_an_error_in_the_plugins_words),
        cmocka_unit_test(the_default_configuration_loads_back),
        cmocka_unit_test(a_dump_says_where_each_value_comes_from),
        cmocka_unit_test(a_file_is_rewritten_for_the_versions_of_today),
        cmocka_unit_test(a_file_without_old_sections_is_left_as_it_is),
        cmocka_unit_test(the_installed_example_loads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
