/* SPDX-License-Identifier: Apache-2.0 */
/* Describes the daemon and every plugin and file that was found, whatever became of it. */
#include "state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <core/base/misuse.h>
#include <core/scan/scan.h>

#include "connections.h"
#include "revision.h"

/* Memory for the parts of an info that exist nowhere else. */
struct scratch {
    const char **strings;
    struct berth_strings *transports;
    struct berth_edge *edges;
    size_t string_count, edge_count;
};

static struct berth_strings take_strings(struct scratch *scratch, size_t first)
{
    return (struct berth_strings){.items = scratch->strings + first, .count = scratch->string_count - first};
}

static struct berth_strings add_requirements(struct scratch *scratch,
                                             const struct manifest_requirement *requirements, size_t count)
{
    size_t first = scratch->string_count;

    for (size_t i = 0; i < count; i++)
        scratch->strings[scratch->string_count++] = requirements[i].name;
    return take_strings(scratch, first);
}

static struct berth_strings add_services(struct scratch *scratch, const struct plan_entry *entry)
{
    size_t first = scratch->string_count;

    for (size_t i = 0; i < entry->plugin->service_count; i++) {
        const struct manifest_service *service = &entry->services[i];

        scratch->strings[scratch->string_count++] = service->name;
        scratch->transports[i] =
            (struct berth_strings){.items = service->transports, .count = service->transport_count};
    }
    return take_strings(scratch, first);
}

static struct berth_strings add_holds(struct scratch *scratch, const struct registry_plugin *plugin)
{
    size_t first = scratch->string_count;

    for (const struct berth_hold *hold = plugin->holds; hold != NULL; hold = hold->next)
        scratch->strings[scratch->string_count++] = hold->what;
    return take_strings(scratch, first);
}

/* The providers of one requirement, by index; NULL: the first `*ret_count` entries of the plan. */
static const size_t *providers_of(const struct plan *plan, size_t entry,
                                  const struct plan_requirement *requirement, size_t *ret_count)
{
    *ret_count = 0;
    switch (requirement->target) {
    case PLAN_TARGET_PLUGIN:
        *ret_count = 1;
        return &requirement->index;
    case PLAN_TARGET_TYPE:
        *ret_count = plan->types[requirement->index].member_count;
        return plan->types[requirement->index].members;
    case PLAN_TARGET_ALL:
        *ret_count = entry < plan->run_count ? entry : 0;
        return NULL;
    case PLAN_TARGET_NOBODY:
        return NULL;
    }
    return NULL;
}

static size_t count_edges(const struct plan *plan, size_t entry)
{
    size_t total = 0, count;

    for (size_t i = 0; i < plan->entries[entry].requirement_count; i++) {
        providers_of(plan, entry, &plan->entries[entry].requirements[i], &count);
        total += count;
    }
    return total;
}

static void add_edges(struct scratch *scratch, const struct plan *plan, size_t entry)
{
    for (size_t i = 0; i < plan->entries[entry].requirement_count; i++) {
        const struct plan_requirement *requirement = &plan->entries[entry].requirements[i];
        size_t count;
        const size_t *providers = providers_of(plan, entry, requirement, &count);

        for (size_t k = 0; k < count; k++) {
            size_t provider = providers != NULL ? providers[k] : k;

            if (provider != entry)
                scratch->edges[scratch->edge_count++] = (struct berth_edge){
                    .provider = plan->entries[provider].plugin->uri,
                    .requirement = requirement->name,
                    .binding = requirement->binding,
                };
        }
    }
}

static bool allocate_scratch(struct scratch *scratch, const struct plan *plan,
                             const struct registry_plugin *plugin)
{
    const struct manifest_plugin *manifest = plugin->entry->plugin;
    size_t strings =
        manifest->requirement_count + manifest->want_count + manifest->service_count + plugin->hold_count;
    size_t edges = plugin->index != PLAN_NONE ? count_edges(plan, plugin->index) : 0;

    scratch->strings = calloc(strings > 0 ? strings : 1, sizeof(*scratch->strings));
    scratch->transports = calloc(manifest->service_count + 1, sizeof(*scratch->transports));
    scratch->edges = calloc(edges > 0 ? edges : 1, sizeof(*scratch->edges));
    scratch->string_count = 0;
    scratch->edge_count = 0;
    return scratch->strings != NULL && scratch->transports != NULL && scratch->edges != NULL;
}

