/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What berth_inspect shows of costs: of the plugin under test, of those that the test provides, and of the
 * process.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fake.h"

/* Of plugins that the test provides. */
#define NO_MODULE "testing"

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

/* The costs that were set last. */
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
    struct berth_testing *testing = fake_of_inspect(inspect);
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
    struct berth_testing *testing = fake_of_inspect(inspect);
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

void fake_costs_init(struct berth_testing *testing)
{
    testing->begun_ns = uv_hrtime();
    testing->inspect.costs = each_costs;
    testing->inspect.daemon_costs = daemon_costs;
}

void fake_costs_finish(struct berth_testing *testing)
{
    free(testing->set_costs);
}
