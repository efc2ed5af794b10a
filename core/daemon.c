/* SPDX-License-Identifier: Apache-2.0 */
/* The phases of the daemon in order; owns the loop, the signals and the exit code. */
#include "daemon.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <core/base/log.h>
#include <core/base/signal_name.h>
#include <core/crash/crash.h>
#include <core/listen/listen.h>
#include <core/perform/perform.h>
#include <core/reload/activation.h>
#include <core/reload/files_watch.h>
#include <core/reload/reload.h>
#include <core/state/state.h>
#include <core/survey/survey.h>
#include <core/watch/watch.h>
#include <core/worker/isolated.h>
#include <sdk/base/memory.h>

#include "costs.h"
#include "drain.h"
#include "holds.h"
#include "loading.h"
#include "notify.h"
#include "process.h"
#include "report.h"

/* The state folder holds sockets that other users must reach, and both hold folders of isolated plugins. */
#define ROOT_MODE 0711
#define STATE_MODE 0711

/*
 * glibc gives memory of this size back to the kernel as soon as it is free, and each page of the next message
 * faults again: that tripled the cost of messages of 1 MiB.
 */
#define KEPT_BLOCK_BYTES (4 * 1024 * 1024)
#define KEPT_BYTES (8 * 1024 * 1024)

/* How long handles that are closing may take once every plugin is closed. */
#define DRAIN_LIMIT_MS 1000

struct daemon {
    const struct settings_options *options;
    int exit_code;
    uint64_t start_ns;
    struct running_thread running;
    uv_loop_t loop;
    struct watch_clock clock;
    struct watchdog *watchdog;
    struct process_signals signals;
    uv_prepare_t turn;
    /** The newest. */
    struct survey *survey;
    /** Where plugins keep things, as the start had it. */
    char *root, *state;
    struct registry *registry;
    struct router *router;
    struct listeners *listeners;
    struct inspect inspect;
    struct costs costs;
    struct holds holds;
    struct reload *reload;
    struct activation *activation;
    /** NULL unless the settings ask for it. */
    struct files_watch *files_watch;
    struct loading loading;
    struct notices notices;
    struct perform *perform;
    struct progress progress;
    bool is_loop_open, is_stopped;
    /** How the previous run died, unless its sentence is empty. */
    struct box_death last_death;
};

static bool fail(struct daemon *daemon, int exit_code)
{
    daemon->exit_code = exit_code;
    return false;
}

static void begin_stop(struct daemon *daemon)
{
    daemon->inspect.daemon.draining = true;
    changes_note(&daemon->inspect.changes);
    notify_stopping();
    loading_stop(&daemon->loading);
    reload_stop(daemon->reload);
    activation_stop(daemon->activation);
    progress_begin(&daemon->progress, "shutting down", daemon->perform, daemon->router);
    listeners_stop(daemon->listeners);
    perform_stop(daemon->perform);
}

static void on_stop(void *context, int number)
{
    struct daemon *daemon = context;

    log_line(BERTH_LOG_INFO, "received %s, shutting down", signal_name(number));
    if (daemon->perform != NULL)
        begin_stop(daemon);
}

static void on_other_signal(void *context, int number)
{
    struct daemon *daemon = context;

    if (number == SIGHUP)
        reload_ask(daemon->reload, "received SIGHUP");
    else
        log_line(BERTH_LOG_INFO, "received %s, ignoring it", signal_name(number));
}

static void on_turn(uv_prepare_t *turn)
{
    crash_check_child();
    tampering_note_turn();
    printing_note_turn();
}

static bool open_loop(struct daemon *daemon)
{
    int error = uv_loop_init(&daemon->loop);

    if (error != 0) {
        log_line(BERTH_LOG_ERROR, "cannot create the event loop: %s", uv_strerror(error));
        return fail(daemon, DAEMON_EXIT_FAILED);
    }
    daemon->is_loop_open = true;
    watch_clock_start(&daemon->clock, &daemon->loop);
    notify_run(&daemon->loop);
    progress_init(&daemon->progress, &daemon->loop);
    uv_prepare_init(&daemon->loop, &daemon->turn);
    uv_prepare_start(&daemon->turn, on_turn);
    uv_unref((uv_handle_t *)&daemon->turn);
    tampering_watch_loop(&daemon->loop);
    daemon->signals.on_stop = on_stop;
    daemon->signals.on_other = on_other_signal;
    daemon->signals.on_forced = box_note_end;
    daemon->signals.context = daemon;
    if (!process_take_signals(&daemon->signals, &daemon->loop, DAEMON_EXIT_FORCED))
        abort();
    return true;
}

