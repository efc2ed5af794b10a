/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What berth_inspect shows in a test: the plugin under test, those that the test provides, what both cost,
 * who is connected to provided servers, and the log. Its callers are held to the rules of the real host.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config/print/each.h>
#include <core/state/connections.h>

#include "fake.h"

/* Plugins */

/* Splits "io.example.v1.hello" into type and id, in place. */
static void split(char *uri, struct berth_plugin_info *info)
{
    size_t length;

    if (!manifest_uri_split(uri, &length))
        return;
    uri[length] = '\0';
    info->type = uri;
    info->id = uri + length + 1;
}

static bool tell_provider(const struct fake_provider *provider,
                          bool (*on_plugin)(void *context, const struct berth_plugin_info *info),
                          void *context)
{
    char *parts = memory_copy(provider->uri);
    struct berth_plugin_info info = {
        .size = sizeof(info),
        .uri = provider->uri,
        .state = BERTH_STATE_READY,
        .generation = 1,
        .condition = provider->condition.code,
        .condition_reason = provider->condition.reason,
    };
    bool more;

    split(parts, &info);
    more = on_plugin(context, &info);
    free(parts);
    return more;
}

/* Has the plugin completed that step successfully? */
static bool has_done(const struct berth_testing *testing, enum berth_step step)
{
    return testing->steps[step].ended && testing->steps[step].code == BERTH_OK;
}

static enum berth_state state_after_init(const struct fake_step *init)
{
    switch ((int)init->code) {
    case BERTH_OK:
        return BERTH_STATE_READY;
    case BERTH_SKIP:
        return BERTH_STATE_SKIPPED;
    case BERTH_DEADLINE_EXCEEDED:
        return BERTH_STATE_TIMED_OUT;
    default:
        return BERTH_STATE_FAILED;
    }
}

static enum berth_state state_of(const struct berth_testing *testing)
{
    const struct fake_step *init = &testing->steps[BERTH_STEP_INIT];

    if (!init->begun)
        return BERTH_STATE_WAITING;
    if (!init->ended)
        return BERTH_STATE_STARTING;
    if (testing->failure != BERTH_OK)
        return BERTH_STATE_FAILED;
    if (init->code != BERTH_OK)
        return state_after_init(init);
    if (testing->steps[BERTH_STEP_CLOSE].ended)
        return BERTH_STATE_STOPPED;
    if (testing->steps[BERTH_STEP_DRAIN].begun || testing->steps[BERTH_STEP_CLOSE].begun)
        return BERTH_STATE_DRAINING;
    return has_done(testing, BERTH_STEP_SERVE) ? BERTH_STATE_SERVING : BERTH_STATE_READY;
}

static void blame(const struct berth_testing *testing, struct berth_plugin_info *info)
{
    const struct fake_step *init = &testing->steps[BERTH_STEP_INIT];

    if (testing->failure != BERTH_OK) {
        info->code = testing->failure;
        info->reason = testing->failure_message;
    } else if (init->ended && init->code != BERTH_OK) {
        info->code = init->code;
        info->reason = init->message;
    }
}

/* Memory for the lists of an info. */
struct lists {
    const char **strings;
    size_t count;
    struct berth_strings *transports;
    struct berth_export *exports;
    struct berth_platform *platforms;
};

static struct berth_strings add_requirements(struct lists *lists,
                                             const struct manifest_requirement *requirements, size_t count)
{
    const struct berth_strings added = {lists->strings + lists->count, count};

    for (size_t i = 0; i < count; i++)
        lists->strings[lists->count++] = requirements[i].name;
    return added;
}

static struct berth_strings add_holds(struct lists *lists, const struct berth_testing *testing)
{
    struct berth_strings added = {lists->strings + lists->count, 0};
    const struct berth_hold *hold;

    LIST_FOREACH(hold, &testing->holds, link)
    lists->strings[lists->count++] = hold->what;
    added.count = lists->strings + lists->count - added.items;
    return added;
}

static struct berth_strings add_services(struct lists *lists, const struct manifest_plugin *plugin)
{
    const struct berth_strings added = {lists->strings + lists->count, plugin->service_count};

    for (size_t i = 0; i < plugin->service_count; i++) {
        lists->strings[lists->count++] = plugin->services[i].name;
        lists->transports[i] =
            (struct berth_strings){plugin->services[i].transports, plugin->services[i].transport_count};
    }
    return added;
}

