/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What berth_inspect shows in a test: the plugin under test, those that the test provides, what both cost,
 * who is connected to provided servers, and the log. Whoever asks is held to the rules of the real host.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <core/state/connections.h>

#include "fake.h"

/* Of plugins that the test provides. */
#define NO_MODULE "testing"

static struct berth_testing *testing_of(const struct berth_inspect *inspect)
{
    return (struct berth_testing *)(uintptr_t)inspect->context;
}

bool fake_is_of_type(const char *uri, const char *type)
{
    size_t length = strlen(type);

    return strncmp(uri, type, length) == 0 && uri[length] == '.' && strchr(uri + length + 1, '.') == NULL;
}

/* Conditions */

void fake_condition_set(struct berth_testing *testing, struct fake_condition *condition, enum berth_code code,
                        const char *message)
{
    condition->degradations += condition->code == BERTH_OK && code != BERTH_OK;
    free(condition->reason);
    condition->code = code;
    condition->reason = code == BERTH_OK ? NULL : memory_copy(message);
    changes_note(&testing->changes);
}

static struct fake_provider *find_provider(struct berth_testing *testing, const char *uri)
{
    for (size_t i = 0; i < testing->provider_count; i++)
        if (strcmp(testing->providers[i].uri, uri) == 0)
            return &testing->providers[i];
    return NULL;
}

void berth_testing_set_condition(struct berth_testing *testing, const char *uri, enum berth_code code,
                                 const char *message)
{
    struct fake_provider *provider = find_provider(testing, uri);

    if (provider != NULL)
        fake_condition_set(testing, &provider->condition, code, message);
}

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

/* Whether it has got as far as that step, and well. */
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
    struct berth_testing *testing = testing_of(inspect);
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
    struct berth_testing *testing = testing_of(inspect);

    if (!fake_is_on_loop(testing, "inspect->watch", NULL))
        return NULL;
    return changes_watch(&testing->changes, on_change, context);
}

static void unwatch(const struct berth_inspect *inspect, struct berth_watch *watch)
{
    struct berth_testing *testing = testing_of(inspect);

    if (fake_is_on_loop(testing, "inspect->unwatch", NULL))
        changes_unwatch(&testing->changes, watch);
}

void berth_testing_set_daemon(struct berth_testing *testing, bool ready, bool draining)
{
    testing->daemon.ready = ready;
    testing->daemon.draining = draining;
    changes_note(&testing->changes);
}

/* Costs */

void berth_testing_set_costs(struct berth_testing *testing, const struct berth_plugin_costs *costs)
{
    testing->set_costs =
        memory_grow(testing->set_costs, testing->set_costs_count, sizeof(struct berth_plugin_costs *));
    testing->set_costs[testing->set_costs_count++] = costs;
}

void berth_testing_set_daemon_costs(struct berth_testing *testing, const struct berth_daemon_costs *costs)
{
    testing->set_daemon_costs = costs;
}

/* The last ones that were set. */
static const struct berth_plugin_costs *find_set(const struct berth_testing *testing, const char *uri)
{
    for (size_t i = testing->set_costs_count; i > 0; i--)
        if (strcmp(testing->set_costs[i - 1]->uri, uri) == 0)
            return testing->set_costs[i - 1];
    return NULL;
}

struct method_costs {
    const char *plugin;
    struct berth_method_costs *items;
    size_t count;
};

static bool add_method(void *context, const struct berth_method_info *method)
{
    struct method_costs *methods = context;

    if (strcmp(methods->plugin, method->plugin) != 0)
        return true;
    methods->items = memory_grow(methods->items, methods->count, sizeof(*methods->items));
    methods->items[methods->count++] = (struct berth_method_costs){
        .size = sizeof(struct berth_method_costs),
        .path = method->path,
        .opened = method->opened,
        .in_flight = method->in_flight,
        .ended = method->ended,
        .ended_count = method->ended_count,
        .messages_received = method->messages_received,
        .bytes_received = method->bytes_received,
        .messages_sent = method->messages_sent,
        .bytes_sent = method->bytes_sent,
    };
    return true;
}

struct handle_count {
    const struct berth_testing *testing;
    uint64_t all, of_host;
};

static void count_handle(uv_handle_t *handle, void *context)
{
    struct handle_count *count = context;
    uintptr_t address = (uintptr_t)handle, start = (uintptr_t)count->testing;

    count->all++;
    count->of_host += address >= start && address < start + sizeof(*count->testing);
}

static struct handle_count count_handles(const struct berth_testing *testing)
{
    struct handle_count count = {.testing = testing};

    uv_walk(testing->loop, count_handle, &count);
    return count;
}

/* A sentence for each. */
static uint64_t count_faults(struct berth_testing *testing)
{
    uint64_t count = 0;

    pthread_mutex_lock(&testing->faults_lock);
    for (const char *at = testing->faults; at != NULL; at = strchr(at + 1, '\n'))
        count++;
    pthread_mutex_unlock(&testing->faults_lock);
    return count;
}

