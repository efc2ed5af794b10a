/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's life in the fake host: created from a module, its manifest and a section of settings, and taken
 * through its steps. Each step begins in its turn and is ended by its callback, its completion or its
 * deadline.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <core/life/service_routes.h>
#include <core/manifest/manifest.h>
#include <core/settings/settings.h>

#include <sdk/base/container_of.h>

#include "fake.h"

/* Defined by BERTH_NOTE in the test program; weak, because a module may be passed in without it. */
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
        berth_error_set(err, BERTH_NOT_FOUND, "the manifest of %s has %zu plugins%s%s", manifest->module,
                        manifest->plugin_count, uri == NULL ? "; pass the URI of one" : ", none of them ",
                        uri == NULL ? "" : uri);
    return testing->description != NULL;
}

static bool find_table(struct berth_testing *testing, const struct berth_module *module,
                       struct berth_error *err)
{
    if (manifest_check(module, testing->manifest, err) != BERTH_OK)
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

/* As in a host: a section of an older `config_version` is migrated, and then checked. */
static void check_section(struct berth_testing *testing, struct config_diagnostics *diagnostics)
{
    const struct manifest_plugin *description = testing->description;
    struct config_node *section = testing->section == NULL ? NULL : config_tree_root(testing->section);
    struct config_check_options options = {0};
    struct migration migration;

    if (section != NULL && section->kind == CONFIG_MAP &&
        (!migration_begin(testing->section, description, section, &migration, diagnostics) ||
         migration_run(testing->section, description, section, &migration, run_migrate, testing,
                       diagnostics) != BERTH_OK))
        return;
    testing->values = config_values_create(description->config, section, &options, diagnostics);
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

/* Lets the plugin check its settings, as a host does before prepare and init. */
static enum berth_code check_settings(struct berth_testing *testing, struct berth_error *err)
{
    static const struct config_mark nowhere = {0};
    struct config_diagnostics diagnostics = {0};
    bool is_fine;

    if (!BERTH_HAS(testing->plugin, check))
        return BERTH_OK;
    fake_enter(testing, "check", NULL);
    is_fine = settings_check_run(
        testing->description->uri, testing->plugin->check, testing->values,
        testing->section == NULL ? &nowhere : &config_tree_root(testing->section)->mark, &diagnostics);
    fake_leave(testing);
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
        if (service_routes_declare(testing->router, testing->description, &testing->description->services[i],
                                   err) != BERTH_OK)
            return false;
    return true;
}

static const char *const step_names[STEP_COUNT] = {"init", "serve", "drain", "close"};

static enum berth_code result(const struct fake_step *step, struct berth_error *err)
{
    if (!step->ended)
        return BERTH_PENDING;
    if (step->code != BERTH_OK)
        berth_error_set(err, step->code, "%s", step->message);
    return step->code;
}

enum berth_code berth_testing_step(const struct berth_testing *testing, enum berth_step step,
                                   struct berth_error *err)
{
    return result(&testing->steps[step], err);
}

void berth_testing_set_timeout(struct berth_testing *testing, enum berth_step step, uint64_t timeout_ms)
{
    testing->steps[step].timeout_ns = timeout_ms * MILLISECOND_NS;
}

static void go_live(struct berth_testing *testing, void *instance)
{
    struct berth_error err;

    testing->instance = instance;
    testing->instance_is_open = true;
    /* Which services a plugin has that the configuration declares is not in the manifest. */
    if (!BERTH_HAS(testing->plugin, services) || testing->description->makes != NULL)
        return;
    for (size_t i = 0; testing->plugin->services[i] != NULL; i++) {
        const struct berth_service *service = testing->plugin->services[i];

        if (router_set_live(testing->router, service->name, service, instance, testing, &err) != BERTH_OK)
            fake_fault(testing, "%s", err.message);
    }
}

/* There is no instance that what was posted could work on. */
static void drop_posts(struct berth_testing *testing)
{
    outgoing_caller_close(&testing->caller, false);
    if (mailbox_close(testing->host.mailbox, false) > 0)
        fake_log(testing, BERTH_LOG_WARN, "dropped posted functions because init failed");
}

static void end(struct berth_testing *testing, enum berth_step which, enum berth_code code, void *instance,
                const char *message)
{
    struct fake_step *step = &testing->steps[which];

    fake_deadline_clear(&step->deadline);
    step->ended = true;
    step->code = code;
    snprintf(step->message, sizeof(step->message), "%s", message == NULL ? "" : message);
    if (which == BERTH_STEP_INIT && code == BERTH_OK)
        go_live(testing, instance);
    else if (which == BERTH_STEP_INIT && code != BERTH_DEADLINE_EXCEEDED)
        drop_posts(testing);
    if (which == BERTH_STEP_CLOSE)
        testing->instance_is_open = false;
}

static void close_at_once(struct berth_testing *testing, struct fake_deadline *deadline)
{
    struct berth_error err;

    (void)deadline;
    berth_testing_close(testing, &err);
}

/* As in a host, an instance completed after the deadline is closed and never used. */
static void close_late(struct berth_testing *testing, void *instance)
{
    fake_log(testing, BERTH_LOG_WARN, "init completed after its deadline; the instance is closed");
    testing->instance = instance;
    testing->instance_is_open = true;
    fake_deadline_set(testing, &testing->late, 0, close_at_once);
}

/* The plugin's complete(). */
static void complete(const struct berth_host *host, enum berth_step which, enum berth_code code,
                     void *instance, const char *message)
{
    struct berth_testing *testing = CONTAINER_OF(host, struct berth_testing, host);
    struct fake_step *step = &testing->steps[which];
    bool late;

    if (!fake_is_on_loop(testing, "berth_complete", NULL))
        return;
    late = step->ended && step->code == BERTH_DEADLINE_EXCEEDED;
    if (!step->begun) {
        fake_fault(testing, "%s was completed before it had begun", step_names[which]);
    } else if (step->completed || (step->ended && !late)) {
        fake_fault(testing, "%s was completed again after it had ended", step_names[which]);
    } else if (step->inside) {
        step->code = code;
        step->instance = instance;
        snprintf(step->message, sizeof(step->message), "%s", message == NULL ? "" : message);
    } else if (late && which == BERTH_STEP_INIT && code == BERTH_OK) {
        close_late(testing, instance);
    } else if (!late) {
        end(testing, which, code, instance, message);
    }
    step->completed = step->begun;
}

static void on_deadline(struct berth_testing *testing, struct fake_deadline *deadline)
{
    const struct fake_step *step = CONTAINER_OF(deadline, struct fake_step, deadline);

    end(testing, (enum berth_step)(step - testing->steps), BERTH_DEADLINE_EXCEEDED, NULL, "timed out");
}

static void begin(struct berth_testing *testing, enum berth_step which)
{
    struct fake_step *step = &testing->steps[which];

    step->begun = true;
    step->inside = true;
    fake_deadline_set(testing, &step->deadline, uv_hrtime() + step->timeout_ns, on_deadline);
}

/* The callback has returned. */
static void answered(struct berth_testing *testing, enum berth_step which, enum berth_code code,
                     void *instance, const struct berth_error *err)
{
    struct fake_step *step = &testing->steps[which];

    step->inside = false;
    if (code == BERTH_PENDING && !step->completed)
        return;
    if (code == BERTH_PENDING) {
        char *message = memory_copy(step->message);

        end(testing, which, step->code, step->instance, message);
        free(message);
        return;
    }
    if (step->completed)
        fake_fault(testing, "%s was completed although its callback did not return BERTH_PENDING",
                   step_names[which]);
    if (code == BERTH_SKIP && which != BERTH_STEP_INIT)
        fake_fault(testing, "%s returned BERTH_SKIP, which only prepare and init may return",
                   step_names[which]);
    end(testing, which, code, instance, code == BERTH_OK ? NULL : err->message);
}

static bool step_has_ended(void *context)
{
    const struct fake_step *step = context;

    return step->ended;
}

static enum berth_code wait_for(struct berth_testing *testing, enum berth_step which, struct berth_error *err)
{
    fake_wait(testing, step_has_ended, &testing->steps[which], true);
    return result(&testing->steps[which], err);
}

struct preparation {
    struct berth_testing *testing;
    void *prepared;
    enum berth_code code;
    struct berth_error err;
};

static void *run_prepare(void *context)
{
    struct preparation *preparation = context;
    struct berth_testing *testing = preparation->testing;

    preparation->code =
        testing->plugin->prepare(&testing->prepare, &preparation->prepared, &preparation->err);
    return NULL;
}

/* On its own thread, as in a host, so that it cannot use the loop's. */
static enum berth_code prepare(struct berth_testing *testing, void **ret_prepared, struct berth_error *err)
{
    struct preparation preparation = {.testing = testing};
    bool has_thread;
    pthread_t thread;

    if (!BERTH_HAS(testing->plugin, prepare))
        return BERTH_OK;
    fake_prepare_begin(testing);
    has_thread = pthread_create(&thread, NULL, run_prepare, &preparation) == 0;
    if (has_thread)
        pthread_join(thread, NULL);
    fake_prepare_end(testing);
    if (!has_thread)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no thread for prepare");
    if (preparation.code == BERTH_PENDING)
        fake_fault(testing, "prepare returned BERTH_PENDING, which is not allowed");
    if (preparation.code != BERTH_OK)
        return berth_error_set(err, preparation.code, "%s", preparation.err.message);
    *ret_prepared = preparation.prepared;
    return BERTH_OK;
}

/* A plugin without a setting under skip_unless is skipped, and none of its code runs. */
static enum berth_code check_conditions(const struct berth_testing *testing, struct berth_error *err)
{
    const char *unset = manifest_find_unset(testing->description, testing->host.settings);

    if (unset == NULL)
        return BERTH_OK;
    manifest_explain_unset(unset, err);
    return BERTH_SKIP;
}

enum berth_code berth_testing_start(struct berth_testing *testing, struct berth_error *err)
{
    struct fake_step *step = &testing->steps[BERTH_STEP_INIT];
    struct berth_error failure = {.message = ""};
    void *prepared = NULL, *instance = NULL;
    enum berth_code code;

    if (step->begun)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "already started");
    begin(testing, BERTH_STEP_INIT);
    code = check_conditions(testing, &failure);
    if (code == BERTH_OK)
        code = check_settings(testing, &failure);
    if (code == BERTH_OK)
        code = prepare(testing, &prepared, &failure);
    if (code == BERTH_OK && BERTH_HAS(testing->plugin, init)) {
        fake_enter(testing, "init", NULL);
        code = testing->plugin->init(&testing->host, prepared, &instance, &failure);
        fake_leave(testing);
    }
    answered(testing, BERTH_STEP_INIT, code, instance, &failure);
    return wait_for(testing, BERTH_STEP_INIT, err);
}

void berth_testing_cancel_prepare(struct berth_testing *testing)
{
    atomic_store(&testing->prepare_is_cancelled, true);
}

static enum berth_code run_step(struct berth_testing *testing, enum berth_step which,
                                enum berth_code (*callback)(const struct berth_host *, void *,
                                                            struct berth_error *),
                                struct berth_error *err)
{
    struct berth_error failure = {.message = ""};
    enum berth_code code = BERTH_OK;

