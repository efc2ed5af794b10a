/* SPDX-License-Identifier: Apache-2.0 */
/* A machine with plugins that do as they are told, worlds that it changes between, and a clock that jumps. */
#ifndef TESTS_PERFORM_STAGE_H
#define TESTS_PERFORM_STAGE_H

#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "change_world.h"

#include <core/base/log.h>
#include <core/perform/perform.h>
#include <core/reload/users.h>
#include <sdk/base/container_of.h>

#define MILLISECOND 1000000ull

/* The clock of libuv, in nanoseconds. */
static uint64_t clock_ns = 1000000000;

/* Visible, so that it takes precedence over the library's also for libuv. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
        return (int)syscall(SYS_clock_gettime, id, ret_time);
    *ret_time = (struct timespec){.tv_sec = (time_t)(clock_ns / 1000000000),
                                  .tv_nsec = (long)(clock_ns % 1000000000)};
    return 0;
}

/* What a generation of this URI and version does wrong: "init fails", "init hangs", "serve fails", "drain
 * hangs", "close hangs", "save fails", "load fails", "module fails", "prepare fails", "restart", "refuse". */
struct fault {
    const char *uri, *version, *what;
};

static struct stage {
    uv_loop_t loop;
    struct registry *registry;
    struct router *router;
    struct perform *perform;
    /* The world that is wanted, and those before it that something still runs of. */
    struct counted_world {
        struct world world;
        size_t users;
        struct counted_world *older;
    } * newest;
    struct fault faults[64];
    size_t fault_count;
    bool ready, stopped;
    /* Sources that were loaded and not dropped. */
    size_t sources;
    /* "init a1, close a2, " */
    char trace[4096];
    char report[8192];
    size_t answers;
    int log_fd;
    uint64_t drain_ns;
    bool is_forced, is_atomic;
    /* Generations that are open. */
    size_t open;
    /* Steps that never completed, of generations that are kept for that. */
    struct {
        const struct berth_host *host;
        enum berth_step step;
    } hung[64];
    size_t hung_count;
} stage;

/* For a test that wants to know what became of each plugin of a change, and to set faults before the start.
 */
static void (*stage_on_result)(const struct perform_result *result);
static void (*stage_before_start)(void);

static inline bool is_faulty(const struct plan_entry *entry, const char *what)
{
    for (size_t i = 0; i < stage.fault_count; i++)
        if (strcmp(stage.faults[i].uri, entry->plugin->uri) == 0 && strcmp(stage.faults[i].what, what) == 0 &&
            strcmp(stage.faults[i].version, entry->plugin->manifest->version) == 0)
            return true;
    return false;
}

static inline const struct plan_entry *entry_of(const struct berth_host *table)
{
    const struct host *host = CONTAINER_OF(table, struct host, table);

    return CONTAINER_OF(host, struct generation, host)->source.entry;
}

static inline void note(const struct berth_host *host, const char *what)
{
    size_t used = strlen(stage.trace);

    if (used + 100 < sizeof(stage.trace))
        snprintf(stage.trace + used, sizeof(stage.trace) - used, "%s %s%.1s, ", what, host->id,
                 entry_of(host)->plugin->manifest->version);
}

static enum berth_code ask(void *self, struct berth_call *call, void **ret_state, struct berth_error *err)
{
    return BERTH_OK;
}

static const struct berth_interceptor interceptor = {
    .size = sizeof(interceptor), .name = "stage", .on_start = ask};

static inline enum berth_code hang(const struct berth_host *host, enum berth_step step)
{
    assert_true(stage.hung_count < sizeof(stage.hung) / sizeof(stage.hung[0]));
    stage.hung[stage.hung_count].host = host;
    stage.hung[stage.hung_count++].step = step;
    return BERTH_PENDING;
}

