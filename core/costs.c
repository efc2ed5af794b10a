/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each plugin costs. Time comes from the running word, calls from the router. Handles and memory are
 * looked up when somebody asks, and belong to a module: libuv keeps whose callback a handle has, and the
 * kernel which pages of a mapping are resident. The heap is one for the whole process, so nobody can say
 * honestly whose a block of it is.
 */
#include "costs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <core/base/frames.h>
#include <core/module/module.h>
#include <core/watch/watch.h>
#include <sdk/base/memory.h>

#include "handles.h"

/* One module that has a plugin of the plan. */
struct module_costs {
    const char *path;
    struct module_range range;
    size_t plugins;
    uint64_t handles, memory_bytes;
};

struct method {
    const struct registry_plugin *plugin;
    struct berth_method_costs costs;
};

struct gathering {
    const struct costs *costs;
    struct module_costs *modules;
    size_t module_count;
    struct method *methods;
    size_t method_count;
    /** The plugin of the method before: those of one plugin come one after the other. */
    const struct registry_plugin *plugin;
    uint64_t handles, other_handles;
};

/* Of the generation that runs, which may have been loaded from a copy. */
static const char *path_of(const struct registry_plugin *plugin)
{
    const char *path;
    uintptr_t offset;

    return plugin->table != NULL && frames_find_file(plugin->table, &path, &offset) ? path
                                                                                    : plugin->running->path;
}

static struct module_costs *find_module(const struct gathering *gathering, const char *path)
{
    for (size_t i = 0; i < gathering->module_count; i++)
        if (strcmp(gathering->modules[i].path, path) == 0)
            return &gathering->modules[i];
    return NULL;
}

static void list_modules(struct gathering *gathering)
{
    const struct registry *registry = gathering->costs->registry;
    size_t count = registry_count(registry);

    gathering->modules = memory_allocate(count, sizeof(*gathering->modules));
    for (size_t i = 0; i < count; i++) {
        const struct registry_plugin *plugin = registry_at(registry, i);
        const char *path = plugin->running != NULL ? path_of(plugin) : NULL;
        struct module_costs *module = path != NULL ? find_module(gathering, path) : NULL;

        if (path == NULL)
            continue;
        if (module == NULL) {
            module = &gathering->modules[gathering->module_count++];
            module->path = path;
            module->range = module_range(path);
        }
        module->plugins++;
    }
}

/* NULL if the address belongs to no plugin. */
static struct module_costs *module_at(const struct gathering *gathering, uintptr_t address)
{
    const char *path;
    uintptr_t offset;

    return frames_find_file((const void *)address, &path, &offset) ? find_module(gathering, path) : NULL;
}

static void count_handle(uv_handle_t *handle, void *context)
{
    struct gathering *gathering = context;
    uintptr_t addresses[HANDLE_ADDRESSES_MAX];
    size_t count = handles_list_addresses(handle, addresses);
    struct module_costs *module = NULL;

    for (size_t i = 0; i < count && module == NULL; i++)
        module = module_at(gathering, addresses[i]);
    gathering->handles++;
    if (module != NULL)
        module->handles++;
    else
        gathering->other_handles++;
}

static bool add_method(void *context, const struct berth_method_info *method)
{
    struct gathering *gathering = context;

    if (gathering->plugin == NULL || strcmp(gathering->plugin->entry->plugin->uri, method->plugin) != 0)
        gathering->plugin = registry_find(gathering->costs->registry, method->plugin);
    gathering->methods =
        memory_grow(gathering->methods, gathering->method_count, sizeof(*gathering->methods));
    gathering->methods[gathering->method_count++] = (struct method){
        .plugin = gathering->plugin,
        .costs = {.size = sizeof(struct berth_method_costs),
                  .path = method->path,
                  .opened = method->opened,
                  .in_flight = method->in_flight,
                  .ended = method->ended,
                  .ended_count = method->ended_count,
                  .messages_received = method->messages_received,
                  .bytes_received = method->bytes_received,
                  .messages_sent = method->messages_sent,
                  .bytes_sent = method->bytes_sent},
    };
    return true;
}