    if (testing->steps[which].begun || !testing->instance_is_open)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s cannot start: %s", step_names[which],
                               testing->steps[which].begun ? "it has already run" : "init has not completed");
    begin(testing, which);
    if (callback != NULL) {
        fake_enter(testing, step_names[which], NULL);
        code = callback(&testing->host, testing->instance, &failure);
        fake_leave(testing);
    }
    answered(testing, which, code, NULL, &failure);
    return wait_for(testing, which, err);
}

enum berth_code berth_testing_serve(struct berth_testing *testing, struct berth_error *err)
{
    return run_step(testing, BERTH_STEP_SERVE,
                    BERTH_HAS(testing->plugin, serve) ? testing->plugin->serve : NULL, err);
}

enum berth_code berth_testing_drain(struct berth_testing *testing, struct berth_error *err)
{
    return run_step(testing, BERTH_STEP_DRAIN,
                    BERTH_HAS(testing->plugin, drain) ? testing->plugin->drain : NULL, err);
}

/* As in a host, no call may run on an instance that is being closed. */
static void end_calls(struct berth_testing *testing)
{
    for (size_t i = 0; i < testing->description->service_count; i++)
        router_set_gone(testing->router, testing->description->services[i].name, BERTH_UNAVAILABLE,
                        "the plugin is being closed");
    router_end_calls(testing->router, testing, "the plugin is being closed");
    router_remove_interceptors(testing->router, testing);
}

