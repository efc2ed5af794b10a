/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the fake host out of a module, its manifest and a section of settings, and takes it down again. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <core/life/services.h>
#include <core/manifest/check.h>
#include <core/settings/check.h>
#include <core/settings/migration.h>

#include "clock.h"
#include "fake.h"

/* BERTH_NOTE puts it into the test program; weak, because a module may be handed in without it. */
extern const struct {
    uint32_t owner_length, text_length, type;
    char owner[8];
    char text[];
} berth_note_of_this_module __attribute__((weak));

static void explain(struct config_diagnostics *diagnostics, struct berth_error *err)
{
    char text[BERTH_ERROR_MAX] = "";

    config_diagnostics_sort(diagnostics);
    for (size_t i = 0; i < diagnostics->count; i++) {
        size_t length = strlen(text);
        char *line;

        if (diagnostics->items[i].severity != CONFIG_ERROR)
            continue;
        line = config_diagnostic_format(&diagnostics->items[i]);
        snprintf(text + length, sizeof(text) - length, "%s%s", length == 0 ? "" : "\n", line);
        free(line);
    }
    berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s", text);
    config_diagnostics_finish(diagnostics);
}

static bool read_manifest(struct berth_testing *testing, const char *text, struct berth_error *err)
{
    struct config_diagnostics diagnostics = {0};

    testing->manifest = manifest_parse("plugin.yaml", text, strlen(text), &diagnostics);
    if (testing->manifest == NULL)
        explain(&diagnostics, err);
    config_diagnostics_finish(&diagnostics);
    return testing->manifest != NULL;
}

static bool choose_plugin(struct berth_testing *testing, const char *uri, struct berth_error *err)
{
    const struct manifest *manifest = testing->manifest;

    if (uri == NULL && manifest->plugin_count == 1)
        testing->description = &manifest->plugins[0];
    for (size_t i = 0; uri != NULL && i < manifest->plugin_count; i++)
        if (strcmp(manifest->plugins[i].uri, uri) == 0)
            testing->description = &manifest->plugins[i];
    if (testing->description == NULL)
        berth_error_set(err, BERTH_NOT_FOUND, "the manifest of %s has %zu plugins and none is %s",
                        manifest->module, manifest->plugin_count, uri == NULL ? "meant by NULL" : uri);
    return testing->description != NULL;
}

static bool find_table(struct berth_testing *testing, const struct berth_module *module,
                       struct berth_error *err)
{
    if (module_check(module, testing->manifest, err) != BERTH_OK)
        return false;
    for (size_t i = 0; module->plugins[i] != NULL; i++)
        if (strcmp(module->plugins[i]->type, testing->description->type) == 0 &&
            strcmp(module->plugins[i]->id, testing->description->id) == 0)
            testing->plugin = module->plugins[i];
    return testing->plugin != NULL;
}

static enum berth_code run_migrate(void *context, const struct manifest_plugin *description,
                                   const struct berth_migration *migration, struct berth_error *err)
{
    const struct berth_testing *testing = context;

    if (!BERTH_HAS(testing->plugin, migrate))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s: its table has no migrate",
                               description->uri);
    return testing->plugin->migrate(migration, err);
}

/* Brings a section of an older `config_version` up to date, as a host does before it checks it. */
static bool migrate(struct berth_testing *testing, struct config_node *section,
                    struct config_diagnostics *diagnostics)
{
    const struct manifest_plugin *description = testing->description;
    struct migration_version version;

    if (section == NULL || section->kind != CONFIG_MAP)
        return true;
    if (!migration_find_version(testing->section, description, section, &version, diagnostics))
        return false;
    migration_apply_renames(testing->section, description, section, version.number, diagnostics);
    if (diagnostics->error_count > 0)
        return false;
    return !migration_needs_plugin(description, version.number) ||
           migration_run(testing->section, description, section, version.number, run_migrate, testing,
                         diagnostics) == BERTH_OK;
}

static void check_section(struct berth_testing *testing, struct config_diagnostics *diagnostics)
{
    struct config_node *section = testing->section == NULL ? NULL : config_tree_root(testing->section);
    struct config_check_options options = {0};

    if (migrate(testing, section, diagnostics))
        testing->values = config_values_create(testing->description->config, section, &options, diagnostics);
}

static bool read_settings(struct berth_testing *testing, const char *settings, struct berth_error *err)
{
    struct config_diagnostics diagnostics = {0};

    if (settings != NULL)
        testing->section =
            config_yaml_read("settings", settings, strlen(settings), &config_limits_file, &diagnostics);
    if (settings == NULL || testing->section != NULL)
        check_section(testing, &diagnostics);
    if (testing->values == NULL)
        explain(&diagnostics, err);
    config_diagnostics_finish(&diagnostics);
    return testing->values != NULL;
}

enum berth_code fake_check(struct berth_testing *testing, struct berth_error *err)
{
    static const struct config_mark nowhere = {0};
    struct config_diagnostics diagnostics = {0};
    bool is_fine;

