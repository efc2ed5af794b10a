/* SPDX-License-Identifier: Apache-2.0 */
/* A stage for plugins that are struct literals: a plan from YAML, a loop, a log that can be read. */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <core/perform/perform.h>
#include <core/base/log.h>

#define STAGE_PLUGINS 16
#define MILLISECOND 1000000ull

struct stage {
    uv_loop_t loop;
    struct manifest *manifest;
    struct catalog catalog;
    struct plan *plan;
    struct registry *registry;
    struct router *router;
    struct generation_source parts[STAGE_PLUGINS];
    struct perform *perform;
    int log_fd;
    /** Where plugins may keep things; nowhere unless a test says. */
    const char *root;
    bool settled, served, ready, stopped;
    /** What the owner does once all have settled. */
    bool stops_when_settled;
    /** What plugins did, in order: "init a, init b, ". */
    char trace[4096];
    uv_timer_t timer;
    void (*on_timer)(void);
};

static struct stage stage;

static inline void stage_note(const char *what, const char *id)
{
    size_t used = strlen(stage.trace);

    snprintf(stage.trace + used, sizeof(stage.trace) - used, "%s %s, ", what, id);
}

static inline void stage_on_settled(void *context)
{
    stage.settled = true;
    if (stage.stops_when_settled)
        perform_stop(stage.perform);
    else
        perform_serve(stage.perform);
}

static inline void stage_on_served(void *context)
{
    stage.served = true;
}

static inline void stage_on_ready(void *context)
{
    stage.ready = true;
}

static inline void stage_on_stopped(void *context)
{
    stage.stopped = true;
}

/** Plans the plugins of a manifest, given as the list under `plugins:`. */
static inline void stage_open(const char *plugins)
{
    struct config_diagnostics diagnostics = {0};
    const struct settings_plan settings = {0};
    char text[8192];

    memset(&stage, 0, sizeof(stage));
    stage.log_fd = memfd_create("log", MFD_CLOEXEC);
    log_start(BERTH_LOG_DEBUG, LOG_JOURNAL, stage.log_fd);
    snprintf(text, sizeof(text), "module: stage\nversion: 1.0.0\nplugins:\n%s", plugins);
    stage.manifest = manifest_parse("stage.so", text, strlen(text), &diagnostics);
    for (size_t i = 0; i < diagnostics.count; i++)
        print_error("%s\n", diagnostics.items[i].message);
    assert_non_null(stage.manifest);
    config_diagnostics_finish(&diagnostics);
    catalog_init(&stage.catalog, (const struct manifest *const[]){stage.manifest}, 1);
    stage.plan = plan_create(&stage.catalog, &settings);
    stage.registry = registry_create(stage.plan, uv_hrtime());
    stage.router = router_create();
    for (size_t i = 0; i < stage.plan->run_count; i++)
        for (size_t k = 0; k < stage.plan->entries[i].plugin->service_count; k++)
            assert_int_equal(service_routes_declare(stage.router, stage.plan->entries[i].plugin,
                                                    &stage.plan->entries[i].plugin->services[k], NULL),
                             BERTH_OK);
    assert_int_equal(uv_loop_init(&stage.loop), 0);
}

static inline struct registry_plugin *stage_plugin(const char *id)
{
    for (size_t i = 0; i < stage.plan->count; i++)
        if (strcmp(stage.plan->entries[i].plugin->id, id) == 0)
            return registry_get(stage.registry, i);
    fail_msg("no plugin %s", id);
    return NULL;
}

static inline enum berth_state stage_state(const char *id)
{
    return stage_plugin(id)->state;
}

static inline struct generation_source *stage_part(const char *id)
{
    return &stage.parts[stage_plugin(id)->index];
}

/** Everyone without a table of its own gets `table`, and deadlines that no test reaches. */
static inline void stage_cast(const struct berth_plugin *table)
{
    for (size_t i = 0; i < stage.plan->run_count; i++) {
        stage.parts[i].table = table;
        stage.parts[i].timeouts = (struct settings_timeouts){
            .prepare_ns = 60000 * MILLISECOND,
            .init_ns = 60000 * MILLISECOND,
            .serve_ns = 60000 * MILLISECOND,
            .drain_ns = 60000 * MILLISECOND,
            .close_ns = 60000 * MILLISECOND,
        };
    }
}