enum berth_code berth_testing_close(struct berth_testing *testing, struct berth_error *err)
{
    if (testing->instance_is_open && !testing->steps[BERTH_STEP_CLOSE].begun) {
        mailbox_close(testing->host.mailbox, true);
        outgoing_caller_close(&testing->caller, true);
        end_calls(testing);
    }
    return run_step(testing, BERTH_STEP_CLOSE,
                    BERTH_HAS(testing->plugin, close) ? testing->plugin->close : NULL, err);
}

void berth_testing_set_ending(struct berth_testing *testing, enum berth_ending ending)
{
    testing->host.ending = ending;
}

static void use_values(struct berth_testing *testing, struct config_values *values,
                       struct config_tree *section)
{
    testing->values = values;
    testing->section = section;
    testing->host.settings = config_values_settings(values);
}

enum berth_code berth_testing_reconfigure(struct berth_testing *testing, const char *settings,
                                          struct berth_error *err)
{
    struct config_values *values = testing->values;
    struct config_tree *section = testing->section;
    struct berth_error failure = {.message = ""};
    enum berth_code code = BERTH_INVALID_ARGUMENT;

    if (!testing->instance_is_open || !BERTH_HAS(testing->plugin, reconfigure))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "reconfigure cannot run: %s",
                               testing->instance_is_open ? "the plugin has none" : "init has not completed");
    testing->values = NULL;
    testing->section = NULL;
    if (read_settings(testing, settings, &failure))
        code = check_settings(testing, &failure);
    if (code == BERTH_OK) {
        testing->host.settings = config_values_settings(testing->values);
        fake_enter(testing, "reconfigure", NULL);
        code = testing->plugin->reconfigure(&testing->host, testing->instance, config_values_settings(values),
                                            &failure);
        fake_leave(testing);
    }
    if (code == BERTH_PENDING || code == BERTH_SKIP)
        fake_fault(testing, "reconfigure returned %s, which is not allowed", berth_code_name(code));
    if (code != BERTH_OK) {
        struct config_values *refused = testing->values;
        struct config_tree *refused_section = testing->section;

        use_values(testing, values, section);
        values = refused;
        section = refused_section;
        berth_error_set(err, code, "%s", failure.message);
    }
    config_values_destroy(values);
    config_tree_destroy(section);
    return code;
}