static bool take_survey(struct daemon *daemon)
{
    bool is_readable;
    struct survey *survey = survey_create(daemon->options, NULL, &is_readable);

    daemon->survey = survey;
    if (!is_readable) {
        report_start(NULL);
        report_diagnostics(&survey->diagnostics);
        return fail(daemon, DAEMON_EXIT_CONFIG);
    }
    log_start(survey->settings->log_level, survey->settings->log_format, STDERR_FILENO);
    report_start(survey->settings);
    report_files(&survey->scan);
    return true;
}

static bool check_settings(struct daemon *daemon)
{
    bool is_fine = survey_check(daemon->survey);

    report_diagnostics(&daemon->survey->diagnostics);
    notices_take(&daemon->notices, &daemon->survey->diagnostics);
    return is_fine || fail(daemon, DAEMON_EXIT_CONFIG);
}

/* A full or read-only disk can still be read; plugins that need to write report it themselves. */
static bool make_folder(const char *what, const char *path, mode_t mode)
{
    struct berth_error error;
    enum berth_code code = folder_prepare(what, path, mode, &error);

    if (code == BERTH_OK) {
        code = folder_try(what, path, &error);
        if (code == BERTH_RESOURCE_EXHAUSTED || code == BERTH_FAILED_PRECONDITION) {
            log_line(BERTH_LOG_WARN, "%s; plugins that write there may fail", error.message);
            return true;
        }
    }
    if (code != BERTH_OK)
        log_line(BERTH_LOG_ERROR, "%s", error.message);
    return code == BERTH_OK;
}

/* Upgrades load modules from copies in it. */
static bool check_root(const char *root)
{
    struct berth_error error;

    if (module_copies_check(root, &error) != BERTH_OK) {
        log_line(BERTH_LOG_ERROR, "%s", error.message);
        return false;
    }
    module_copies_tidy(root);
    return true;
}

static bool make_folders(struct daemon *daemon)
{
    bool has_root = make_folder("root", daemon->survey->settings->root, ROOT_MODE);
    bool has_state = make_folder("state", daemon->survey->settings->state, STATE_MODE);

    if (!has_root || !has_state)
        return fail(daemon, DAEMON_EXIT_FAILED);
    return check_root(daemon->survey->settings->root) || fail(daemon, DAEMON_EXIT_CONFIG);
}

static void note_death(struct daemon *daemon)
{
    const struct settings *settings = daemon->survey->settings;
    const struct deaths_limit limit = {settings->on_crash.quarantine_after, settings->on_crash.within_ns};
    const struct box_death *death = &daemon->last_death;
    struct berth_error error;

    log_line(BERTH_LOG_WARN, "%s", death->sentence);
    if (death->counts && deaths_note(settings->state, death->uri, death->what, &limit, &error) != BERTH_OK)
        log_line(BERTH_LOG_WARN, "not counting this towards a quarantine: %s", error.message);
}

/* Before the plan, because it omits quarantined plugins. */
static bool open_box(struct daemon *daemon)
{
    struct berth_error error;
    bool has_died;

    if (box_open(daemon->survey->settings->state, &has_died, &daemon->last_death, &error) != BERTH_OK)
        log_line(BERTH_LOG_WARN, "a crash of this run will not be recorded: %s", error.message);
    if (has_died)
        note_death(daemon);
    return true;
}

static bool make_plan(struct daemon *daemon)
{
    survey_plan(daemon->survey);
    report_plan(daemon->survey->plan);
    return true;
}

