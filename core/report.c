/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon reports to its operator: log lines, the pending steps of a start or a stop, and
 * deprecations. Decides nothing.
 */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <config/text/text.h>
#include <config/text/utf8.h>
#include <core/base/log.h>
#include <core/plan/plan.h>

#include "notify.h"
#include "revision.h"

static void add_value(struct config_text *text, const char *value)
{
    if (value[strcspn(value, " \"\\=,")] != '\0' || value[0] == '\0')
        config_text_add_quoted(text, value, strlen(value));
    else
        config_text_add(text, "%s", value);
}

static void add_list(struct config_text *text, const char *key, const char *const *values, size_t count)
{
    struct config_text list = {0};

    for (size_t i = 0; i < count; i++)
        config_text_add(&list, "%s%s", i > 0 ? "," : "", values[i]);
    config_text_add(text, " %s=", key);
    add_value(text, count > 0 ? list.bytes : "none");
    config_text_finish(&list);
}

void report_start(const struct settings *settings)
{
    struct config_text text = {0};

    config_text_add(&text, "berthd starting version=%s", BERTH_VERSION);
    if (BERTH_REVISION[0] != '\0')
        config_text_add(&text, " revision=%.12s", BERTH_REVISION);
    if (settings != NULL) {
        add_list(&text, "config", settings->files, settings->file_count);
        add_list(&text, "plugin_dirs", settings->plugin_dirs, settings->plugin_dir_count);
    }
    log_write(BERTH_LOG_INFO, NULL, text.bytes);
    config_text_finish(&text);
}

void report_diagnostics(struct config_diagnostics *diagnostics)
{
    config_diagnostics_sort(diagnostics);
    for (size_t i = 0; i < diagnostics->count; i++) {
        char *line = config_diagnostic_format(&diagnostics->items[i]);

        log_write(diagnostics->items[i].severity == CONFIG_ERROR ? BERTH_LOG_ERROR : BERTH_LOG_WARN, NULL,
                  line);
        free(line);
    }
    if (diagnostics->dropped > 0)
        log_line(BERTH_LOG_ERROR, "and %zu more like these", diagnostics->dropped);
}

void report_files(const struct scan *scan)
{
    for (size_t i = 0; i < scan->warning_count; i++)
        log_line(BERTH_LOG_WARN, "%s", scan->warnings[i]);
    for (size_t i = 0; i < scan->count; i++)
        if (scan->files[i].reason != NULL)
            log_line(BERTH_LOG_WARN, "rejected: %s", scan->files[i].reason);
}

/* Plugins that fall with another are listed in its line, see report_fallen. */
static void report_entry(const struct plan_entry *entry)
{
    bool is_wanted = entry->state == BERTH_STATE_DISABLED || entry->state == BERTH_STATE_SKIPPED;
    enum berth_log_level level = is_wanted ? BERTH_LOG_INFO : BERTH_LOG_WARN;

    if (entry->cause != PLAN_NONE && entry->state != BERTH_STATE_REJECTED)
        level = BERTH_LOG_DEBUG;
    log_plugin(level, entry->plugin->uri, "%s: %s", berth_state_name(entry->state), entry->reason);
}

void report_plan(const struct plan *plan)
{
    for (size_t i = 0; i < plan->warning_count; i++)
        log_line(BERTH_LOG_WARN, "%s", plan->warnings[i]);
    for (size_t i = plan->run_count; i < plan->count; i++)
        report_entry(&plan->entries[i]);
}

/* Where the chain of causes ends; a cycle of plugins ends somewhere in it. */
static const struct registry_plugin *root_of(const struct registry *registry,
                                             const struct registry_plugin *plugin)
{
    for (size_t steps = 0; plugin->cause != NULL && steps < registry_count(registry); steps++)
        plugin = plugin->cause;
    return plugin;
}

/* One line for all plugins that fall with one; its own line has said why. */
static void report_fallen_with(const struct registry *registry, const struct registry_plugin *root,
                               enum berth_state state, enum berth_log_level level)
{
    struct log_names names = {0};

    for (size_t i = 0; i < registry_count(registry); i++) {
        const struct registry_plugin *plugin = registry_at(registry, i);

        if (plugin != root && plugin->state == state && root_of(registry, plugin) == root)
            log_names_add(&names, "%s", plugin->entry->plugin->uri);
    }
    if (names.count > 0)
        log_plugin(level, root->entry->plugin->uri, "%zu plugin%s %s because of it: %s", names.count,
                   names.count == 1 ? "" : "s", berth_state_name(state), log_names_text(&names));
}

static bool is_root(const struct registry *registry, const struct registry_plugin *plugin)
{
    for (size_t i = 0; i < registry_count(registry); i++)
        if (registry_at(registry, i)->cause == plugin)
            return plugin->cause == NULL || root_of(registry, plugin) == plugin;
    return false;
}

void report_fallen(const struct registry *registry)
{
    for (size_t i = 0; i < registry_count(registry); i++) {
        const struct registry_plugin *plugin = registry_at(registry, i);

        if (registry_plugin_is_ready(plugin) || !is_root(registry, plugin))
            continue;
        report_fallen_with(registry, plugin, BERTH_STATE_BLOCKED, BERTH_LOG_WARN);
        report_fallen_with(registry, plugin, BERTH_STATE_SKIPPED, BERTH_LOG_INFO);
    }
}

static void place_of(const struct config_mark *mark, char *text, size_t size)
{
    if (mark->file != NULL && mark->line > 0)
        snprintf(text, size, "%s:%u:%u: ", mark->file, mark->line, mark->column);
    else
        text[0] = '\0';
}

