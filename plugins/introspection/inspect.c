/* SPDX-License-Identifier: Apache-2.0 */
/* berth's own inspection service: one message per plugin, with everything the host knows. */
#include "introspection-plugin.h"

#include <stdlib.h>

#include "introspection.h"

typedef Berth__Inspect__V1__Plugin plugin_message;

/* What the lists of one message point to. */
struct lists {
    Berth__Inspect__V1__Platform *platforms;
    Berth__Inspect__V1__Export *exports;
    Berth__Inspect__V1__Edge *edges;
    Berth__Inspect__V1__ServiceTransports *transports;
    void **platform_pointers;
    void **export_pointers;
    void **edge_pointers;
    void **transport_pointers;
};

static char **items(const struct berth_strings *strings)
{
    return (char **)(uintptr_t)strings->items;
}

/* `count` messages of a size, and the pointers to them that protobuf-c wants. */
static bool make_list(size_t count, size_t size, void **ret_items, void ***ret_pointers)
{
    char *list = calloc(count + 1, size);
    void **pointers = calloc(count + 1, sizeof(*pointers));

    for (size_t i = 0; list != NULL && pointers != NULL && i < count; i++)
        pointers[i] = list + i * size;
    *ret_items = list;
    *ret_pointers = pointers;
    return list != NULL && pointers != NULL;
}

static bool fill_platforms(plugin_message *message, const struct berth_plugin_info *plugin,
                           struct lists *lists)
{
    if (!make_list(plugin->platform_count, sizeof(*lists->platforms), (void **)&lists->platforms,
                   &lists->platform_pointers))
        return false;
    for (size_t i = 0; i < plugin->platform_count; i++) {
        berth__inspect__v1__platform__init(&lists->platforms[i]);
        lists->platforms[i].os = introspection_text(plugin->platforms[i].os);
        lists->platforms[i].architecture = introspection_text(plugin->platforms[i].architecture);
        lists->platforms[i].variant = introspection_text(plugin->platforms[i].variant);
    }
    message->n_platforms = plugin->platform_count;
    message->platforms = (Berth__Inspect__V1__Platform **)lists->platform_pointers;
    return true;
}

static bool fill_exports(plugin_message *message, const struct berth_plugin_info *plugin, struct lists *lists)
{
    if (!make_list(plugin->export_count, sizeof(*lists->exports), (void **)&lists->exports,
                   &lists->export_pointers))
        return false;
    for (size_t i = 0; i < plugin->export_count; i++) {
        berth__inspect__v1__export__init(&lists->exports[i]);
        lists->exports[i].key = introspection_text(plugin->exports[i].key);
        lists->exports[i].value = introspection_text(plugin->exports[i].value);
    }
    message->n_exports = plugin->export_count;
    message->exports = (Berth__Inspect__V1__Export **)lists->export_pointers;
    return true;
}

static bool fill_edges(plugin_message *message, const struct berth_plugin_info *plugin, struct lists *lists)
{
    if (!make_list(plugin->edge_count, sizeof(*lists->edges), (void **)&lists->edges, &lists->edge_pointers))
        return false;
    for (size_t i = 0; i < plugin->edge_count; i++) {
        berth__inspect__v1__edge__init(&lists->edges[i]);
        lists->edges[i].provider = introspection_text(plugin->edges[i].provider);
        lists->edges[i].requirement = introspection_text(plugin->edges[i].requirement);
        lists->edges[i].binding = plugin->edges[i].binding;
    }
    message->n_edges = plugin->edge_count;
    message->edges = (Berth__Inspect__V1__Edge **)lists->edge_pointers;
    return true;
}

static bool fill_transports(plugin_message *message, const struct berth_plugin_info *plugin,
                            struct lists *lists)
{
    size_t count = BERTH_HAS(plugin, transports) ? plugin->services.count : 0;

    if (!make_list(count, sizeof(*lists->transports), (void **)&lists->transports,
                   &lists->transport_pointers))
        return false;
    for (size_t i = 0; i < count; i++) {
        berth__inspect__v1__service_transports__init(&lists->transports[i]);
        lists->transports[i].service = introspection_text(plugin->services.items[i]);
        lists->transports[i].n_transports = plugin->transports[i].count;
        lists->transports[i].transports = items(&plugin->transports[i]);
    }
    message->n_transports = count;
    message->transports = (Berth__Inspect__V1__ServiceTransports **)lists->transport_pointers;
    return true;
}