/* Declares services of plugins that do not run too, so that callers learn the reason. */
static void declare_service(struct daemon *daemon, const struct plan_entry *entry,
                            const struct manifest_service *service)
{
    char reason[BERTH_ERROR_MAX];
    struct berth_error error;

    if (service_routes_declare(daemon->router, entry->plugin, service, &error) != BERTH_OK) {
        if (plan_entry_will_run(entry))
            log_plugin(BERTH_LOG_WARN, entry->plugin->uri, "%s", error.message);
        return;
    }
    if (plan_entry_will_run(entry))
        return;
    snprintf(reason, sizeof(reason), "%s is not running: %s", entry->plugin->uri, entry->reason);
    router_set_gone(daemon->router, service->name, BERTH_UNAVAILABLE, reason);
}

static bool declare_services(struct daemon *daemon)
{
    daemon->router = router_create();
    if (daemon->router == NULL)
        abort();
    for (size_t i = 0; i < daemon->survey->plan->count; i++)
        for (size_t k = 0; k < daemon->survey->plan->entries[i].plugin->service_count; k++)
            declare_service(daemon, &daemon->survey->plan->entries[i],
                            &daemon->survey->plan->entries[i].services[k]);
    return true;
}

static void on_loading_line(void *context, enum berth_log_level level, const char *uri, enum berth_code code,
                            const char *text)
{
    if (code == BERTH_OK)
        log_plugin(level, uri, "%s", text);
    else
        log_plugin(level, uri, "failed: %s: %s", berth_code_name(code), text);
}

static struct watchdog_limits loop_limits(const struct settings *settings)
{
    return (struct watchdog_limits){
        .warn_after_ns = settings->loop.warn_after_ns,
        .stall_after_ns = settings->loop.stall_after_ns,
        .abort_after_ns = settings->loop.abort_after_ns,
    };
}

static void start_watchdog(struct daemon *daemon)
{
    daemon->watchdog = watchdog_start(&(struct watchdog_options){
        .clock = &daemon->clock,
        .running = &daemon->running,
        .limits = loop_limits(daemon->survey->settings),
        .alive_us = notify_watchdog_us(),
        .on_alive = notify_watchdog,
    });
}

static void give_up(struct daemon *daemon)
{
    daemon->exit_code = DAEMON_EXIT_FAILED;
    begin_stop(daemon);
}

static void on_settled(void *context)
{
    struct daemon *daemon = context;

    report_fallen(daemon->registry);
    if (!report_required(daemon->registry, daemon->survey->settings)) {
        give_up(daemon);
        return;
    }
    activation_open(daemon->activation);
    perform_serve(daemon->perform);
}

static void on_files_changed(void *context)
{
    struct daemon *daemon = context;

    reload_ask(daemon->reload, "files changed");
}

static void watch_files(struct daemon *daemon, const struct settings *settings)
{
    if (settings->watched_count == 0) {
        files_watch_destroy(daemon->files_watch);
        daemon->files_watch = NULL;
        return;
    }
    if (daemon->files_watch == NULL)
        daemon->files_watch = files_watch_create(&daemon->loop, on_files_changed, daemon);
    if (daemon->files_watch == NULL)
        log_line(BERTH_LOG_WARN, "cannot watch files for changes: %s", strerror(errno));
    else
        files_watch_set(daemon->files_watch, settings->watched, settings->watched_count);
}

static void on_served(void *context)
{
    struct daemon *daemon = context;

    if (!report_required(daemon->registry, daemon->survey->settings) || !report_servers(daemon->registry)) {
        give_up(daemon);
        return;
    }
    progress_end(&daemon->progress);
    reload_begin(daemon->reload, daemon->perform);
    watch_files(daemon, daemon->survey->settings);
    listeners_sweep(daemon->listeners);
    report_holds(daemon->registry);
}

static size_t count_ready(const struct daemon *daemon)
{
    size_t count = 0;

    for (size_t i = 0; i < daemon->survey->plan->run_count; i++)
        count += registry_plugin_is_ready(registry_get(daemon->registry, i));
    return count;
}

static size_t count_idle(const struct daemon *daemon)
{
    size_t count = 0;

    for (size_t i = 0; i < daemon->survey->plan->run_count; i++)
        count += registry_get(daemon->registry, i)->state == BERTH_STATE_IDLE;
    return count;
}