static inline enum berth_code on_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                      struct berth_error *err)
{
    const struct plan_entry *entry = entry_of(host);

    note(host, "init");
    if (strstr(host->id, "guard") != NULL)
        assert_int_equal(berth_intercept(host, &interceptor, NULL, err), BERTH_OK);
    for (size_t i = 0; i < entry->requirement_count; i++) {
        struct berth_ref ref;

        if (entry->requirements[i].target == PLAN_TARGET_PLUGIN && entry->requirements[i].binding) {
            /* Only one that returns to what it was before may miss what did not. */
            if (berth_get(host, entry->requirements[i].name, &ref, err) != BERTH_OK)
                return BERTH_FAILED_PRECONDITION;
            note(host, (const char *)ref.instance);
        }
        /* Every other one has the interface of what it only wants. */
        if (entry->requirements[i].target == PLAN_TARGET_PLUGIN && !entry->requirements[i].binding &&
            entry->plugin->uri[strlen(entry->plugin->uri) - 1] % 2 == 0)
            (void)berth_get(host, entry->requirements[i].name, &ref, NULL);
    }
    if (is_faulty(entry, "init fails"))
        return berth_error_set(err, BERTH_DATA_LOSS, "made of cheese");
    if (is_faulty(entry, "init hangs"))
        return hang(host, BERTH_STEP_INIT);
    /* What users of it see: "one", "two". */
    *ret_instance = (void *)(uintptr_t)(entry->plugin->manifest->version[0] == '1' ? "one" : "two");
    stage.open++;
    return BERTH_OK;
}

static inline enum berth_code on_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    if (is_faulty(entry_of(host), "serve fails"))
        return berth_error_set(err, BERTH_ALREADY_EXISTS, "in use");
    return BERTH_OK;
}

static inline enum berth_code on_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    static const char *const why[] = {"stop", "drain", "remove"};

    note(host, why[berth_ending_of(host)]);
    return is_faulty(entry_of(host), "drain hangs") ? BERTH_PENDING : BERTH_OK;
}

static inline enum berth_code on_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    note(host, "close");
    /* What never completed its close may have anything. Without an interface there is nothing to be used. */
    if (stage.hung_count == 0 && entry_of(host)->plugin->interface != NULL &&
        ledger_is_used(registry_ledger(stage.registry), CONTAINER_OF(host, struct host, table)))
        fail_msg("%s is closed while another has its interface: %s", host->id, stage.trace);
    stage.open--;
    return is_faulty(entry_of(host), "close hangs") ? hang(host, BERTH_STEP_CLOSE) : BERTH_OK;
}

static inline enum berth_code on_reconfigure(const struct berth_host *host, void *instance,
                                             const struct berth_settings *before, struct berth_error *err)
{
    note(host, "take");
    if (is_faulty(entry_of(host), "restart"))
        return berth_error_set(err, BERTH_RESTART, "built in");
    if (is_faulty(entry_of(host), "refuse"))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "too much");
    return BERTH_OK;
}

static inline enum berth_code on_save(const struct berth_host *host, void *instance,
                                      const struct berth_state_writer *writer, struct berth_error *err)
{
    if (is_faulty(entry_of(host), "save fails"))
        return berth_error_set(err, BERTH_INTERNAL, "no pen");
    note(host, "save");
    return writer->write(writer, "state", 5, err);
}

static inline enum berth_code on_load(const struct berth_host *host, void *instance, uint32_t version,
                                      const void *bytes, size_t length, struct berth_error *err)
{
    note(host, "restore");
    assert_memory_equal(bytes, "state", 5);
    return is_faulty(entry_of(host), "load fails") ? berth_error_set(err, BERTH_DATA_LOSS, "illegible")
                                                   : BERTH_OK;
}

static inline void on_message(struct berth_call *call, const void *message, size_t length)
{
    if (length == 0)
        return;
    berth_call_reply(call, call->instance, strlen(call->instance));
}

static const struct berth_method methods[] = {
    {.name = "Ask", .kind = BERTH_METHOD_UNARY, .on_message = on_message}};
static const struct berth_service service = {.size = sizeof(service),
                                             .method_size = sizeof(methods[0]),
                                             .name = "test.Stage",
                                             .methods = methods,
                                             .method_count = 1};