static bool is_met(const struct registry *registry, const struct settings_uri *required)
{
    const struct registry_plugin *plugin = registry_find(registry, required->uri);

    return plugin != NULL && registry_plugin_is_ready(plugin);
}

static void report_unready(const struct registry *registry, const struct settings_uri *required,
                           const char *consequence)
{
    const struct registry_plugin *plugin = registry_find(registry, required->uri);
    char place[512];

    place_of(&required->mark, place, sizeof(place));
    if (plugin == NULL)
        log_line(BERTH_LOG_ERROR, "%srequired plugin %s: no such plugin%s", place, required->uri,
                 consequence);
    else
        log_line(BERTH_LOG_ERROR, "%srequired plugin %s is %s%s%s%s", place, required->uri,
                 berth_state_name(plugin->state), plugin->reason != NULL ? ": " : "",
                 plugin->reason != NULL ? plugin->reason : "", consequence);
}

bool report_required(const struct registry *registry, const struct settings *settings)
{
    const struct settings_uri *required = settings->required;
    size_t count = settings->required_count;
    size_t missing = 0;

    for (size_t i = 0; i < count; i++)
        missing += !is_met(registry, &required[i]);
    for (size_t i = 0; missing > 0 && i < count; i++)
        if (!is_met(registry, &required[i]))
            report_unready(registry, &required[i], missing == 1 ? "; shutting down" : "");
    if (missing > 1)
        log_line(BERTH_LOG_ERROR, "%zu of %zu required plugins are not ready; shutting down", missing, count);
    return missing == 0;
}

bool report_servers(const struct registry *registry)
{
    size_t servers = 0;

    for (size_t i = 0; i < registry_plan(registry)->run_count; i++) {
        const struct registry_plugin *plugin = registry_get(registry, i);

        if (plugin->state == BERTH_STATE_SERVING)
            return true;
        servers += plugin->table != NULL && BERTH_HAS(plugin->table, serve);
    }
    if (servers > 0)
        log_line(BERTH_LOG_ERROR, "no server is running: none of %zu could start; shutting down", servers);
    else
        log_line(BERTH_LOG_ERROR, "no server is running: none of %zu plugins is a server; shutting down",
                 registry_plan(registry)->count);
    return false;
}

void report_holds(const struct registry *registry)
{
    for (size_t i = 0; i < registry_plan(registry)->run_count; i++) {
        const struct registry_plugin *plugin = registry_get(registry, i);

        for (const struct berth_hold *hold = plugin->holds; hold != NULL; hold = hold->next)
            log_plugin(BERTH_LOG_INFO, plugin->entry->plugin->uri, "holding readiness, waiting for: %s",
                       hold->what);
    }
}

#define INTERVAL_MS 2000
/* Several intervals, so that a loop that is briefly busy is not taken for a hanging one. */
#define EXTENSION_US (5 * INTERVAL_MS * UINT64_C(1000))

static void add_name(void *context, const char *uri, const char *step)
{
    log_names_add(context, "%s of %s", step, uri);
}

/* If the loop hangs in a plugin, this does not run and the service manager's own timeout applies. */
static void on_timer(uv_timer_t *timer)
{
    struct progress *progress = timer->data;
    struct log_names waiting = {0};
    char calls[512], status[sizeof(progress->told)];

    perform_each_pending(progress->perform, add_name, &waiting);
    if (waiting.count == 0)
        return;
    notify_extend_timeout(EXTENSION_US);
    router_describe_calls(progress->router, NULL, calls, sizeof(calls));
    snprintf(status, sizeof(status), "%s: waiting for %s%s%s", progress->what, log_names_text(&waiting),
             calls[0] != '\0' ? "; " : "", calls);
    notify_status(status);
    if (strcmp(status, progress->told) == 0)
        return;
    memcpy(progress->told, status, sizeof(status));
    log_line(BERTH_LOG_INFO, "%s", status);
}

void progress_init(struct progress *progress, uv_loop_t *loop)
{
    uv_timer_init(loop, &progress->timer);
    progress->timer.data = progress;
}

void progress_begin(struct progress *progress, const char *what, const struct perform *perform,
                    const struct router *router)
{
    progress->what = what;
    progress->perform = perform;
    progress->router = router;
    progress->told[0] = '\0';
    uv_timer_start(&progress->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
}

void progress_end(struct progress *progress)
{
    uv_timer_stop(&progress->timer);
}

void progress_finish(struct progress *progress)
{
    uv_close((uv_handle_t *)&progress->timer, NULL);
}

static void add(struct notices *notices, const struct config_diagnostic *diagnostic)
{
    struct berth_notice *items = reallocarray(notices->items, notices->count + 1, sizeof(*items));
    char *subject = strdup(diagnostic->deprecated);
    char *message = config_diagnostic_format(diagnostic);

    if (items == NULL || subject == NULL)
        abort();
    utf8_make_line(subject);
    utf8_make_line(message);
    items[notices->count++] = (struct berth_notice){.subject = subject, .message = message};
    notices->items = items;
}

void notices_take(struct notices *notices, const struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->items[i].deprecated != NULL)
            add(notices, &diagnostics->items[i]);
}

void notices_finish(struct notices *notices)
{
    for (size_t i = 0; i < notices->count; i++) {
        free((char *)notices->items[i].subject);
        free((char *)notices->items[i].message);
    }
    free(notices->items);
    *notices = (struct notices){0};
}