static void fill_from_manifest(struct berth_plugin_info *info, struct scratch *scratch,
                               const struct plan_entry *entry)
{
    const struct manifest_plugin *manifest = entry->plugin;

    info->uri = manifest->uri;
    info->type = manifest->type;
    info->id = manifest->id;
    info->path = manifest->manifest->path;
    info->module = manifest->manifest->module;
    info->version = manifest->manifest->version;
    info->signer = manifest->manifest->signer;
    info->signature_verified = manifest->manifest->is_verified;
    info->signer_comment = manifest->manifest->signer_comment;
    info->description =
        manifest->description != NULL ? manifest->description : manifest->manifest->description;
    info->requirements = add_requirements(scratch, manifest->requirements, manifest->requirement_count);
    info->wants = add_requirements(scratch, manifest->wants, manifest->want_count);
    info->services = add_services(scratch, entry);
    info->transports = scratch->transports;
}

static bool is_same_content(const struct manifest *a, const struct manifest *b)
{
    return a->hash == b->hash &&
           (a->file == NULL || b->file == NULL || verify_is_same_content(&a->file->status, &b->file->status));
}

/* NULL if it runs that, or does not run. */
static const char *find_newest_version(const struct registry_plugin *plugin)
{
    const struct manifest *runs = plugin->entry->plugin->manifest, *newest;

    if (!plugin->is_taken || plugin->planned == NULL || runs->version == NULL)
        return NULL;
    newest = plugin->planned->plugin->manifest;
    return newest->version != NULL && !is_same_content(runs, newest) ? newest->version : NULL;
}

static const char *find_held_back(const struct registry_plugin *plugin)
{
    const struct manifest *planned =
        plugin->planned != NULL && plugin->is_taken ? plugin->planned->plugin->manifest : NULL;

    return planned != NULL && planned->file != NULL ? planned->file->held_back : NULL;
}

static void fill_from_registry(struct berth_plugin_info *info, struct scratch *scratch,
                               const struct plan *plan, const struct registry_plugin *plugin)
{
    info->state = plugin->state;
    info->code = plugin->code;
    info->reason = plugin->reason;
    info->cause = plugin->cause != NULL ? plugin->cause->entry->plugin->uri : NULL;
    info->capabilities = (struct berth_strings){plugin->capabilities, plugin->capability_count};
    info->platforms = plugin->platforms;
    info->platform_count = plugin->platform_count;
    info->exports = plugin->exports;
    info->export_count = plugin->export_count;
    info->level = plugin->entry->level;
    info->generation = plugin->generation;
    info->times = plugin->times;
    info->holds = add_holds(scratch, plugin);
    if (plugin->index != PLAN_NONE)
        add_edges(scratch, plan, plugin->index);
    info->edges = scratch->edges;
    info->edge_count = scratch->edge_count;
    info->condition = plugin->condition;
    info->condition_reason = plugin->condition_reason;
    info->newest_version = find_newest_version(plugin);
    info->held_back = find_held_back(plugin);
    if (plugin->planned != NULL) {
        info->starts_on_call = plugin->planned->starts_on_call;
        info->activation = plugin->planned->activation;
        info->http_prefix = plugin->planned->plugin->http_prefix;
    }
}

typedef bool (*visitor)(void *context, const struct berth_plugin_info *info);

static bool visit_plugin(const struct inspect *inspect, size_t index, visitor on_plugin, void *context)
{
    const struct plan *plan = registry_plan(inspect->registry);
    const struct registry_plugin *plugin = registry_at(inspect->registry, index);
    struct berth_plugin_info info = {.size = sizeof(info)};
    struct scratch scratch;
    bool goes_on = false;

    if (allocate_scratch(&scratch, plan, plugin)) {
        fill_from_manifest(&info, &scratch, plugin->entry);
        fill_from_registry(&info, &scratch, plan, plugin);
        if (inspect->isolation_of != NULL)
            info.isolation = inspect->isolation_of(info.uri, info.generation);
        goes_on = on_plugin(context, &info);
    }
    free(scratch.strings);
    free(scratch.transports);
    free(scratch.edges);
    return goes_on;
}

static bool visit_rejected(const struct scan_file *file, visitor on_plugin, void *context)
{
    struct berth_plugin_info info = {
        .size = sizeof(info),
        .path = file->shown,
        .state = BERTH_STATE_REJECTED,
        .code = file->code,
        .reason = file->reason,
        .level = -1,
    };

    return on_plugin(context, &info);
}