static Berth__Inspect__V1__State state(enum berth_state state)
{
    switch (state) {
    case BERTH_STATE_REJECTED:
        return BERTH__INSPECT__V1__STATE__STATE_REJECTED;
    case BERTH_STATE_DISABLED:
        return BERTH__INSPECT__V1__STATE__STATE_DISABLED;
    case BERTH_STATE_BLOCKED:
        return BERTH__INSPECT__V1__STATE__STATE_BLOCKED;
    case BERTH_STATE_WAITING:
        return BERTH__INSPECT__V1__STATE__STATE_WAITING;
    case BERTH_STATE_PREPARING:
        return BERTH__INSPECT__V1__STATE__STATE_PREPARING;
    case BERTH_STATE_STARTING:
        return BERTH__INSPECT__V1__STATE__STATE_STARTING;
    case BERTH_STATE_READY:
        return BERTH__INSPECT__V1__STATE__STATE_READY;
    case BERTH_STATE_SERVING:
        return BERTH__INSPECT__V1__STATE__STATE_SERVING;
    case BERTH_STATE_DRAINING:
        return BERTH__INSPECT__V1__STATE__STATE_DRAINING;
    case BERTH_STATE_STOPPED:
        return BERTH__INSPECT__V1__STATE__STATE_STOPPED;
    case BERTH_STATE_SKIPPED:
        return BERTH__INSPECT__V1__STATE__STATE_SKIPPED;
    case BERTH_STATE_FAILED:
        return BERTH__INSPECT__V1__STATE__STATE_FAILED;
    case BERTH_STATE_TIMED_OUT:
        return BERTH__INSPECT__V1__STATE__STATE_TIMED_OUT;
    case BERTH_STATE_QUARANTINED:
        return BERTH__INSPECT__V1__STATE__STATE_QUARANTINED;
    case BERTH_STATE_IDLE:
        return BERTH__INSPECT__V1__STATE__STATE_IDLE;
    }
    return BERTH__INSPECT__V1__STATE__STATE_UNSPECIFIED;
}

static Berth__Inspect__V1__Step *fill_step(Berth__Inspect__V1__Step *step, uint64_t start_ns,
                                           uint64_t duration_ns)
{
    berth__inspect__v1__step__init(step);
    step->start_ns = start_ns;
    step->duration_ns = duration_ns;
    return start_ns == 0 && duration_ns == 0 ? NULL : step;
}

static void fill_condition(plugin_message *message, const struct berth_plugin_info *plugin)
{
    if (!BERTH_HAS(plugin, condition))
        return;
    message->condition = (int32_t)plugin->condition;
    message->condition_reason = introspection_text(plugin->condition_reason);
}

static void fill_signer(plugin_message *message, const struct berth_plugin_info *plugin)
{
    if (plugin->size <= offsetof(struct berth_plugin_info, signer_comment))
        return;
    message->signer = introspection_text(plugin->signer);
    message->signature_verified = plugin->signature_verified;
    message->signer_comment = introspection_text(plugin->signer_comment);
}

static bool append_with_times(plugin_message *message, const struct berth_times *times,
                              struct berth_wire_buffer *replies)
{
    Berth__Inspect__V1__Times all = BERTH__INSPECT__V1__TIMES__INIT;
    Berth__Inspect__V1__Step load, config, prepare, init, serve;

    all.load = fill_step(&load, times->load_start_ns, times->load_ns);
    all.config = fill_step(&config, times->config_start_ns, times->config_ns);
    all.prepare = fill_step(&prepare, times->prepare_start_ns, times->prepare_ns);
    all.init = fill_step(&init, times->init_start_ns, times->init_ns);
    all.serve = fill_step(&serve, times->serve_start_ns, times->serve_ns);
    all.ready_at_ns = times->ready_at_ns;
    message->times = &all;
    return introspection_append(replies, &message->base);
}

static void fill_strings(plugin_message *message, const struct berth_plugin_info *plugin)
{
    message->uri = introspection_text(plugin->uri);
    message->type = introspection_text(plugin->type);
    message->id = introspection_text(plugin->id);
    message->path = introspection_text(plugin->path);
    message->module = introspection_text(plugin->module);
    message->version = introspection_text(plugin->version);
    message->description = introspection_text(plugin->description);
    message->reason = introspection_text(plugin->reason);
    message->cause = introspection_text(plugin->cause);
    message->n_requires = plugin->requirements.count;
    message->requires = items(&plugin->requirements);
    message->n_wants = plugin->wants.count;
    message->wants = items(&plugin->wants);
    message->n_services = plugin->services.count;
    message->services = items(&plugin->services);
    message->n_capabilities = plugin->capabilities.count;
    message->capabilities = items(&plugin->capabilities);
    message->n_holds = plugin->holds.count;
    message->holds = items(&plugin->holds);
}

static void free_lists(struct lists *lists)
{
    free(lists->platforms);
    free(lists->platform_pointers);
    free(lists->exports);
    free(lists->export_pointers);
    free(lists->edges);
    free(lists->edge_pointers);
    free(lists->transports);
    free(lists->transport_pointers);
}