static bool tell_costs(struct berth_testing *testing, struct berth_plugin_costs *costs,
                       bool (*on_costs)(void *context, const struct berth_plugin_costs *costs), void *context)
{
    const struct berth_router *router = router_interface(testing->router);
    const struct berth_plugin_costs *set = find_set(testing, costs->uri);
    struct method_costs methods = {.plugin = costs->uri};
    bool goes_on;

    if (set != NULL)
        return on_costs(context, set);
    router->each_method(router, add_method, &methods);
    costs->methods = methods.items;
    costs->method_count = methods.count;
    goes_on = on_costs(context, costs);
    free(methods.items);
    return goes_on;
}

static void each_costs(const struct berth_inspect *inspect,
                       bool (*on_costs)(void *context, const struct berth_plugin_costs *costs), void *context)
{
    struct berth_testing *testing = testing_of(inspect);
    struct handle_count handles;
    struct berth_plugin_costs costs;

    if (!fake_is_on_loop(testing, "inspect->costs", NULL))
        return;
    for (size_t i = 0; i < testing->provider_count; i++) {
        costs = (struct berth_plugin_costs){.size = sizeof(costs),
                                            .uri = testing->providers[i].uri,
                                            .degradations = testing->providers[i].condition.degradations,
                                            .module = NO_MODULE,
                                            .module_plugins = 1};
        if (!tell_costs(testing, &costs, on_costs, context))
            return;
    }
    handles = count_handles(testing);
    costs = (struct berth_plugin_costs){.size = sizeof(costs),
                                        .uri = testing->description->uri,
                                        .loop_ns = testing->costs.loop_ns,
                                        .longest_ns = testing->costs.longest_ns,
                                        .entries = testing->costs.entries,
                                        .slow = testing->costs.slow,
                                        .degradations = testing->condition.degradations,
                                        .module = testing->manifest->module,
                                        .module_plugins = testing->manifest->plugin_count,
                                        .handles = handles.all - handles.of_host,
                                        .misuses = count_faults(testing)};
    tell_costs(testing, &costs, on_costs, context);
}

static void daemon_costs(const struct berth_inspect *inspect, struct berth_daemon_costs *ret_costs)
{
    struct berth_testing *testing = testing_of(inspect);
    struct berth_daemon_costs costs = {0};
    struct timespec cpu = {0};
    struct handle_count handles;
    uint32_t size = ret_costs->size;

    if (!fake_is_on_loop(testing, "inspect->daemon_costs", NULL))
        return;
    handles = count_handles(testing);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    costs.uptime_ns = uv_hrtime() - testing->begun_ns;
    costs.cpu_ns = (uint64_t)cpu.tv_sec * 1000 * MILLISECOND_NS + (uint64_t)cpu.tv_nsec;
    costs.handles = handles.all;
    costs.other_handles = handles.of_host;
    costs.plugins_ns = testing->costs.loop_ns;
    if (testing->set_daemon_costs != NULL)
        memcpy(&costs, testing->set_daemon_costs,
               testing->set_daemon_costs->size < sizeof(costs) ? testing->set_daemon_costs->size
                                                               : sizeof(costs));
    costs.size = size;
    memcpy(ret_costs, &costs, size < sizeof(costs) ? size : sizeof(costs));
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
    struct berth_testing *testing = testing_of(inspect);
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
    struct berth_testing *testing = testing_of(inspect);
    const struct fake_provider *provider = find_provider(testing, uri);

    if (!fake_is_on_loop(testing, "inspect->close_connection", err))
        return BERTH_FAILED_PRECONDITION;
    if (provider != NULL && is_server(uri))
        return connections_close(provider->interface, provider->instance, uri, number, err);
    if (strcmp(uri, testing->description->uri) == 0)
        return connections_close(own_server(testing), testing->instance, uri, number, err);
    return connections_close(NULL, NULL, uri, number, err);
}

/* The log */

/* Lines come from any thread; there is one host at a time. */
static _Atomic(const struct log_tap *) tap;
static atomic_int tap_level = -1;

static void use_tap(const struct log_tap *new_tap, int level)
{
    atomic_store(&tap, new_tap);
    atomic_store(&tap_level, level);
}

/* Is it one of the test's lines, not only for who follows the log? */
static bool is_logged(struct berth_testing *testing, enum berth_log_level level)
{
    int own = atomic_load(&testing->own_level) - 1;

    return (int)level <= (own >= 0 ? own : atomic_load(&testing->daemon_level));
}

bool fake_logs(const struct berth_host *host, enum berth_log_level level)
{
    return is_logged(testing_of(host->inspect), level) || (int)level <= atomic_load(&tap_level);
}

void fake_log(struct berth_testing *testing, enum berth_log_level level, const char *text)
{
    const struct log_tap *reader = atomic_load(&tap);
    bool is_for_log = is_logged(testing, level);

    if (is_for_log) {
        pthread_mutex_lock(&testing->lines_lock);
        testing->lines = memory_grow(testing->lines, testing->line_count, sizeof(*testing->lines));
        testing->lines[testing->line_count++] = (struct fake_line){.level = level, .text = memory_copy(text)};
        pthread_mutex_unlock(&testing->lines_lock);
    }
    if (reader != NULL)
        reader->on_line(reader->context, level, is_for_log, testing->description->uri, text);
}

