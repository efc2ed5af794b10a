/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what a module exports with this host and with the manifest, field by field before it is used. */
#include "manifest.h"

#include <inttypes.h>
#include <string.h>

#include <berth/plugin.h>

/* Tables end with NULL; one without its end is followed only this far. */
#define TABLE_MAX 1024

static enum berth_code stale(const struct manifest *manifest, struct berth_error *err, const char *what,
                             const char *name)
{
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "%s: %s %s: the module was not built from the manifest it carries; rebuild it",
                           manifest->path, what, name);
}

static enum berth_code stale_member(const struct manifest *manifest, struct berth_error *err,
                                    const char *what, const char *owner, char between, const char *member)
{
    char name[600];

    snprintf(name, sizeof(name), "%s%c%s", owner, between, member);
    return stale(manifest, err, what, name);
}

static enum berth_code differs(const struct manifest *manifest, struct berth_error *err, const char *field,
                               uint64_t theirs, uint64_t ours)
{
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "%s: %s is %" PRIu64 " in berth_module, this host has %" PRIu64
                           ": build the module against this host's SDK and libuv",
                           manifest->path, field, theirs, ours);
}

static enum berth_code check_layout(const struct berth_module *module, const struct manifest *manifest,
                                    struct berth_error *err)
{
    const uint32_t least = offsetof(struct berth_module, plugins) + sizeof(module->plugins);

    if (module->abi != BERTH_ABI)
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: abi is %u in berth_module, this host has %u: build the module against this host's SDK",
            manifest->path, module->abi, BERTH_ABI);
    if (module->size < least)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: size is %u in berth_module, this host needs at least %u: build the "
                               "module against this host's SDK",
                               manifest->path, module->size, least);
    if (module->plugins == NULL)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s: plugins is NULL in berth_module",
                               manifest->path);
    return BERTH_OK;
}

static enum berth_code check_hash(const struct berth_module *module, const struct manifest *manifest,
                                  struct berth_error *err)
{
    if (module->note_hash == 0 || module->note_hash == manifest->hash)
        return BERTH_OK;
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "%s: a stale build: note_hash is %016" PRIx64
                           " in berth_module, its note has %016" PRIx64 "; rebuild it",
                           manifest->path, module->note_hash, manifest->hash);
}

/* A module may use what its libuv had; a host with an older one would lack it. */
static enum berth_code check_uv_version(uint32_t theirs, const struct manifest *manifest,
                                        struct berth_error *err)
{
    uint32_t ours = uv_version();
    uint32_t their_major = theirs >> 16, their_minor = (theirs >> 8) & 0xff;

    if (their_major == ours >> 16 && their_minor <= ((ours >> 8) & 0xff))
        return BERTH_OK;
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "%s: uv_version is %u.%u.%u in berth_module, this host runs libuv %s: %s",
                           manifest->path, their_major, their_minor, theirs & 0xff, uv_version_string(),
                           their_major == ours >> 16 ? "build the module for that version or an older one"
                                                     : "build the module for that major version");
}

static enum berth_code check_uv_sizes(const struct berth_module *module, const struct manifest *manifest,
                                      struct berth_error *err)
{
    const struct {
        const char *field;
        uint32_t theirs;
        size_t ours;
    } sizes[] = {
        {"uv_loop_size", module->uv_loop_size, uv_loop_size()},
        {"uv_async_size", module->uv_async_size, uv_handle_size(UV_ASYNC)},
        {"uv_pipe_size", module->uv_pipe_size, uv_handle_size(UV_NAMED_PIPE)},
        {"uv_poll_size", module->uv_poll_size, uv_handle_size(UV_POLL)},
        {"uv_process_size", module->uv_process_size, uv_handle_size(UV_PROCESS)},
        {"uv_tcp_size", module->uv_tcp_size, uv_handle_size(UV_TCP)},
        {"uv_timer_size", module->uv_timer_size, uv_handle_size(UV_TIMER)},
    };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (sizes[i].theirs != sizes[i].ours)
            return differs(manifest, err, sizes[i].field, sizes[i].theirs, sizes[i].ours);
    }
    return BERTH_OK;
}

/* Can it be looked up by name: is the table large enough to contain its name? */
static enum berth_code check_plugin_tables(const struct berth_module *module, const struct manifest *manifest,
                                           struct berth_error *err)
{
    const uint32_t least = offsetof(struct berth_plugin, id) + sizeof(const char *);

