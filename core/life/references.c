/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hands a plugin the interfaces of others. In one process that is the provider's own table. If the provider
 * is isolated, its interface here is a wire, and its user gets the stub of its own module. If the user is
 * isolated, it gets its description of the interface, and a peer that core/crossing calls for it.
 */
#include "references.h"

#include <core/base/running.h>
#include <sdk/base/container_of.h>

static const struct berth_remote *find_remote(const struct registry_plugin *plugin, const char *interface)
{
    return plugin->table != NULL && BERTH_HAS(plugin->table, remote)
               ? berth_remote_find(plugin->table->remote, interface)
               : NULL;
}

/* The tables of isolated plugins are made here, and have neither stubs nor skeletons. */
static bool is_isolated(const struct berth_remote *remote)
{
    return remote != NULL && remote->serve == NULL;
}

/* What comes of a call is charged to the plugin that made it. */
static void enter(struct remote_caller *caller)
{
    running_enter(CONTAINER_OF(caller, struct host, remote)->plugin->running, RUNNING_CALLBACK, NULL);
}

static void leave(struct remote_caller *caller)
{
    running_leave();
}

static enum berth_code connect_ref(struct host *host, struct berth_ref *ref, struct berth_error *err)
{
    const struct registry_plugin *provider = registry_find_seen(host->registry, host->plugin, ref->uri);
    const char *interface = provider->entry->plugin->interface;
    const struct berth_remote *theirs = find_remote(provider, interface);
    const struct berth_remote *own = find_remote(host->plugin, interface);
    struct berth_remote_peer *peer;

    if (ref->interface == NULL || (!is_isolated(theirs) && (!is_isolated(own) || theirs == NULL)))
        return BERTH_OK;
    if (own == NULL)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s is isolated, and %s cannot use %s across processes: its manifest does not "
                               "list it under remote",
                               ref->uri, host->table.uri, interface);
    host->remote.enter = enter;
    host->remote.leave = leave;
    host->remote.is_worker = is_isolated(own);
    if (is_isolated(theirs))
        peer = remote_caller_peer(&host->remote, (struct remote_wire *)(uintptr_t)ref->interface, 0);
    else
        peer = remote_caller_local(&host->remote, theirs, ref->interface, ref->instance);
    if (peer == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for an interface of %s", ref->uri);
    ref->interface = is_isolated(own) ? (const void *)own : own->stub;
    ref->instance = peer;
    return BERTH_OK;
}

enum berth_code references_get(struct host *host, const char *uri, struct berth_ref *ret_ref,
                               struct berth_error *err)
{
    struct berth_ref ref;
    enum berth_code code = registry_fetch(host->registry, host->plugin, uri, &ref, err);

    if (code == BERTH_OK)
        code = connect_ref(host, &ref, err);
    if (code == BERTH_OK)
        *ret_ref = ref;
    return code;
}

enum berth_code references_get_single(struct host *host, const char *type, struct berth_ref *ret_ref,
                                      struct berth_error *err)
{
    struct berth_ref ref;
    enum berth_code code = registry_fetch_single(host->registry, host->plugin, type, &ref, err);

    if (code == BERTH_OK)
        code = connect_ref(host, &ref, err);
    if (code == BERTH_OK)
        *ret_ref = ref;
    return code;
}

struct visit {
    struct host *host;
    bool (*on_ref)(void *context, const struct berth_ref *ref);
    void *context;
};

static bool on_ref(void *context, const struct berth_ref *found)
{
    const struct visit *visit = context;
    struct berth_ref ref = *found;

    return connect_ref(visit->host, &ref, NULL) != BERTH_OK || visit->on_ref(visit->context, &ref);
}

enum berth_code references_each(struct host *host, const char *type,
                                bool (*visitor)(void *context, const struct berth_ref *ref), void *context,
                                struct berth_error *err)
{
    struct visit visit = {host, visitor, context};

    return registry_each(host->registry, host->plugin, type, on_ref, &visit, err);
}