#define PAGES_AT_ONCE 512
#define PAGE_IS_PRESENT (UINT64_C(1) << 63)

/* From /proc/self/pagemap, which costs as much as the module is large; smaps walks the whole process. */
static uint64_t resident_bytes(int fd, const struct module_range *range)
{
    uint64_t pages[PAGES_AT_ONCE], page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), resident = 0;
    uint64_t at = range->start / page_bytes, end = (range->end + page_bytes - 1) / page_bytes;

    while (fd >= 0 && at < end) {
        size_t wanted = end - at < PAGES_AT_ONCE ? (size_t)(end - at) : PAGES_AT_ONCE;
        ssize_t length = pread(fd, pages, wanted * sizeof(pages[0]), (off_t)(at * sizeof(pages[0])));

        if (length < (ssize_t)sizeof(pages[0]))
            break;
        for (size_t i = 0; i < (size_t)length / sizeof(pages[0]); i++)
            resident += (pages[i] & PAGE_IS_PRESENT) != 0 ? page_bytes : 0;
        at += (size_t)length / sizeof(pages[0]);
    }
    return resident;
}

/* Once a module, however many plugins it has. */
static void measure_parts(struct gathering *gathering)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    for (size_t i = 0; i < gathering->module_count; i++)
        gathering->modules[i].memory_bytes = resident_bytes(fd, &gathering->modules[i].range);
    if (fd >= 0)
        close(fd);
}

static size_t take_methods(const struct gathering *gathering, const struct registry_plugin *plugin,
                           struct berth_method_costs *ret_methods)
{
    size_t count = 0;

    for (size_t i = 0; i < gathering->method_count; i++)
        if (gathering->methods[i].plugin == plugin)
            ret_methods[count++] = gathering->methods[i].costs;
    return count;
}

static struct berth_plugin_costs costs_of(const struct gathering *gathering,
                                          const struct registry_plugin *plugin)
{
    struct running_plugin *running = plugin->running;
    const struct module_costs *module = find_module(gathering, path_of(plugin));

    return (struct berth_plugin_costs){
        .size = sizeof(struct berth_plugin_costs),
        .uri = plugin->entry->plugin->uri,
        .loop_ns = running_plugin_ns(running),
        .longest_ns = running_ticks_to_ns(running->longest_ticks),
        .entries = running->entries,
        .slow = running->slow,
        .stalls = atomic_load(&running->stalls),
        .degradations = plugin->degradations,
        .module = plugin->entry->plugin->manifest->module,
        .module_plugins = module->plugins,
        .handles = module->handles,
        .memory_bytes = module->memory_bytes,
        .misuses = atomic_load(&running->misuses),
    };
}

static void gather(struct gathering *gathering)
{
    const struct berth_router *router = router_interface(gathering->costs->router);

    list_modules(gathering);
    measure_parts(gathering);
    uv_walk(gathering->costs->loop, count_handle, gathering);
    router->each_method(router, add_method, gathering);
}

static void finish(struct gathering *gathering)
{
    free(gathering->modules);
    free(gathering->methods);
}

static const struct costs *costs_behind(const struct berth_inspect *table)
{
    return ((const struct inspect *)table->context)->costs;
}

static void each_costs(const struct berth_inspect *table,
                       bool (*on_costs)(void *context, const struct berth_plugin_costs *costs), void *context)
{
    struct gathering gathering = {.costs = costs_behind(table)};
    const struct registry *registry = gathering.costs->registry;
    struct berth_method_costs *methods;
    bool goes_on = true;

    if (!inspect_is_on_loop(table, "inspect->each_costs", __builtin_return_address(0)))
        return;
    gather(&gathering);
    methods = memory_allocate(gathering.method_count, sizeof(*methods));
    for (size_t i = 0; i < registry_count(registry) && goes_on; i++) {
        const struct registry_plugin *plugin = registry_at(registry, i);
        struct berth_plugin_costs costs;

        if (plugin->running == NULL)
            continue;
        costs = costs_of(&gathering, plugin);
        costs.methods = methods;
        costs.method_count = take_methods(&gathering, plugin, methods);
        goes_on = on_costs(context, &costs);
    }
    free(methods);
    finish(&gathering);
}