struct state_writer {
    struct berth_state_writer table;
    struct berth_testing *testing;
};

static enum berth_code write_state(const struct berth_state_writer *table, const void *bytes, size_t length,
                                   struct berth_error *err)
{
    struct berth_testing *testing = CONTAINER_OF(table, struct state_writer, table)->testing;
    unsigned char *state;

    if (length > BERTH_STATE_MAX - testing->state_length)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "the state exceeds %u bytes", BERTH_STATE_MAX);
    state = realloc(testing->state, testing->state_length + length + 1);
    if (state == NULL)
        abort();
    if (length > 0)
        memcpy(state + testing->state_length, bytes, length);
    testing->state = state;
    testing->state_length += length;
    return BERTH_OK;
}

enum berth_code berth_testing_save_state(struct berth_testing *testing, const void **ret_bytes,
                                         size_t *ret_length, struct berth_error *err)
{
    const struct state_writer writer = {{sizeof(writer.table), write_state}, testing};
    enum berth_code code;

    if (!testing->instance_is_open || !BERTH_HAS(testing->plugin, save_state))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "save_state cannot run: %s",
                               testing->instance_is_open ? "the plugin has none" : "init has not completed");
    testing->state_length = 0;
    fake_enter(testing, "save_state", NULL);
    code = testing->plugin->save_state(&testing->host, testing->instance, &writer.table, err);
    fake_leave(testing);
    if (code == BERTH_OK) {
        *ret_bytes = testing->state;
        *ret_length = testing->state_length;
    }
    return code;
}

enum berth_code berth_testing_load_state(struct berth_testing *testing, uint32_t version, const void *bytes,
                                         size_t length, struct berth_error *err)
{
    enum berth_code code;

    if (!testing->instance_is_open || !BERTH_HAS(testing->plugin, load_state))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "load_state cannot run: %s",
                               testing->instance_is_open ? "the plugin has none" : "init has not completed");
    fake_enter(testing, "load_state", NULL);
    code = testing->plugin->load_state(&testing->host, testing->instance, version, bytes, length, err);
    fake_leave(testing);
    return code;
}

static const char *linked_manifest(struct berth_error *err)
{
    /* The compiler assumes that a weak object is always defined unless its address is compared. */
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
    fake_metrics_finish(testing);
    router_destroy(testing->router);
    config_values_destroy(testing->values);
    config_tree_destroy(testing->section);
    manifest_destroy(testing->manifest);
    pthread_mutex_destroy(&testing->lines_lock);
    pthread_mutex_destroy(&testing->faults_lock);
    free(testing->faults);
    free(testing->state);
    free(testing);
    fake_clock_let_go();
}

struct berth_testing *berth_testing_create_from(const char *manifest, const struct berth_module *module,
                                                const char *uri, const char *settings,
                                                struct berth_error *err)
{
    struct berth_testing *testing = calloc(1, sizeof(*testing));

    if (testing == NULL)
        abort();
    fake_clock_stop();
    pthread_mutex_init(&testing->lines_lock, NULL);
    pthread_mutex_init(&testing->faults_lock, NULL);
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
    fake_strict_init(testing);
    fake_host_init(testing, complete);
    fake_metrics_init(testing);
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
 * A loop with open handles is kept, because a plugin that still has them may use it. They are linked by their
 * `data`, so that a leak checker reports what the plugin leaks and not these.
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
        fake_fault(testing, "the loop still has active requests");
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
        fake_fault(testing, "close has not finished");
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
    fake_host_close(testing);
    fake_strict_close(testing);
    close_loop(testing);
    fake_strict_finish(testing);
    for (struct berth_hold *hold = LIST_FIRST(&testing->holds); hold != NULL; hold = LIST_NEXT(hold, link))
        fake_fault(testing, "hold \"%s\" was never released", hold->what);
    if (testing->faults != NULL)
        code = berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s", testing->faults);
    free_all(testing);
    return code;
}