static const struct berth_service *const services[] = {&service, NULL};

static const struct berth_plugin actor = {.size = sizeof(actor),
                                          .init = on_init,
                                          .serve = on_serve,
                                          .drain = on_drain,
                                          .close = on_close,
                                          .services = services,
                                          .interface = "stage",
                                          .reconfigure = on_reconfigure,
                                          .save_state = on_save,
                                          .load_state = on_load};

/* One whose manifest names no interface has none. */
static const struct berth_plugin loner = {.size = sizeof(loner),
                                          .init = on_init,
                                          .serve = on_serve,
                                          .drain = on_drain,
                                          .close = on_close,
                                          .services = services,
                                          .reconfigure = on_reconfigure,
                                          .save_state = on_save,
                                          .load_state = on_load};

static inline enum berth_code on_prepare(const struct berth_prepare *prepare, void **ret_prepared,
                                         struct berth_error *err)
{
    return berth_error_set(err, BERTH_DATA_LOSS, "nothing to prepare");
}

static const struct berth_plugin unprepared = {.size = sizeof(unprepared), .prepare = on_prepare};

/* The world that an entry's plan is of. */
static inline struct counted_world *world_of(const struct plan_entry *entry)
{
    struct counted_world *counted = stage.newest;

    while (entry < counted->world.plan->entries ||
           entry >= counted->world.plan->entries + counted->world.plan->count)
        counted = counted->older;
    return counted;
}

static inline enum berth_code stage_load(void *context, const struct plan_entry *entry,
                                         struct registry_plugin *plugin, struct generation_source *ret_source)
{
    const struct settings_timeouts timeouts = {60 * MILLISECOND, 60 * MILLISECOND, 60 * MILLISECOND,
                                               60 * MILLISECOND, 60 * MILLISECOND};

    if (is_faulty(entry, "module fails")) {
        registry_blame(stage.registry, plugin, BERTH_STATE_FAILED, BERTH_UNAVAILABLE, "undefined symbol",
                       NULL);
        return BERTH_UNAVAILABLE;
    }
    *ret_source = (struct generation_source){
        .entry = entry,
        .table = is_faulty(entry, "prepare fails")  ? &unprepared
                 : entry->plugin->interface == NULL ? &loner
                                                    : &actor,
        .settings = settings_of_plugin(world_of(entry)->world.settings, entry->plugin->uri),
        .timeouts = timeouts,
        .keep = world_of(entry),
    };
    world_of(entry)->users++;
    stage.sources++;
    return BERTH_OK;
}

static inline void stage_drop(void *context, const struct generation_source *source)
{
    ((struct counted_world *)source->keep)->users--;
    stage.sources--;
}

static inline void stage_on_settled(void *context)
{
    perform_serve(stage.perform);
}

static inline void stage_on_ready(void *context)
{
    stage.ready = true;
}

static inline void stage_on_stopped(void *context)
{
    stage.stopped = true;
}

static inline void stage_nothing(void *context)
{
}

/** One turn, or a jump of the clock to what is due. */
static inline void stage_turn(void)
{
    uint64_t before = clock_ns;
    int timeout = uv_backend_timeout(&stage.loop);

    if (timeout > 0)
        clock_ns += (uint64_t)timeout * MILLISECOND;
    else if (timeout < 0 && !uv_loop_alive(&stage.loop))
        return;
    uv_update_time(&stage.loop);
    uv_run(&stage.loop, UV_RUN_NOWAIT);
    clock_ns += clock_ns == before ? 1000 : 0;
}

static inline void stage_run_until(const bool *flag)
{
    for (size_t i = 0; !*flag; i++) {
        if (i > 100000)
            fail_msg("nothing happens any more: %s", stage.trace);
        /* A prepare has a thread of its own, which the machine's clock moves. */
        if (i > 1000)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        stage_turn();
    }
}

