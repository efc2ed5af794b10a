/* SPDX-License-Identifier: Apache-2.0 */
/* The logic of introspection, for any transport: the daemon's identity, and plugins found by filters. */
#include "introspection-plugin.h"

#include <assert.h>
#include <stdlib.h>

#include <berth/filter.h>
#include <berth/types/introspection.h>

#include "identity.h"

struct service {
    const struct berth_inspect *inspect;
    /** Without an interface if no plugin collects deprecations. */
    struct berth_ref deprecations;
    struct berth_introspection_server server;
    char uuid[IDENTITY_UUID_SIZE];
};

/* If the root is full or read-only, the daemon gets a new UUID; nothing else is lost. */
static enum berth_code find_identity(const struct berth_prepare *prepare, struct service *service,
                                     struct berth_error *err)
{
    const char *folder;

    if (prepare->root_dir(prepare, &folder, err) == BERTH_OK &&
        identity_keep_uuid(folder, service->uuid, err) == BERTH_OK)
        return BERTH_OK;
    berth_prepare_log(prepare, BERTH_LOG_WARN, "%s; using a new UUID until the next start", err->message);
    return identity_make_uuid(service->uuid, err);
}

enum berth_code introspection_service_prepare(const struct berth_prepare *prepare, void **ret_prepared,
                                              struct berth_error *err)
{
    struct service *service = calloc(1, sizeof(*service));
    enum berth_code code;

    if (service == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the introspection service");
    service->server = (struct berth_introspection_server){
        .size = sizeof(service->server),
        .uuid = service->uuid,
        .pid_namespace = identity_pid_namespace(),
    };
    code = find_identity(prepare, service, err);
    if (code == BERTH_OK)
        *ret_prepared = service;
    else
        free(service);
    return code;
}

void introspection_service_discard(void *prepared)
{
    free(prepared);
}

enum berth_code introspection_service_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                           struct berth_error *err)
{
    struct service *service = prepared;

    service->inspect = host->inspect;
    service->server.pid = (uint64_t)host->inspect->daemon->pid;
    if (berth_get(host, BERTH_DEPRECATIONS_URI, &service->deprecations, err) != BERTH_OK)
        service->deprecations = (struct berth_ref){.interface = NULL};
    *ret_instance = service;
    return BERTH_OK;
}

enum berth_code introspection_service_close(const struct berth_host *host, void *instance,
                                            struct berth_error *err)
{
    free(instance);
    return BERTH_OK;
}

static const struct berth_daemon_info *get_daemon(void *instance)
{
    const struct service *service = instance;

    return service->inspect->daemon;
}

static const struct berth_introspection_server *get_server(void *instance)
{
    const struct service *service = instance;

    return &service->server;
}

struct visit {
    struct berth_filter *filter;
    enum berth_code code;
    struct berth_error *err;
    bool (*on_plugin)(void *context, const struct berth_plugin_info *plugin);
    void *context;
};

static const char *condition_of(const struct berth_plugin_info *plugin)
{
    return BERTH_HAS(plugin, condition) ? "degraded" : NULL;
}

/* As ctr and berthctl print it. */
static const char *status_of(const struct berth_plugin_info *plugin)
{
    if (plugin->code == BERTH_OK)
        return "ok";
    return plugin->code == BERTH_SKIP ? "skip" : "error";
}

static const char *const field_names[] = {"type",   "id",      "uri",  "status",    "state",
                                          "module", "version", "path", "condition", NULL};

/* A field that is empty counts as absent, as in containerd. */
static bool plugin_field(void *context, const char *const *path, size_t count, const char **ret_value)
{
    const struct berth_plugin_info *plugin = context;
    /* In the order of field_names. */
    const char *const values[] = {
        plugin->type,   plugin->id,      plugin->uri,  status_of(plugin),    berth_state_name(plugin->state),
        plugin->module, plugin->version, plugin->path, condition_of(plugin),
    };

    static_assert(sizeof(field_names) == sizeof(values) + sizeof(values[0]), "a value for each field");
    for (size_t i = 0; field_names[i] != NULL; i++) {
        if (strcmp(path[0], field_names[i]) != 0 || values[i] == NULL || *values[i] == '\0')
            continue;
        *ret_value = values[i];
        return true;
    }
    return false;
}

static bool visit_plugin(void *context, const struct berth_plugin_info *plugin)
{
    struct visit *visit = context;
    bool matches;

    visit->code =
        berth_filter_match(visit->filter, plugin_field, (void *)(uintptr_t)plugin, &matches, visit->err);
    if (visit->code != BERTH_OK)
        return false;
    return !matches || visit->on_plugin(visit->context, plugin);
}

static enum berth_code visit_plugins(void *instance, const char *const *filters, size_t filter_count,
                                     bool (*on_plugin)(void *context, const struct berth_plugin_info *plugin),
                                     void *context, struct berth_error *err)
{
    const struct service *service = instance;
    struct visit visit = {.on_plugin = on_plugin, .context = context, .err = err};
    struct berth_filter *filter;
    enum berth_code code = berth_filter_create(filters, filter_count, &filter, err);

    if (code != BERTH_OK)
        return code;
    visit.filter = filter;
    service->inspect->each(service->inspect, visit_plugin, &visit);
    berth_filter_destroy(filter);
    return visit.code;
}

static enum berth_code check_filters(void *instance, const char *const *filters, size_t filter_count,
                                     struct berth_error *err)
{
    struct berth_filter *filter;
    enum berth_code code = berth_filter_create(filters, filter_count, &filter, err);

    if (code != BERTH_OK)
        return code;
    code = berth_filter_check(filter, field_names, err);
    berth_filter_destroy(filter);
    return code;
}

static void visit_deprecations(void *instance,
                               bool (*on_deprecation)(void *context,
                                                      const struct berth_deprecation *deprecation),
                               void *context)
{
    const struct service *service = instance;
    const struct berth_deprecations *deprecations = service->deprecations.interface;

    if (deprecations != NULL)
        deprecations->each(service->deprecations.instance, on_deprecation, context);
}

const struct berth_introspection introspection_service_interface = {
    .size = sizeof(introspection_service_interface),
    .server = get_server,
    .daemon = get_daemon,
    .plugins = visit_plugins,
    .deprecations = visit_deprecations,
    .check_filters = check_filters,
};