    for (size_t i = 0; module->plugins[i] != NULL; i++) {
        const struct berth_plugin *plugin = module->plugins[i];

        if (i == TABLE_MAX)
            return berth_error_set(
                err, BERTH_FAILED_PRECONDITION,
                "%s: berth_module has more than %d plugins, or its table does not end with NULL",
                manifest->path, TABLE_MAX);
        if (plugin->size < least)
            return differs(manifest, err, "the size of a plugin's table", plugin->size,
                           sizeof(struct berth_plugin));
        if (plugin->type == NULL || plugin->id == NULL)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                                   "%s: plugin %zu of berth_module lacks its type or id", manifest->path, i);
    }
    return BERTH_OK;
}

static const struct berth_plugin *find_plugin(const struct berth_module *module, const char *type,
                                              const char *id)
{
    for (size_t i = 0; module->plugins[i] != NULL; i++) {
        const struct berth_plugin *plugin = module->plugins[i];

        if (strcmp(plugin->id, id) == 0 && strcmp(plugin->type, type) == 0)
            return plugin;
    }
    return NULL;
}

static bool manifest_has(const struct manifest *manifest, const char *type, const char *id)
{
    for (size_t i = 0; i < manifest->plugin_count; i++) {
        if (strcmp(manifest->plugins[i].id, id) == 0 && strcmp(manifest->plugins[i].type, type) == 0)
            return true;
    }
    return false;
}

static enum berth_code check_method(const struct berth_method *method, const struct manifest_method *expected,
                                    const char *service, const struct manifest *manifest,
                                    struct berth_error *err)
{
    bool has_one_request =
        expected->kind == BERTH_METHOD_UNARY || expected->kind == BERTH_METHOD_SERVER_STREAM;

    if (method->kind != expected->kind)
        return stale_member(manifest, err,
                            "the kind of a method differs between table and manifest:", service, '/',
                            expected->name);
    if (has_one_request && method->on_message == NULL)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: %s/%s has no on_message, so no request could reach it", manifest->path,
                               service, expected->name);
    return BERTH_OK;
}

static const struct berth_method *method_at(const struct berth_service *service, size_t i)
{
    return (const struct berth_method *)((const char *)service->methods + i * service->method_size);
}

/* Tables usually have the manifest's order, so the search begins at the name's place there. */
static const struct berth_method *find_method(const struct berth_service *service, const char *name,
                                              size_t hint)
{
    for (size_t i = 0; i < service->method_count; i++) {
        const struct berth_method *method = method_at(service, (hint + i) % service->method_count);

        if (method->name != NULL && strcmp(method->name, name) == 0)
            return method;
    }
    return NULL;
}

static enum berth_code check_service(const struct berth_service *service,
                                     const struct manifest_service *expected, const struct manifest *manifest,
                                     struct berth_error *err)
{
    const uint32_t least = offsetof(struct berth_method, on_end) + sizeof(service->methods->on_end);
    enum berth_code code = BERTH_OK;

    if (service->method_size < least || service->method_size % _Alignof(struct berth_method) != 0)
        return differs(manifest, err, "method_size", service->method_size, sizeof(struct berth_method));
    if (service->method_count != expected->method_count)
        return stale(manifest, err, "the number of methods differs between table and manifest of",
                     expected->name);
    if (service->methods == NULL && service->method_count > 0)
        return stale(manifest, err, "a table of services has no methods:", expected->name);
    for (size_t i = 0; code == BERTH_OK && i < expected->method_count; i++) {
        const struct berth_method *method = find_method(service, expected->methods[i].name, i);

        if (method == NULL)
            code = stale_member(manifest, err, "the table of services lacks the method", expected->name, '/',
                                expected->methods[i].name);
        else
            code = check_method(method, &expected->methods[i], expected->name, manifest, err);
    }
    return code;
}

static bool manifest_has_service(const struct manifest_plugin *expected, const char *name)
{
    for (size_t i = 0; i < expected->service_count; i++) {
        if (strcmp(expected->services[i].name, name) == 0)
            return true;
    }
    return false;
}

static const struct berth_service *find_service(const struct berth_service *const *services, const char *name)
{
    for (size_t i = 0; services[i] != NULL; i++) {
        if (strcmp(services[i]->name, name) == 0)
            return services[i];
    }
    return NULL;
}