/* A line of /proc/self/status, such as "RssAnon:      1234 kB", in bytes. */
static uint64_t status_bytes(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10) * 1024;
}

static void measure_process(struct berth_daemon_costs *costs)
{
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    char text[4096];
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    struct timespec cpu;

    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    costs->memory_bytes = status_bytes(text, "\nVmRSS:");
    costs->anonymous_bytes = status_bytes(text, "\nRssAnon:");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    costs->cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
}

static void measure_loop(struct watch_clock *clock, struct berth_daemon_costs *costs)
{
    struct watch_times times = watch_clock_read(clock);

    costs->busy_ns = times.busy_ns;
    costs->unattributed_ns = times.unattributed_ns;
    costs->turns = times.turns;
    costs->longest_turn_ns = times.longest_ns;
    costs->lag_ns = times.lag_ns;
    costs->other_stalls = times.unattributed_stalls;
}

static void daemon_costs(const struct berth_inspect *table, struct berth_daemon_costs *ret_costs)
{
    struct gathering gathering = {.costs = costs_behind(table)};
    struct berth_daemon_costs costs = {.size = ret_costs->size};
    uint64_t ticks = 0;

    if (!inspect_is_on_loop(table, "inspect->daemon_costs", __builtin_return_address(0)))
        return;
    list_modules(&gathering);
    uv_walk(gathering.costs->loop, count_handle, &gathering);
    for (uint32_t i = 1; i <= running_count(); i++)
        ticks += running_get(i)->ticks;
    costs.uptime_ns = registry_since_start(gathering.costs->registry);
    costs.handles = gathering.handles;
    costs.other_handles = gathering.other_handles;
    costs.plugins_ns = running_ticks_to_ns(ticks);
    measure_process(&costs);
    measure_loop(gathering.costs->clock, &costs);
    finish(&gathering);
    memcpy(ret_costs, &costs, ret_costs->size < sizeof(costs) ? ret_costs->size : sizeof(costs));
}

/* How long the loop may wait for the threads that it asks where they are. */
#define STACKS_WAIT_MS 500

struct stack_visit {
    bool (*on_stack)(void *context, const struct berth_thread_stack *stack);
    void *context;
};

static bool visit_stack(void *context, const struct thread_stack *thread)
{
    const struct stack_visit *visit = context;
    char texts[THREADS_FRAMES_MAX][256];
    const char *items[THREADS_FRAMES_MAX];
    const struct berth_thread_stack stack = {.size = sizeof(stack),
                                             .id = thread->id,
                                             .name = thread->name,
                                             .frames = {.items = items, .count = thread->count}};

    for (size_t i = 0; i < thread->count; i++) {
        frames_describe(thread->frames[i], texts[i], sizeof(texts[i]));
        items[i] = texts[i];
    }
    return visit->on_stack(visit->context, &stack);
}

static void each_stack(const struct berth_inspect *table,
                       bool (*on_stack)(void *context, const struct berth_thread_stack *stack), void *context)
{
    struct stack_visit visit = {on_stack, context};

    if (inspect_is_on_loop(table, "inspect->stacks", __builtin_return_address(0)))
        threads_each(STACKS_WAIT_MS, visit_stack, &visit);
}

void costs_show(const struct costs *costs, struct inspect *inspect)
{
    inspect->costs = costs;
    inspect->table.costs = each_costs;
    inspect->table.daemon_costs = daemon_costs;
    inspect->table.stacks = each_stack;
}