/*
 * Not before everything has started: large blocks that plugins allocate once and barely touch, such as LMDB's
 * list of 2 MiB, would otherwise come from memory that was used before, and be resident.
 */
static void settle_heap(const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->manifest_count; i++)
        manifest_forget_patterns(catalog->manifests[i]);
    mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK_BYTES);
    malloc_trim(0);
}

static void notify_of_ready(const struct daemon *daemon, char *status, size_t size)
{
    size_t idle = count_idle(daemon);
    char suffix[48] = "";

    if (idle > 0)
        snprintf(suffix, sizeof(suffix), ", %zu idle until called", idle);
    snprintf(status, size, "ready in %.0f ms, %zu of %zu plugins%s",
             (double)daemon->inspect.daemon.ready_ns / 1e6, count_ready(daemon), daemon->survey->plan->count,
             suffix);
    notify_ready(status);
}

static void on_ready(void *context)
{
    struct daemon *daemon = context;
    char status[128];

    daemon->inspect.daemon.ready = true;
    daemon->inspect.daemon.ready_ns = registry_since_start(daemon->registry);
    changes_note(&daemon->inspect.changes);
    notify_of_ready(daemon, status, sizeof(status));
    log_line(BERTH_LOG_INFO, "%s", status);
    settle_heap(&daemon->survey->catalog);
}

static void on_stopped(void *context)
{
    struct daemon *daemon = context;

    daemon->is_stopped = true;
    progress_end(&daemon->progress);
    tampering_stop_loop();
}

static enum berth_code on_load(void *context, const struct plan_entry *entry, struct registry_plugin *plugin,
                               struct generation_source *ret_source)
{
    struct daemon *daemon = context;

    return loading_load(&daemon->loading, daemon->survey, entry, plugin, ret_source);
}

static void on_drop(void *context, const struct generation_source *source)
{
    struct daemon *daemon = context;

    loading_drop(&daemon->loading, source);
}

static void on_keep_running(void *context, struct generation_source *before, struct generation_source *after)
{
    loading_adopt(before, after);
}

static void make_perform(struct daemon *daemon)
{
    daemon->perform = perform_create(&(struct perform_options){
        .host =
            {
                .loop = &daemon->loop,
                .registry = daemon->registry,
                .router = daemon->router,
                .inspect = &daemon->inspect.table,
                .listeners = daemon->listeners,
                .root = daemon->root,
                .state = daemon->state,
            },
        .prepare_threads = daemon->survey->settings->prepare_threads,
        .events = {on_settled, on_served, on_ready, on_stopped},
        .load = on_load,
        .drop = on_drop,
        .adopt = on_keep_running,
        .context = daemon,
    });
    daemon->holds.perform = daemon->perform;
    activation_begin(daemon->activation, daemon->perform);
}

static void on_residents(void *context)
{
    struct daemon *daemon = context;

    daemon->inspect.daemon.residents = daemon->loading.modules.residents;
    daemon->inspect.daemon.resident_count = daemon->loading.modules.resident_count;
    changes_note(&daemon->inspect.changes);
}

/* Third-party code runs from here on. What the survey has used would make large blocks of plugins resident.
 */
static bool load_modules(struct daemon *daemon)
{
    malloc_trim(0);
    start_watchdog(daemon);
    daemon->loading.on_line = on_loading_line;
    daemon->loading.context = daemon;
    daemon->loading.registry = daemon->registry;
    daemon->loading.notices = &daemon->notices;
    modules_init(&daemon->loading.modules, &daemon->loop, daemon->root,
                 daemon->survey->settings->upgrade.max_resident_bytes);
    daemon->loading.modules.on_residents = on_residents;
    daemon->loading.modules.context = daemon;
    reload_restore(daemon->reload, &daemon->loading.modules.originals);
    tampering_watch_process();
    printing_begin();
    make_perform(daemon);
    perform_load(daemon->perform, process_is_to_stop);
    crash_after_load();
    daemon->inspect.daemon.deprecations = daemon->notices.items;
    daemon->inspect.daemon.deprecation_count = daemon->notices.count;
    return true;
}