/* Everything here is for the loop's thread: elsewhere nothing is visited, watched or changed. */
bool inspect_is_on_loop(const struct berth_inspect *table, const char *function, const void *caller)
{
    const struct inspect *inspect = table->context;
    char what[160];

    if (pthread_equal(pthread_self(), inspect->thread))
        return true;
    snprintf(what, sizeof(what), "called %s from a thread other than the loop's; ignored: use berth_post",
             function);
    misuse_report(&(struct misuse){.what = what, .caller = caller});
    return false;
}

#define IS_ON_LOOP(table, function) inspect_is_on_loop(table, function, __builtin_return_address(0))

static void inspect_each(const struct berth_inspect *table, visitor on_plugin, void *context)
{
    const struct inspect *inspect = table->context;
    size_t count = registry_count(inspect->registry);

    if (!IS_ON_LOOP(table, "inspect->each"))
        return;
    for (size_t i = 0; i < count; i++)
        if (!visit_plugin(inspect, i, on_plugin, context))
            return;
    for (size_t i = 0; inspect->scan != NULL && i < inspect->scan->count; i++)
        if (inspect->scan->files[i].reason != NULL &&
            !visit_rejected(&inspect->scan->files[i], on_plugin, context))
            return;
}

static struct changes *changes_of(const struct berth_inspect *table)
{
    return &((struct inspect *)(uintptr_t)table->context)->changes;
}

void inspect_note(const struct inspect *inspect, const char *what, const void *function,
                  void (*revoke)(void *context), void *context)
{
    const struct ledger_side holder = registry_find_holder(inspect->registry, function);
    const struct ledger_side provider = {.owner = inspect, .name = "berthd"};
    struct berth_holding *holding = ledger_hold(registry_ledger(inspect->registry), &holder, &provider, what);

    holding->revoke = revoke;
    holding->context = context;
}

bool inspect_end(const struct inspect *inspect, const void *context)
{
    return context != NULL && ledger_release_context(registry_ledger(inspect->registry), inspect, context);
}

static struct berth_watch *inspect_watch(const struct berth_inspect *table, void (*on_change)(void *context),
                                         void *context)
{
    struct berth_watch *watch;

    if (!IS_ON_LOOP(table, "inspect->watch"))
        return NULL;
    watch = changes_watch(changes_of(table), on_change, context);
    if (watch != NULL)
        inspect_note(table->context, "a watch of the daemon's state", (const void *)(uintptr_t)on_change,
                     changes_revoke, watch);
    return watch;
}

static void inspect_unwatch(const struct berth_inspect *table, struct berth_watch *watch)
{
    if (IS_ON_LOOP(table, "inspect->unwatch") && inspect_end(table->context, watch))
        changes_unwatch(changes_of(table), watch);
}

/* NULL if the plugin is not a server, is not ready, or has another interface. */
static const struct berth_server *server_of(const struct registry_plugin *plugin)
{
    return registry_plugin_is_ready(plugin)
               ? connections_server(plugin->entry->plugin->interface, plugin->table)
               : NULL;
}

static void inspect_connections(const struct berth_inspect *table,
                                bool (*on_connection)(void *context,
                                                      const struct berth_connection *connection),
                                void *context)
{
    const struct registry *registry = ((const struct inspect *)table->context)->registry;
    bool wants_more = true;

    if (!IS_ON_LOOP(table, "inspect->connections"))
        return;
    for (size_t i = 0; i < registry_count(registry) && wants_more; i++) {
        const struct registry_plugin *plugin = registry_at(registry, i);
        const struct berth_server *server = server_of(plugin);

        if (server == NULL)
            continue;
        running_enter(plugin->running, RUNNING_CALLBACK, "each_connection");
        wants_more =
            connections_each(server, plugin->instance, plugin->entry->plugin->uri, on_connection, context);
        running_leave();
    }
}

static enum berth_code inspect_close_connection(const struct berth_inspect *table, const char *uri,
                                                uint64_t number, struct berth_error *err)
{
    const struct registry *registry = ((const struct inspect *)table->context)->registry;
    const struct registry_plugin *plugin = registry_find(registry, uri);
    const struct berth_server *server = plugin != NULL ? server_of(plugin) : NULL;
    enum berth_code code;

    if (!IS_ON_LOOP(table, "inspect->close_connection"))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "close_connection is for the loop's thread");
    if (server == NULL)
        return connections_close(NULL, NULL, uri, number, err);
    running_enter(plugin->running, RUNNING_CALLBACK, "close_connection");
    code = connections_close(server, plugin->instance, uri, number, err);
    running_leave();
    return code;
}