static inline struct world *stage_world(const char *const *modules, const char *configuration)
{
    struct counted_world *counted = calloc(1, sizeof(*counted));

    assert_non_null(counted);
    world_open(&counted->world, modules, "new", configuration);
    counted->older = stage.newest;
    stage.newest = counted;
    return &counted->world;
}

/** Frees the worlds that no change has led to, because it was refused. */
static inline void stage_drop_refused(void)
{
    while (registry_plan(stage.registry) != stage.newest->world.plan) {
        struct counted_world *counted = stage.newest;

        assert_int_equal(counted->users, 0);
        stage.newest = counted->older;
        world_close(&counted->world);
        free(counted);
    }
}

/** Frees what nothing is left of. Whatever is the registry's plan stays. */
static inline void stage_sweep(void)
{
    struct counted_world **place = &stage.newest->older;

    while (*place != NULL) {
        struct counted_world *counted = *place;

        if (counted->users > 0) {
            place = &counted->older;
            continue;
        }
        *place = counted->older;
        world_close(&counted->world);
        free(counted);
    }
}

/** @param modules  to a NULL. */
static inline void stage_start(const char *const *modules, const char *configuration)
{
    struct world *world;

    memset(&stage, 0, sizeof(stage));
    stage.log_fd = memfd_create("log", MFD_CLOEXEC);
    log_start(BERTH_LOG_DEBUG, LOG_JOURNAL, stage.log_fd);
    stage.drain_ns = 100 * MILLISECOND;
    if (stage_before_start != NULL)
        stage_before_start();
    world = stage_world(modules, configuration);
    assert_int_equal(uv_loop_init(&stage.loop), 0);
    stage.registry = registry_create(world->plan, clock_ns);
    stage.router = router_create();
    for (size_t i = 0; i < world->plan->run_count; i++)
        for (size_t k = 0; k < world->plan->entries[i].plugin->service_count; k++)
            service_routes_declare(stage.router, world->plan->entries[i].plugin,
                                   &world->plan->entries[i].services[k], NULL);
    stage.perform = perform_create(&(struct perform_options){
        .host = {.loop = &stage.loop,
                 .registry = stage.registry,
                 .router = stage.router,
                 .root = "/nonexistent/root",
                 .state = "/nonexistent/state"},
        .prepare_threads = 1,
        .events = {stage_on_settled, stage_nothing, stage_on_ready, stage_on_stopped},
        .load = stage_load,
        .drop = stage_drop,
    });
    perform_load(stage.perform, NULL);
    perform_start(stage.perform);
    stage_run_until(&stage.ready);
    stage.trace[0] = '\0';
}

static inline void stage_fault(const char *uri, const char *version, const char *what)
{
    stage.faults[stage.fault_count++] = (struct fault){uri, version, what};
}

/* A change to a world. */
struct asked {
    struct perform_request request;
    /* NULL: the newest. */
    struct world *world;
    enum change_kind kind;
    const char *subjects[4];
    size_t subject_count;
    struct change *change;
    struct change_running *running;
    bool is_done;
};

static inline struct change_running describe(const struct generation *generation)
{
    const struct counted_world *world = generation->source.keep;

    return (struct change_running){
        .entry = generation->source.entry,
        .settings = world != NULL ? world->world.settings : NULL,
        .generation = generation->plugin->generation,
        .is_ready = registry_plugin_is_ready(generation->plugin),
        .is_left_open = generation->is_open && !registry_plugin_is_ready(generation->plugin),
        .has_interface = generation->plugin->table != NULL && BERTH_HAS(generation->plugin->table, interface),
    };
}

static inline void free_change(struct asked *asked)
{
    change_destroy(asked->change);
    free(asked->running);
    asked->change = NULL;
    asked->running = NULL;
}