    if (!BERTH_HAS(testing->plugin, check))
        return BERTH_OK;
    is_fine = settings_check_run(
        testing->description->uri, testing->plugin->check, testing->values,
        testing->section == NULL ? &nowhere : &config_tree_root(testing->section)->mark, &diagnostics);
    for (size_t i = 0; i < diagnostics.count; i++) {
        char *line = config_diagnostic_format(&diagnostics.items[i]);

        if (diagnostics.items[i].severity == CONFIG_WARNING)
            fake_log(testing, BERTH_LOG_WARN, line);
        free(line);
    }
    if (!is_fine)
        explain(&diagnostics, err);
    config_diagnostics_finish(&diagnostics);
    return is_fine ? BERTH_OK : BERTH_INVALID_ARGUMENT;
}

static bool declare_services(struct berth_testing *testing, struct berth_error *err)
{
    for (size_t i = 0; i < testing->description->service_count; i++)
        if (services_declare(testing->router, testing->description, &testing->description->services[i],
                             err) != BERTH_OK)
            return false;
    return true;
}

static const char *linked_manifest(struct berth_error *err)
{
    /* The compiler takes a weak object for one that is always there unless it is asked by address. */
    if ((uintptr_t)&berth_note_of_this_module != 0)
        return berth_note_of_this_module.text;
    berth_error_set(
        err, BERTH_NOT_FOUND,
        "no note is linked into the test: link what berth-sdk generate wrote, or hand the text of "
        "plugin.yaml to berth_testing_create_from");
    return NULL;
}

static void free_all(struct berth_testing *testing)
{
    fake_host_finish(testing);
    router_destroy(testing->router);
    config_values_destroy(testing->values);
    config_tree_destroy(testing->section);
    manifest_destroy(testing->manifest);
    pthread_mutex_destroy(&testing->lines_lock);
    free(testing->faults);
    free(testing);
    clock_let_go();
}

struct berth_testing *berth_testing_create_from(const char *manifest, const struct berth_module *module,
                                                const char *uri, const char *settings,
                                                struct berth_error *err)
{
    struct berth_testing *testing = calloc(1, sizeof(*testing));

    if (testing == NULL)
        abort();
    clock_stop();
    pthread_mutex_init(&testing->lines_lock, NULL);
    LIST_INIT(&testing->holds);
    LIST_INIT(&testing->calls);
    testing->router = router_create();
    if (testing->router == NULL)
        abort();
    for (size_t i = 0; i < STEP_COUNT; i++)
        testing->steps[i].timeout_ns = (i == BERTH_STEP_CLOSE ? 5000 : 10000) * MILLISECOND_NS;
    if (!read_manifest(testing, manifest, err) || !choose_plugin(testing, uri, err) ||
        !find_table(testing, module, err) || !read_settings(testing, settings, err) ||
        !declare_services(testing, err)) {
        free_all(testing);
        return NULL;
    }
    testing->loop = malloc(sizeof(*testing->loop));
    if (testing->loop == NULL || uv_loop_init(testing->loop) != 0)
        abort();
    fake_inspect_init(testing);
    fake_host_init(testing);
    return testing;
}

struct berth_testing *berth_testing_create(const struct berth_module *module, const char *uri,
                                           const char *settings, struct berth_error *err)
{
    const char *manifest = linked_manifest(err);

    return manifest == NULL ? NULL : berth_testing_create_from(manifest, module, uri, settings, err);
}

static void name_handle(uv_handle_t *handle, void *context)
{
    if (!uv_is_closing(handle))
        fake_fault(context, "a handle was left open in the loop: uv_%s_t", uv_handle_type_name(handle->type));
}

/*
 * A loop with open handles stays as it is, because a plugin that still has them may use it. They hang here by
 * their `data`, so that a leak checker tells of what the plugin leaks and not of these.
 */
static uv_loop_t *loops_left_open;

static void close_loop(struct berth_testing *testing)
{
    berth_testing_run(testing);
    if (uv_loop_close(testing->loop) == 0) {
        free(testing->loop);
        return;
    }
    testing->loop->data = loops_left_open;
    loops_left_open = testing->loop;
    uv_walk(testing->loop, name_handle, testing);
    if (testing->faults == NULL)
        fake_fault(testing, "the loop still has work to do");
}

static void close_instance(struct berth_testing *testing)
{
    struct berth_error err;
    enum berth_code code;

    if (testing->instance_is_open && !testing->steps[BERTH_STEP_CLOSE].begun)
        berth_testing_close(testing, &err);
    if (!testing->steps[BERTH_STEP_CLOSE].begun)
        return;
    code = berth_testing_step(testing, BERTH_STEP_CLOSE, &err);
    if (code == BERTH_PENDING)
        fake_fault(testing, "close has not ended");
    else if (code != BERTH_OK && code != BERTH_DEADLINE_EXCEEDED)
        fake_fault(testing, "close failed: %s", err.message);
}

enum berth_code berth_testing_destroy(struct berth_testing *testing, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    if (testing == NULL)
        return BERTH_OK;
    fake_calls_finish(testing);
    close_instance(testing);
    fake_inspect_finish(testing);
    close_loop(testing);
    for (struct berth_hold *hold = LIST_FIRST(&testing->holds); hold != NULL; hold = LIST_NEXT(hold, link))
        fake_fault(testing, "the hold \"%s\" was never let go", hold->what);
    if (testing->faults != NULL)
        code = berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s", testing->faults);
    free_all(testing);
    return code;
}