size_t berth_testing_holds(const struct berth_testing *testing)
{
    const struct berth_hold *hold;
    size_t count = 0;

    LIST_FOREACH(hold, &testing->holds, link)
    count++;
    return count;
}

static void fill_lists(struct berth_plugin_info *info, struct lists *lists,
                       const struct berth_testing *testing)
{
    const struct manifest_plugin *plugin = testing->description;
    size_t strings =
        plugin->requirement_count + plugin->want_count + plugin->service_count + berth_testing_holds(testing);

    *lists = (struct lists){.strings = memory_allocate(strings, sizeof(*lists->strings)),
                            .transports = memory_allocate(plugin->service_count, sizeof(*lists->transports)),
                            .exports = memory_allocate(testing->export_count, sizeof(*lists->exports)),
                            .platforms = memory_allocate(testing->platform_count, sizeof(*lists->platforms))};
    info->requirements = add_requirements(lists, plugin->requirements, plugin->requirement_count);
    info->wants = add_requirements(lists, plugin->wants, plugin->want_count);
    info->services = add_services(lists, plugin);
    info->transports = lists->transports;
    info->holds = add_holds(lists, testing);
    for (size_t i = 0; i < testing->export_count; i++)
        lists->exports[i] = (struct berth_export){testing->exports[i].key, testing->exports[i].value};
    info->exports = lists->exports;
    info->export_count = testing->export_count;
    for (size_t i = 0; i < testing->platform_count; i++)
        lists->platforms[i] = (struct berth_platform){
            testing->platforms[i].os, testing->platforms[i].architecture, testing->platforms[i].variant};
    info->platforms = lists->platforms;
    info->platform_count = testing->platform_count;
    info->capabilities =
        (struct berth_strings){(const char *const *)testing->capabilities, testing->capability_count};
}

static void each(const struct berth_inspect *inspect,
                 bool (*on_plugin)(void *context, const struct berth_plugin_info *info), void *context)
{
    struct berth_testing *testing = fake_of_inspect(inspect);
    struct berth_plugin_info info = {
        .size = sizeof(info),
        .uri = testing->description->uri,
        .type = testing->description->type,
        .id = testing->description->id,
        .path = testing->manifest->path,
        .module = testing->manifest->module,
        .version = testing->manifest->version,
        .description = testing->description->description,
        .state = state_of(testing),
        .level = testing->provider_count > 0,
        .generation = testing->steps[BERTH_STEP_INIT].begun,
        .condition = testing->condition.code,
        .condition_reason = testing->condition.reason,
    };
    struct lists lists;

    if (!fake_is_on_loop(testing, "inspect->each", NULL))
        return;
    for (size_t i = 0; i < testing->provider_count; i++)
        if (!tell_provider(&testing->providers[i], on_plugin, context))
            return;
    blame(testing, &info);
    fill_lists(&info, &lists, testing);
    on_plugin(context, &info);
    free(lists.strings);
    free(lists.transports);
    free(lists.exports);
    free(lists.platforms);
}

static struct berth_watch *watch(const struct berth_inspect *inspect, void (*on_change)(void *context),
                                 void *context)
{
    struct berth_testing *testing = fake_of_inspect(inspect);

    if (!fake_is_on_loop(testing, "inspect->watch", NULL))
        return NULL;
    return changes_watch(&testing->changes, on_change, context);
}

static void unwatch(const struct berth_inspect *inspect, struct berth_watch *watch)
{
    struct berth_testing *testing = fake_of_inspect(inspect);

    if (fake_is_on_loop(testing, "inspect->unwatch", NULL))
        changes_unwatch(&testing->changes, watch);
}

void berth_testing_set_daemon(struct berth_testing *testing, bool ready, bool draining)
{
    testing->daemon.ready = ready;
    testing->daemon.draining = draining;
    changes_note(&testing->changes);
}

/* Connections */

static bool is_server(const char *uri)
{
    return fake_is_of_type(uri, "io.containerd.server.v1") || fake_is_of_type(uri, "io.berth.server.v1");
}

static const struct berth_server *own_server(const struct berth_testing *testing)
{
    return testing->instance_is_open ? connections_server(testing->description->interface, testing->plugin)
                                     : NULL;
}