static bool describe(const struct berth_plugin_info *plugin, struct berth_wire_buffer *replies)
{
    plugin_message message = BERTH__INSPECT__V1__PLUGIN__INIT;
    struct lists lists = {0};
    struct introspection_isolation *isolation = NULL;
    bool appended;

    fill_strings(&message, plugin);
    message.state = state(plugin->state);
    message.code = (int32_t)plugin->code;
    message.level = plugin->level;
    message.generation = plugin->generation;
    fill_condition(&message, plugin);
    fill_signer(&message, plugin);
    message.newest_version =
        introspection_text(BERTH_HAS(plugin, newest_version) ? plugin->newest_version : NULL);
    if (BERTH_HAS(plugin, isolation) && plugin->isolation != NULL) {
        isolation = introspection_isolation_create(plugin->isolation);
        message.isolation = isolation != NULL ? introspection_isolation_message(isolation) : NULL;
    }
    if (BERTH_HAS(plugin, held_back) && plugin->held_back != NULL)
        message.held_back = introspection_text(plugin->held_back[0] != '\0' ? plugin->held_back : "unknown");
    message.starts_on_call = BERTH_HAS(plugin, starts_on_call);
    message.activation = introspection_text(BERTH_HAS(plugin, activation) ? plugin->activation : NULL);
    appended = fill_platforms(&message, plugin, &lists) && fill_exports(&message, plugin, &lists) &&
               fill_edges(&message, plugin, &lists) && fill_transports(&message, plugin, &lists) &&
               append_with_times(&message, &plugin->times, replies);
    introspection_isolation_destroy(isolation);
    free_lists(&lists);
    return appended;
}

/* Has it never had a chance to run? */
static bool never_ran(enum berth_state state)
{
    return state == BERTH_STATE_REJECTED || state == BERTH_STATE_DISABLED || state == BERTH_STATE_BLOCKED;
}

struct plugin_visit {
    struct berth_wire_buffer *replies;
    bool all;
};

static bool list_plugin(void *context, const struct berth_plugin_info *plugin)
{
    const struct plugin_visit *visit = context;

    if (!visit->all && (plugin->uri == NULL || never_ran(plugin->state)))
        return true;
    return describe(plugin, visit->replies);
}

static void plugins(struct berth_call *call, const Berth__Inspect__V1__PluginsRequest *request)
{
    static const char no_memory[] = "no memory for the list of plugins";
    const struct introspection *introspection = call->instance;
    struct introspection_list *list = introspection_list_begin(call, no_memory);
    struct plugin_visit visit = {.all = request->all};
    const char *const *filters = (const char *const *)request->filters;
    struct berth_error err;
    enum berth_code code;

    if (list == NULL)
        return;
    visit.replies = &list->replies;
    code = introspection->service->check_filters(introspection->instance, filters, request->n_filters, &err);
    if (code == BERTH_OK)
        code = introspection->service->plugins(introspection->instance, filters, request->n_filters,
                                               list_plugin, &visit, &err);
    if (code == BERTH_OK)
        introspection_list_send(call, no_memory);
    else
        berth_call_finish(call, code, err.message);
}

static void daemon_info(struct berth_call *call, const Berth__Inspect__V1__DaemonRequest *request)
{
    const struct introspection *introspection = call->instance;
    Berth__Inspect__V1__DaemonResponse reply = BERTH__INSPECT__V1__DAEMON_RESPONSE__INIT;
    const struct berth_daemon_info *daemon = introspection->service->daemon(introspection->instance);

    reply.version = introspection_text(daemon->version);
    reply.revision = introspection_text(daemon->revision);
    reply.root = introspection_text(daemon->root);
    reply.state = introspection_text(daemon->state);
    reply.pid = daemon->pid;
    reply.ready = daemon->ready;
    reply.draining = daemon->draining;
    reply.ready_ns = daemon->ready_ns;
    berth_inspect_v1_inspect_daemon_reply(call, &reply);
}

const struct berth_inspect_v1_inspect_handlers introspection_inspect_handlers = {
    .plugins = {.on_message = plugins,
                .on_writable = introspection_list_on_writable,
                .on_end = introspection_list_on_end},
    .daemon = {.on_message = daemon_info},
    .costs = {.on_message = introspection_costs},
    .status = {.on_message = introspection_status},
    .connections = {.on_message = introspection_connections,
                    .on_writable = introspection_list_on_writable,
                    .on_end = introspection_list_on_end},
    .close_connection = {.on_message = introspection_close_connection},
    .log = {.on_message = introspection_log,
            .on_writable = introspection_log_on_writable,
            .on_end = introspection_log_on_end},
    .log_levels = {.on_message = introspection_log_levels},
    .set_log_level = {.on_message = introspection_set_log_level},
    .settings = {.on_message = introspection_settings},
    .holds = {.on_message = introspection_holds},
};