static inline enum berth_code stage_begin(struct perform_request *request, const char *const *unwilling,
                                          size_t unwilling_count, struct perform_work *ret_work,
                                          struct berth_error *err)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, request);
    struct world *world = asked->world != NULL ? asked->world : &stage.newest->world;
    size_t count;
    const struct generation **list = perform_list(stage.perform, &count);
    const void **owners = calloc(count + 1, sizeof(*owners));
    struct users users;

    free_change(asked);
    asked->running = calloc(count + 1, sizeof(*asked->running));
    for (size_t i = 0; i < count; i++) {
        asked->running[i] = describe(list[i]);
        owners[i] = &list[i]->host;
    }
    users_find(&users, registry_ledger(stage.registry), asked->running, owners, count);
    asked->change = change_create(asked->running, count, NULL, world->plan, world->settings,
                                  &(struct change_request){.kind = asked->kind,
                                                           .subjects = asked->subjects,
                                                           .subject_count = asked->subject_count,
                                                           .unwilling = unwilling,
                                                           .unwilling_count = unwilling_count,
                                                           .cascade = true});
    users_finish(&users);
    free(owners);
    free(list);
    *ret_work = (struct perform_work){.plan = world->plan,
                                      .change = asked->change,
                                      .drain_ns = stage.drain_ns,
                                      .is_forced = stage.is_forced,
                                      .is_atomic = stage.is_atomic};
    return BERTH_OK;
}

static inline void stage_on_done(struct perform_request *request, const struct perform_report *report)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, request);
    size_t used = 0;

    stage.report[0] = '\0';
    if (report->result_count == 0 && report->code != BERTH_OK)
        snprintf(stage.report, sizeof(stage.report), "%s: %s\n", berth_code_name(report->code),
                 report->message);
    for (size_t i = 0; i < report->result_count && used < sizeof(stage.report); i++) {
        const struct perform_result *result = &report->results[i];

        used +=
            (size_t)snprintf(stage.report + used, sizeof(stage.report) - used, "%s %s %s%s%s\n",
                             change_action_name(result->action), result->uri, berth_code_name(result->code),
                             result->message[0] != '\0' ? ": " : "", result->message);
    }
    for (size_t i = 0; stage_on_result != NULL && i < report->result_count; i++)
        stage_on_result(&report->results[i]);
    asked->is_done = true;
    stage.answers++;
    free_change(asked);
}

/** Changes to a world, and waits until that is done. */
static inline void stage_change(const char *const *modules, const char *configuration)
{
    struct asked asked = {.request = {.begin = stage_begin, .on_done = stage_on_done}};

    stage.trace[0] = '\0';
    stage_world(modules, configuration);
    perform_ask(stage.perform, &asked.request);
    stage_run_until(&asked.is_done);
}

/** What hung completes at last. */
static inline void stage_complete(void)
{
    for (size_t i = 0; i < stage.hung_count; i++)
        stage.hung[i].host->complete(stage.hung[i].host, stage.hung[i].step, BERTH_ABORTED, NULL, "at last");
    stage.hung_count = 0;
}

/** Stops; nothing may be left but what hangs. */
static inline void stage_end(void)
{
    perform_stop(stage.perform);
    stage_run_until(&stage.stopped);
    for (int i = 0; i < 3; i++)
        uv_run(&stage.loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&stage.loop), 0);
    assert_int_equal(perform_is_any_busy(stage.perform, NULL, NULL), stage.hung_count > 0);
    stage_complete();
    assert_false(perform_is_any_busy(stage.perform, NULL, NULL));
    assert_int_equal(stage.open, 0);
    perform_destroy(stage.perform);
    assert_int_equal(stage.sources, 0);
    router_destroy(stage.router);
    registry_destroy(stage.registry);
    stage_sweep();
    world_close(&stage.newest->world);
    free(stage.newest);
    log_start(BERTH_LOG_INFO, LOG_TEXT, STDERR_FILENO);
    close(stage.log_fd);
}

static inline const struct registry_plugin *stage_plugin(const char *uri)
{
    const struct registry_plugin *plugin = registry_find(stage.registry, uri);

    if (plugin == NULL)
        fail_msg("no plugin %s", uri);
    return plugin;
}

#endif