static bool is_following(struct berth_testing *testing, const struct berth_log_follower *follower,
                         const char *function)
{
    bool is_known = followers_has(&testing->followers, follower);

    if (!is_known)
        fake_fault(testing, "called %s for a follower of the log that is not there", function);
    return is_known;
}

static struct berth_log_follower *follow_log(const struct berth_inspect *inspect,
                                             const struct berth_log_filter *filter,
                                             void (*on_lines)(void *context), void *context)
{
    struct berth_testing *testing = testing_of(inspect);

    if (!fake_is_on_loop(testing, "inspect->follow_log", NULL))
        return NULL;
    return followers_add(&testing->followers, filter, on_lines, context);
}

static bool next_line(const struct berth_inspect *inspect, struct berth_log_follower *follower,
                      struct berth_log_line *ret_line)
{
    struct berth_testing *testing = testing_of(inspect);

    if (!fake_is_on_loop(testing, "inspect->next_line", NULL) ||
        !is_following(testing, follower, "inspect->next_line"))
        return false;
    return followers_next(&testing->followers, follower, ret_line);
}

static void unfollow_log(const struct berth_inspect *inspect, struct berth_log_follower *follower)
{
    struct berth_testing *testing = testing_of(inspect);

    if (fake_is_on_loop(testing, "inspect->unfollow_log", NULL) &&
        is_following(testing, follower, "inspect->unfollow_log"))
        followers_remove(&testing->followers, follower);
}

/* Of a plugin, and one more, so that 0 is the daemon's. @return NULL: there is no such plugin. */
static atomic_int *find_level(struct berth_testing *testing, const char *uri)
{
    struct fake_provider *provider = find_provider(testing, uri);

    if (strcmp(uri, testing->description->uri) == 0)
        return &testing->own_level;
    return provider != NULL ? &provider->log_level : NULL;
}

static int get_log_level(const struct berth_inspect *inspect, const char *uri)
{
    struct berth_testing *testing = testing_of(inspect);
    const atomic_int *level = uri != NULL ? find_level(testing, uri) : NULL;

    if (uri == NULL)
        return atomic_load(&testing->daemon_level);
    return level != NULL ? atomic_load(level) - 1 : -1;
}

static enum berth_code set_log_level(const struct berth_inspect *inspect, const char *uri, int level,
                                     struct berth_error *err)
{
    struct berth_testing *testing = testing_of(inspect);
    atomic_int *place = uri != NULL ? find_level(testing, uri) : NULL;

    if (!fake_is_on_loop(testing, "inspect->set_log_level", err))
        return BERTH_FAILED_PRECONDITION;
    if (level < (uri != NULL ? -1 : BERTH_LOG_ERROR) || level > BERTH_LOG_DEBUG)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%d is not a level of the log", level);
    if (uri != NULL && place == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "plugin \"%.200s\" not found or not running", uri);
    if (place != NULL)
        atomic_store(place, level + 1);
    else
        atomic_store(&testing->daemon_level, level);
    return BERTH_OK;
}

/* Threads are not interrupted in a test: each is there with its name, as one that does not answer. */
static void stacks(const struct berth_inspect *inspect,
                   bool (*on_stack)(void *context, const struct berth_thread_stack *stack), void *context)
{
    struct berth_thread_stack stack = {.size = sizeof(stack)};
    const struct dirent *entry;
    bool goes_on = true;
    char path[64], name[32];
    DIR *folder;
    FILE *file;

    if (!fake_is_on_loop(testing_of(inspect), "inspect->stacks", NULL))
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

void fake_inspect_init(struct berth_testing *testing)
{
    changes_init(&testing->changes, testing->loop);
    followers_init(&testing->followers, testing->loop, use_tap);
    testing->begun_ns = uv_hrtime();
    atomic_store(&testing->daemon_level, BERTH_LOG_DEBUG);
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
        .costs = each_costs,
        .daemon_costs = daemon_costs,
        .connections = connections,
        .close_connection = close_connection,
        .follow_log = follow_log,
        .next_line = next_line,
        .unfollow_log = unfollow_log,
        .log_level = get_log_level,
        .set_log_level = set_log_level,
        .stacks = stacks,
    };
}

void fake_inspect_close(struct berth_testing *testing)
{
    if (!LIST_EMPTY(&testing->changes.watches))
        fake_fault(testing, "a watch for changes was never removed");
    changes_finish(&testing->changes);
    if (!LIST_EMPTY(&testing->followers.all))
        fake_fault(testing, "a follower of the log was never removed");
    while (!LIST_EMPTY(&testing->followers.all))
        followers_remove(&testing->followers, LIST_FIRST(&testing->followers.all));
    followers_finish(&testing->followers);
    free(testing->set_costs);
}