static struct settings_timeouts find_timeouts(void *context, const char *uri)
{
    return settings_timeouts_of(context, uri);
}

/* A level that was set at run time stays, unless the configuration has another one now. */
static void apply_settings(struct daemon *daemon, struct survey *survey)
{
    const struct watchdog_limits limits = loop_limits(survey->settings);

    if (survey->settings->log_level != daemon->survey->settings->log_level)
        log_set_level(survey->settings->log_level);
    log_set_format(survey->settings->log_format);
    watchdog_limit(daemon->watchdog, &limits);
    perform_set_prepare_threads(daemon->perform, survey->settings->prepare_threads);
    daemon->loading.modules.max_resident = survey->settings->upgrade.max_resident_bytes;
    perform_set_timeouts(daemon->perform, find_timeouts, survey->settings);
    watch_files(daemon, survey->settings);
}

static void on_adopt(void *context, struct survey *survey)
{
    struct daemon *daemon = context;

    apply_settings(daemon, survey);
    daemon->inspect.scan = &survey->scan;
    daemon->inspect.settings = survey->settings;
    notices_finish(&daemon->notices);
    notices_take(&daemon->notices, &(survey->base != NULL ? survey->base : survey)->diagnostics);
    daemon->inspect.daemon.deprecations = daemon->notices.items;
    daemon->inspect.daemon.deprecation_count = daemon->notices.count;
    survey_hold(survey);
    survey_drop(daemon->survey);
    daemon->survey = survey;
    changes_note(&daemon->inspect.changes);
}

static void on_work(void *context, bool is_busy)
{
    struct daemon *daemon = context;
    char status[128];

    if (is_busy)
        notify_reloading();
    else if (daemon->inspect.daemon.ready && !daemon->inspect.daemon.draining)
        notify_of_ready(daemon, status, sizeof(status));
}

static void on_route_change(void *context)
{
    struct daemon *daemon = context;

    changes_note(&daemon->inspect.changes);
}

static void on_held(void *context, const char *service, const char *plugin)
{
    struct daemon *daemon = context;

    activation_note(daemon->activation, plugin);
}

static bool make_registry(struct daemon *daemon)
{
    daemon->registry = registry_create(daemon->survey->plan, daemon->start_ns);
    daemon->root = memory_copy(daemon->survey->settings->root);
    daemon->state = memory_copy(daemon->survey->settings->state);
    inspect_init(&daemon->inspect, &daemon->loop, daemon->registry, &daemon->survey->scan, daemon->root,
                 daemon->state);
    daemon->inspect.settings = daemon->survey->settings;
    if (daemon->last_death.sentence[0] != '\0')
        daemon->inspect.daemon.last_death = daemon->last_death.sentence;
    if (daemon->last_death.uri[0] != '\0')
        daemon->inspect.daemon.last_death_plugin = daemon->last_death.uri;
    box_begin();
    daemon->costs = (struct costs){&daemon->loop, daemon->registry, daemon->router, &daemon->clock};
    costs_show(&daemon->costs, &daemon->inspect);
    daemon->holds =
        (struct holds){.loop = &daemon->loop, .registry = daemon->registry, .router = daemon->router};
    holds_show(&daemon->holds, &daemon->inspect);
    daemon->inspect.isolation_of = isolated_show;
    daemon->reload = reload_create(&(struct reload_options){
        .loop = &daemon->loop,
        .settings = daemon->options,
        .inspect = &daemon->inspect,
        .registry = daemon->registry,
        .survey = daemon->survey,
        .original_of = loading_original,
        .on_adopt = on_adopt,
        .on_work = on_work,
        .context = daemon,
    });
    daemon->activation = activation_create(&(struct activation_options){
        .loop = &daemon->loop,
        .inspect = &daemon->inspect,
        .registry = daemon->registry,
        .router = daemon->router,
        .reload = daemon->reload,
    });
    host_observe(daemon->router, on_route_change, on_held, daemon);
    return true;
}

static bool run_plugins(struct daemon *daemon)
{
    progress_begin(&daemon->progress, "starting", daemon->perform, daemon->router);
    perform_start(daemon->perform);
    for (;;) {
        uv_run(&daemon->loop, UV_RUN_DEFAULT);
        if (daemon->is_stopped)
            break;
        tampering_note_return();
    }
    return true;
}