static struct followers *followers_of(const struct berth_inspect *table)
{
    return &((struct inspect *)(uintptr_t)table->context)->followers;
}

static struct berth_log_follower *inspect_follow_log(const struct berth_inspect *table,
                                                     const struct berth_log_filter *filter,
                                                     void (*on_lines)(void *context), void *context)
{
    struct berth_log_follower *follower;

    if (!IS_ON_LOOP(table, "inspect->follow_log"))
        return NULL;
    follower = followers_add(followers_of(table), filter, on_lines, context);
    if (follower != NULL)
        inspect_note(table->context, "the log", (const void *)(uintptr_t)on_lines, followers_revoke,
                     follower);
    return follower;
}

static bool inspect_next_line(const struct berth_inspect *table, struct berth_log_follower *follower,
                              struct berth_log_line *ret_line)
{
    if (!IS_ON_LOOP(table, "inspect->next_line") || !followers_has(followers_of(table), follower))
        return false;
    return followers_next(followers_of(table), follower, ret_line);
}

static void inspect_unfollow_log(const struct berth_inspect *table, struct berth_log_follower *follower)
{
    if (IS_ON_LOOP(table, "inspect->unfollow_log") && inspect_end(table->context, follower))
        followers_remove(followers_of(table), follower);
}

static int inspect_log_level(const struct berth_inspect *table, const char *uri)
{
    const struct running_plugin *plugin = uri != NULL ? running_find(uri) : NULL;

    if (uri == NULL)
        return (int)log_level();
    return plugin != NULL ? log_plugin_level(plugin) : -1;
}

static enum berth_code inspect_set_log_level(const struct berth_inspect *table, const char *uri, int level,
                                             struct berth_error *err)
{
    struct running_plugin *plugin = uri != NULL ? running_find(uri) : NULL;

    if (!IS_ON_LOOP(table, "inspect->set_log_level"))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "set_log_level is for the loop's thread");
    if (level < (uri != NULL ? -1 : BERTH_LOG_ERROR) || level > BERTH_LOG_DEBUG)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%d is not a level of the log", level);
    if (uri != NULL && plugin == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "plugin \"%.200s\" not found or not running", uri);
    if (plugin != NULL)
        log_set_plugin_level(plugin, level);
    else
        log_set_level((enum berth_log_level)level);
    return BERTH_OK;
}

static enum berth_code inspect_settings(const struct berth_inspect *table, const char *uri,
                                        bool (*on_setting)(void *context,
                                                           const struct berth_setting *setting),
                                        void *context, struct berth_error *err)
{
    const struct inspect *inspect = table->context;
    const struct settings *settings;

    if (!IS_ON_LOOP(table, "inspect->settings"))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "settings is for the loop's thread");
    if (registry_find(inspect->registry, uri) == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "plugin \"%.200s\" not found", uri);
    settings = inspect->settings_of != NULL ? inspect->settings_of(inspect, uri) : inspect->settings;
    if (settings == NULL || !settings_each(settings, uri, on_setting, context))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "the settings of %.200s are not checked, or wait for its migration", uri);
    return BERTH_OK;
}

void inspect_finish(struct inspect *inspect)
{
    followers_finish(&inspect->followers);
    changes_finish(&inspect->changes);
}

void inspect_init(struct inspect *inspect, uv_loop_t *loop, struct registry *registry,
                  const struct scan *scan, const char *root, const char *state)
{
    *inspect = (struct inspect){
        .table = {.size = sizeof(inspect->table),
                  .context = inspect,
                  .each = inspect_each,
                  .daemon = &inspect->daemon,
                  .watch = inspect_watch,
                  .unwatch = inspect_unwatch,
                  .connections = inspect_connections,
                  .close_connection = inspect_close_connection,
                  .follow_log = inspect_follow_log,
                  .next_line = inspect_next_line,
                  .unfollow_log = inspect_unfollow_log,
                  .log_level = inspect_log_level,
                  .set_log_level = inspect_set_log_level,
                  .settings = inspect_settings},
        .daemon = {.size = sizeof(inspect->daemon),
                   .version = BERTH_VERSION,
                   .revision = BERTH_REVISION,
                   .root = root,
                   .state = state,
                   .pid = getpid()},
        .thread = pthread_self(),
        .registry = registry,
        .scan = scan,
    };
    changes_init(&inspect->changes, loop);
    followers_init(&inspect->followers, loop, log_use_tap);
    registry_set_changes(registry, &inspect->changes);
}
