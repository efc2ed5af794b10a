/* SPDX-License-Identifier: Apache-2.0 */
/* berth's own inspection service: every plugin with all that the host knows, one message each. */
#include "introspection-plugin.h"

#include <stdlib.h>

#include <berth/inspect/v1/inspect.pb-c.h>
#include <berth/protobuf.h>

#include "describe.h"
#include "introspection.h"

/* A list as it was when it was asked for, on its way to a reader who may be slow. */
struct listing {
    struct replies replies;
    bool all;
    bool failed;
};

/* Has it never had a chance to run? */
static bool never_ran(enum berth_state state)
{
    return state == BERTH_STATE_REJECTED || state == BERTH_STATE_DISABLED || state == BERTH_STATE_BLOCKED;
}

static bool list_plugin(void *context, const struct berth_plugin_info *plugin)
{
    struct listing *listing = context;

    if (!listing->all && (plugin->uri == NULL || never_ran(plugin->state)))
        return true;
    if (!describe_in_full(plugin, &listing->replies))
        listing->failed = true;
    return !listing->failed;
}

static enum berth_code make_list(struct berth_call *call, struct listing *listing,
                                 const Berth__Inspect__V1__PluginsRequest *asked, struct berth_error *err)
{
    const struct introspection *introspection = call->instance;
    enum berth_code code;

    listing->all = asked->all;
    code = introspection->service->check_filters(introspection->instance, (const char *const *)asked->filters,
                                                 asked->n_filters, err);
    if (code == BERTH_OK)
        code = introspection->service->plugins(introspection->instance, (const char *const *)asked->filters,
                                               asked->n_filters, list_plugin, listing, err);
    if (code == BERTH_OK && listing->failed)
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of plugins");
    return code;
}

/* Sends for as long as the caller keeps up; on_writable goes on where it was left. */
static void send_list(struct berth_call *call)
{
    struct listing *listing = call->state;
    enum berth_code code = BERTH_OK;
    const uint8_t *message;
    size_t length;

    while (code == BERTH_OK && berth_call_can_send(call)) {
        message = replies_next(&listing->replies, &length);
        if (message == NULL) {
            berth_call_finish(call, BERTH_OK, NULL);
            return;
        }
        code = berth_call_send(call, message, length);
    }
    if (code != BERTH_OK)
        berth_call_finish_sent(call, code);
}

static void plugins(struct berth_call *call, const Berth__Inspect__V1__PluginsRequest *request)
{
    struct listing *listing = calloc(1, sizeof(*listing));
    struct berth_error err;
    enum berth_code code;

    if (listing == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of plugins");
        return;
    }
    call->state = listing;
    code = make_list(call, listing, request, &err);
    if (code == BERTH_OK)
        send_list(call);
    else
        berth_call_finish(call, code, err.message);
}

static void on_plugins_end(struct berth_call *call, enum berth_code code)
{
    struct listing *listing = call->state;

    if (listing != NULL)
        replies_finish(&listing->replies);
    free(listing);
}

static char *text(const char *value)
{
    return (char *)(uintptr_t)(value == NULL ? "" : value);
}

static void daemon_info(struct berth_call *call, const Berth__Inspect__V1__DaemonRequest *request)
{
    const struct introspection *introspection = call->instance;
    Berth__Inspect__V1__DaemonResponse reply = BERTH__INSPECT__V1__DAEMON_RESPONSE__INIT;
    const struct berth_daemon_info *daemon = introspection->service->daemon(introspection->instance);

    reply.version = text(daemon->version);
    reply.revision = text(daemon->revision);
    reply.root = text(daemon->root);
    reply.state = text(daemon->state);
    reply.pid = daemon->pid;
    reply.ready = daemon->ready;
    reply.draining = daemon->draining;
    reply.ready_ns = daemon->ready_ns;
    berth_inspect_v1_inspect_daemon_reply(call, &reply);
}

const struct berth_inspect_v1_inspect_handlers introspection_inspect_handlers = {
    .plugins = {.on_message = plugins, .on_writable = send_list, .on_end = on_plugins_end},
    .daemon = {.on_message = daemon_info},
};