static enum berth_code check_service_tables(const struct berth_service *const *services,
                                            const struct manifest_plugin *expected, struct berth_error *err)
{
    const uint32_t least = offsetof(struct berth_service, method_count) + sizeof(size_t);

    for (size_t i = 0; services[i] != NULL; i++) {
        const struct berth_service *service = services[i];

        if (service->size < least)
            return differs(expected->manifest, err, "the size of a service's table", service->size,
                           sizeof(*service));
        if (service->name == NULL || !manifest_has_service(expected, service->name))
            return stale(expected->manifest, err, "the manifest does not name the service",
                         service->name != NULL ? service->name : "without a name");
        if (i == expected->service_count || find_service(services, service->name) != service)
            return stale(expected->manifest, err, "berth_module repeats the service", service->name);
    }
    return BERTH_OK;
}

static enum berth_code check_services(const struct berth_plugin *plugin,
                                      const struct manifest_plugin *expected, struct berth_error *err)
{
    static const struct berth_service *const none[] = {NULL};
    const struct berth_service *const *services = BERTH_HAS(plugin, services) ? plugin->services : none;
    enum berth_code code;

    if (expected->makes != NULL)
        return BERTH_OK;
    code = check_service_tables(services, expected, err);
    for (size_t i = 0; code == BERTH_OK && i < expected->service_count; i++) {
        const struct manifest_service *declared = &expected->services[i];
        const struct berth_service *service = find_service(services, declared->name);

        if (service == NULL)
            code = stale(expected->manifest, err, "berth_module lacks the service", declared->name);
        else
            code = check_service(service, declared, expected->manifest, err);
    }
    return code;
}

/* What the plan relies on: the module has what crosses processes for each interface that it lists. */
static enum berth_code check_remotes(const struct berth_plugin *plugin,
                                     const struct manifest_plugin *expected, struct berth_error *err)
{
    const struct berth_remote *const *remotes = BERTH_HAS(plugin, remote) ? plugin->remote : NULL;
    size_t count = 0;

    for (; remotes != NULL && remotes[count] != NULL; count++) {
        if (count == TABLE_MAX || remotes[count]->size < sizeof(**remotes))
            return differs(expected->manifest, err, "the size of a table under remote", remotes[count]->size,
                           sizeof(**remotes));
        if (!manifest_has_remote(expected, remotes[count]->interface))
            return stale(expected->manifest, err, "the manifest does not list under remote the interface",
                         remotes[count]->interface != NULL ? remotes[count]->interface : "without a name");
    }
    for (size_t i = 0; i < expected->remote_count; i++)
        if (berth_remote_find(remotes, expected->remotes[i]) == NULL)
            return stale(expected->manifest, err, "berth_module lacks, under remote, the interface",
                         expected->remotes[i]);
    if (manifest_has_remote(expected, expected->interface) &&
        strcmp(remotes[0]->interface, expected->interface) != 0)
        return stale(
            expected->manifest, err,
            "berth_module does not list its own interface first, under remote:", expected->interface);
    return BERTH_OK;
}

/* Just those of the manifest, each once. */
static enum berth_code check_plugins(const struct berth_module *module, const struct manifest *manifest,
                                     struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; module->plugins[i] != NULL; i++) {
        const struct berth_plugin *plugin = module->plugins[i];

        if (!manifest_has(manifest, plugin->type, plugin->id))
            return stale_member(manifest, err, "the manifest does not name the plugin", plugin->type, '.',
                                plugin->id);
        if (find_plugin(module, plugin->type, plugin->id) != plugin)
            return stale_member(manifest, err, "berth_module repeats the plugin", plugin->type, '.',
                                plugin->id);
    }
    for (size_t i = 0; code == BERTH_OK && i < manifest->plugin_count; i++) {
        const struct manifest_plugin *expected = &manifest->plugins[i];
        const struct berth_plugin *plugin = find_plugin(module, expected->type, expected->id);

        if (plugin == NULL)
            return stale(manifest, err, "berth_module lacks the plugin", expected->uri);
        code = check_services(plugin, expected, err);
        if (code == BERTH_OK)
            code = check_remotes(plugin, expected, err);
    }
    return code;
}

enum berth_code manifest_check(const struct berth_module *module, const struct manifest *manifest,
                               struct berth_error *err)
{
    enum berth_code code = check_layout(module, manifest, err);

    if (code == BERTH_OK)
        code = check_hash(module, manifest, err);
    if (code == BERTH_OK)
        code = check_uv_version(module->uv_version, manifest, err);
    if (code == BERTH_OK)
        code = check_uv_sizes(module, manifest, err);
    if (code == BERTH_OK)
        code = check_plugin_tables(module, manifest, err);
    if (code == BERTH_OK)
        code = check_plugins(module, manifest, err);
    return code;
}
