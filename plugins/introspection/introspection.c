/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's introspection service: plugins, the server, and one plugin by its name. */
#include "introspection-plugin.h"

#include <stdlib.h>

#include <berth/protobuf.h>
#include <containerd/services/introspection/v1/introspection.pb-c.h>

#include "describe.h"
#include "introspection.h"
#include "warnings.h"

enum berth_code introspection_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                   struct berth_error *err)
{
    struct introspection *introspection;
    struct berth_ref ref;
    enum berth_code code = berth_get(host, BERTH_INTROSPECTION_URI, &ref, err);

    if (code != BERTH_OK)
        return code;
    introspection = malloc(sizeof(*introspection));
    if (introspection == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the introspection service");
    *introspection = (struct introspection){.service = ref.interface, .instance = ref.instance};
    *ret_instance = introspection;
    return BERTH_OK;
}

enum berth_code introspection_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    free(instance);
    return BERTH_OK;
}

/* A refusal in containerd's form: the sentence, then the class of the error. */
static void refuse_filters(struct berth_call *call, enum berth_code code, const struct berth_error *err)
{
    char sentence[BERTH_ERROR_MAX + 32];

    snprintf(sentence, sizeof(sentence), "%s: invalid argument", err->message);
    berth_call_finish(call, code, code == BERTH_INVALID_ARGUMENT ? sentence : err->message);
}

struct listing {
    struct replies replies;
    bool failed;
};

/* Files that could not even name their plugins are nothing that containerd's clients know. */
static bool list_plugin(void *context, const struct berth_plugin_info *plugin)
{
    struct listing *listing = context;

    if (plugin->uri != NULL && !describe_to_containerd(plugin, &listing->replies))
        listing->failed = true;
    return !listing->failed;
}

static void reply_with_list(struct berth_call *call, const struct listing *listing)
{
    if (listing->failed)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of plugins");
    else
        berth_call_reply(call, listing->replies.bytes, listing->replies.length);
}

static void plugins(struct berth_call *call,
                    const Containerd__Services__Introspection__V1__PluginsRequest *asked)
{
    const struct introspection *introspection = call->instance;
    struct listing listing = {0};
    struct berth_error err;
    enum berth_code code;

    code = introspection->service->plugins(introspection->instance, (const char *const *)asked->filters,
                                           asked->n_filters, list_plugin, &listing, &err);
    if (code == BERTH_OK)
        reply_with_list(call, &listing);
    else
        refuse_filters(call, code, &err);
    replies_finish(&listing.replies);
}

static void server(struct berth_call *call, const Google__Protobuf__Empty *request)
{
    const struct introspection *introspection = call->instance;
    Containerd__Services__Introspection__V1__ServerResponse reply =
        CONTAINERD__SERVICES__INTROSPECTION__V1__SERVER_RESPONSE__INIT;
    const struct berth_introspection_server *told = introspection->service->server(introspection->instance);
    struct warnings warnings = {.failed = false};

    reply.uuid = (char *)(uintptr_t)told->uuid;
    reply.pid = told->pid;
    reply.pidns = told->pid_namespace;
    introspection->service->deprecations(introspection->instance, warnings_add, &warnings);
    reply.n_deprecations = warnings.count;
    reply.deprecations = warnings.items;
    if (warnings.failed)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of deprecations");
    else
        containerd_services_introspection_v1_introspection_server_reply(call, &reply);
    warnings_finish(&warnings);
}

struct search {
    const Containerd__Services__Introspection__V1__PluginInfoRequest *asked;
    struct listing listing;
    bool found;
    bool runs;
};

static bool compare_plugin(void *context, const struct berth_plugin_info *plugin)
{
    struct search *search = context;

    if (plugin->uri == NULL || strcmp(plugin->type, search->asked->type) != 0 ||
        strcmp(plugin->id, search->asked->id) != 0)
        return true;
    search->found = true;
    search->runs = plugin->state == BERTH_STATE_READY || plugin->state == BERTH_STATE_SERVING;
    list_plugin(&search->listing, plugin);
    return false;
}

/* The sentences are containerd's, to the letter. */
static void reply_with_plugin(struct berth_call *call, const struct search *search)
{
    const Containerd__Services__Introspection__V1__PluginInfoRequest *asked = search->asked;
    char sentence[512];

    if (!search->found) {
        snprintf(sentence, sizeof(sentence), "plugin %.200s.%.200s not found: not found", asked->type,
                 asked->id);
        berth_call_finish(call, BERTH_NOT_FOUND, sentence);
    } else if (asked->options == NULL) {
        reply_with_list(call, &search->listing);
    } else if (!search->runs) {
        berth_call_finish(call, BERTH_FAILED_PRECONDITION,
                          "cannot get extra info, plugin not successfully loaded: failed precondition");
    } else {
        berth_call_finish(call, BERTH_UNIMPLEMENTED,
                          "plugin does not provided extra information: not implemented");
    }
}

static void plugin_info(struct berth_call *call,
                        const Containerd__Services__Introspection__V1__PluginInfoRequest *asked)
{
    const struct introspection *introspection = call->instance;
    struct search search = {.asked = asked};
    struct berth_error err;

    introspection->service->plugins(introspection->instance, NULL, 0, compare_plugin, &search, &err);
    reply_with_plugin(call, &search);
    replies_finish(&search.listing.replies);
}

const struct containerd_services_introspection_v1_introspection_handlers
    introspection_introspection_handlers = {
        .plugins = {.on_message = plugins},
        .server = {.on_message = server},
        .plugin_info = {.on_message = plugin_info},
};