static void name_busy(void *context, const char *uri)
{
    log_plugin(BERTH_LOG_WARN, uri, "still running; exiting without waiting for it");
}

/*
 * Exits without freeing anything that a plugin may still use. Streams are not flushed: one may be locked by a
 * blocked thread.
 */
static void end_under(const struct daemon *daemon)
{
    if (daemon->perform != NULL)
        perform_is_any_busy(daemon->perform, name_busy, NULL);
    listeners_destroy(daemon->listeners);
    printing_end();
    log_line(BERTH_LOG_INFO, "stopped exit_code=%d", daemon->exit_code);
    box_note_end();
    _exit(daemon->exit_code);
}

/*
 * The threads of libuv's pool end here, not during exit(3), when destructors of modules may have run already:
 * thread-specific data of plugins is destroyed while the modules are still intact.
 */
static void close_loop(struct daemon *daemon)
{
    bool is_busy = daemon->perform != NULL && perform_is_any_busy(daemon->perform, NULL, NULL);

    loading_stop(&daemon->loading);
    tampering_end();
    process_leave_signals(&daemon->signals);
    progress_finish(&daemon->progress);
    if (daemon->registry != NULL) {
        files_watch_destroy(daemon->files_watch);
        reload_close(daemon->reload);
        activation_close(daemon->activation);
        inspect_finish(&daemon->inspect);
    }
    if (!is_busy)
        drain_run(&daemon->loop, DRAIN_LIMIT_MS);
    watchdog_stop(daemon->watchdog);
    watch_clock_stop(&daemon->clock);
    notify_stop();
    uv_close((uv_handle_t *)&daemon->turn, NULL);
    if (is_busy)
        end_under(daemon);
    if (!drain_loop(&daemon->loop)) {
        lingering_report(false);
        end_under(daemon);
    }
    uv_library_shutdown();
    lingering_report(true);
}

static void finish(struct daemon *daemon)
{
    if (daemon->is_loop_open)
        close_loop(daemon);
    watchdog_destroy(daemon->watchdog);
    perform_destroy(daemon->perform);
    listeners_destroy(daemon->listeners);
    activation_destroy(daemon->activation);
    reload_destroy(daemon->reload);
    router_destroy(daemon->router);
    registry_destroy(daemon->registry);
    loading_finish(&daemon->loading);
    notices_finish(&daemon->notices);
    survey_drop(daemon->survey);
    free(daemon->root);
    free(daemon->state);
}

int daemon_run(const struct settings_options *options)
{
    static bool (*const phases[])(struct daemon * daemon) = {
        open_loop, take_survey,      check_settings, make_folders, open_box,
        make_plan, declare_services, make_registry,  load_modules, run_plugins,
    };
    struct daemon daemon = {.options = options, .exit_code = DAEMON_EXIT_OK, .start_ns = uv_hrtime()};
    size_t count = sizeof(phases) / sizeof(phases[0]);

    /* Each manifest's reader would take its buffers from the kernel, and return them, anew. */
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    running_thread_begin(&daemon.running, true);
    log_start(BERTH_LOG_INFO, log_format_of(STDERR_FILENO), STDERR_FILENO);
    /* Before anything is opened that could pass for a descriptor of the service manager. */
    daemon.listeners = listeners_create(notify_send);
    crash_start(&(struct crash_options){
        .exit_code = DAEMON_EXIT_PLUGIN, .on_death = box_note_death, .each_rest = printing_each_rest});
    notify_start();
    for (size_t i = 0; i < count && !process_is_to_stop(); i++)
        if (!phases[i](&daemon))
            break;
    if (process_is_to_stop() && daemon.perform == NULL)
        log_line(BERTH_LOG_INFO, "shutting down before any plugin has started");
    finish(&daemon);
    printing_end();
    running_thread_end();
    box_close();
    crash_expect_exit();
    log_line(BERTH_LOG_INFO, "stopped exit_code=%d", daemon.exit_code);
    return daemon.exit_code;
}