static inline enum berth_code stage_load(void *context, const struct plan_entry *entry,
                                         struct registry_plugin *plugin, struct generation_source *ret_source)
{
    *ret_source = stage.parts[plugin->index];
    ret_source->entry = entry;
    if (ret_source->table != NULL)
        return BERTH_OK;
    registry_blame(stage.registry, plugin, BERTH_STATE_FAILED, BERTH_UNAVAILABLE,
                   "undefined symbol: frobnicate", NULL);
    return BERTH_UNAVAILABLE;
}

static inline void stage_start(void)
{
    const struct perform_options options = {
        .host = {.loop = &stage.loop,
                 .registry = stage.registry,
                 .router = stage.router,
                 .root = stage.root != NULL ? stage.root : "/nonexistent/root",
                 .state = "/nonexistent/state"},
        .prepare_threads = 2,
        .events = {stage_on_settled, stage_on_served, stage_on_ready, stage_on_stopped},
        .load = stage_load,
    };

    stage.perform = perform_create(&options);
    perform_load(stage.perform, NULL);
    perform_start(stage.perform);
}

static inline void stage_name_busy(void *context, const char *uri)
{
    const char **wanted = context;

    if (*wanted != NULL && strcmp(uri, *wanted) == 0)
        *wanted = NULL;
}

/** After stage_stop: may code of this plugin still run? */
static inline bool stage_is_busy(const char *id)
{
    const char *wanted = stage_plugin(id)->entry->plugin->uri;

    perform_is_any_busy(stage.perform, stage_name_busy, &wanted);
    return wanted == NULL;
}

static inline void stage_run_until(const bool *flag)
{
    while (!*flag)
        assert_true(uv_run(&stage.loop, UV_RUN_ONCE) != 0 || *flag);
}

static inline void stage_run_until_state(const char *id, enum berth_state state)
{
    while (stage_state(id) != state)
        assert_int_not_equal(uv_run(&stage.loop, UV_RUN_ONCE), 0);
}

static inline void stage_fire(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
    stage.on_timer();
}

/** Calls once after some milliseconds; one at a time. */
static inline void stage_later(unsigned ms, void (*on_timer)(void))
{
    stage.on_timer = on_timer;
    uv_timer_init(&stage.loop, &stage.timer);
    uv_timer_start(&stage.timer, stage_fire, ms, 0);
}

static inline void stage_stop(void)
{
    perform_stop(stage.perform);
    stage_run_until(&stage.stopped);
}

/** What was logged so far; until the next call. */
static inline const char *stage_log(void)
{
    static char text[65536];
    ssize_t length = pread(stage.log_fd, text, sizeof(text) - 1, 0);

    text[length > 0 ? length : 0] = '\0';
    return text;
}

static inline void stage_assert_logged(const char *text)
{
    if (strstr(stage_log(), text) == NULL)
        fail_msg("\"%s\" is not in the log:\n%s", text, stage_log());
}

/** How many lines have this in them? */
static inline size_t stage_count_logged(const char *text)
{
    size_t count = 0;

    for (const char *at = strstr(stage_log(), text); at != NULL; at = strstr(at + 1, text))
        count++;
    return count;
}

/** After stage_stop: nothing may be left on the loop. */
static inline void stage_close(void)
{
    assert_false(perform_is_any_busy(stage.perform, NULL, NULL));
    uv_run(&stage.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stage.loop), 0);
    perform_destroy(stage.perform);
    router_destroy(stage.router);
    registry_destroy(stage.registry);
    plan_destroy(stage.plan);
    catalog_finish(&stage.catalog);
    manifest_destroy(stage.manifest);
    log_start(BERTH_LOG_INFO, LOG_TEXT, STDERR_FILENO);
    close(stage.log_fd);
}

#endif