static void connections(const struct berth_inspect *inspect,
                        bool (*on_connection)(void *context, const struct berth_connection *connection),
                        void *context)
{
    struct berth_testing *testing = fake_of_inspect(inspect);
    bool wants_more = true;

    if (!fake_is_on_loop(testing, "inspect->connections", NULL))
        return;
    for (size_t i = 0; i < testing->provider_count && wants_more; i++)
        if (is_server(testing->providers[i].uri))
            wants_more = connections_each(testing->providers[i].interface, testing->providers[i].instance,
                                          testing->providers[i].uri, on_connection, context);
    if (wants_more)
        connections_each(own_server(testing), testing->instance, testing->description->uri, on_connection,
                         context);
}

static enum berth_code close_connection(const struct berth_inspect *inspect, const char *uri, uint64_t number,
                                        struct berth_error *err)
{
    struct berth_testing *testing = fake_of_inspect(inspect);
    const struct fake_provider *provider = fake_provider_find(testing, uri);

    if (!fake_is_on_loop(testing, "inspect->close_connection", err))
        return BERTH_FAILED_PRECONDITION;
    if (provider != NULL && is_server(uri))
        return connections_close(provider->interface, provider->instance, uri, number, err);
    if (strcmp(uri, testing->description->uri) == 0)
        return connections_close(own_server(testing), testing->instance, uri, number, err);
    return connections_close(NULL, NULL, uri, number, err);
}

/* Threads are not interrupted in a test: each is listed by name, as if it did not respond. */
static void stacks(const struct berth_inspect *inspect,
                   bool (*on_stack)(void *context, const struct berth_thread_stack *stack), void *context)
{
    struct berth_thread_stack stack = {.size = sizeof(stack)};
    const struct dirent *entry;
    bool goes_on = true;
    char path[64], name[32];
    DIR *folder;
    FILE *file;

    if (!fake_is_on_loop(fake_of_inspect(inspect), "inspect->stacks", NULL))
        return;
    folder = opendir("/proc/self/task");
    while (folder != NULL && goes_on && (entry = readdir(folder)) != NULL) {
        stack.id = strtol(entry->d_name, NULL, 10);
        snprintf(path, sizeof(path), "/proc/self/task/%ld/comm", (long)stack.id);
        file = stack.id > 0 ? fopen(path, "re") : NULL;
        if (file == NULL)
            continue;
        name[0] = '\0';
        if (fgets(name, sizeof(name), file) != NULL)
            name[strcspn(name, "\n")] = '\0';
        fclose(file);
        stack.name = name;
        goes_on = on_stack(context, &stack);
    }
    if (folder != NULL)
        closedir(folder);
}

/* Settings */

/* Those that a test provides have none. */
static enum berth_code settings(const struct berth_inspect *inspect, const char *uri,
                                bool (*on_setting)(void *context, const struct berth_setting *setting),
                                void *context, struct berth_error *err)
{
    struct berth_testing *testing = fake_of_inspect(inspect);

    if (!fake_is_on_loop(testing, "inspect->settings", err))
        return BERTH_FAILED_PRECONDITION;
    if (strcmp(uri, testing->description->uri) == 0) {
        config_print_each(testing->values, on_setting, context);
        return BERTH_OK;
    }
    for (size_t i = 0; i < testing->provider_count; i++)
        if (strcmp(uri, testing->providers[i].uri) == 0)
            return BERTH_OK;
    return berth_error_set(err, BERTH_NOT_FOUND, "plugin \"%.200s\" not found", uri);
}

void fake_inspect_init(struct berth_testing *testing)
{
    changes_init(&testing->changes, testing->loop);
    testing->daemon = (struct berth_daemon_info){
        .size = sizeof(testing->daemon),
        .version = "0.0.0-testing",
        .revision = "",
        .root = "/nonexistent/root",
        .state = "/nonexistent/state",
        .pid = getpid(),
    };
    testing->inspect = (struct berth_inspect){
        .size = sizeof(testing->inspect),
        .context = testing,
        .each = each,
        .daemon = &testing->daemon,
        .watch = watch,
        .unwatch = unwatch,
        .connections = connections,
        .close_connection = close_connection,
        .stacks = stacks,
        .settings = settings,
    };
    fake_costs_init(testing);
    fake_log_init(testing);
}

void fake_inspect_close(struct berth_testing *testing)
{
    if (!LIST_EMPTY(&testing->changes.watches))
        fake_fault(testing, "a watch for changes was never removed");
    changes_finish(&testing->changes);
    fake_log_close(testing);
    fake_costs_finish(testing);
}
