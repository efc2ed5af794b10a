/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that several methods of berth.inspect.v1.Inspect give: lists, and refusals. */
#include "introspection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct introspection_list *introspection_list_begin(struct berth_call *call, const char *what)
{
    struct introspection_list *list = calloc(1, sizeof(*list));

    call->state = list;
    if (list == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, what);
    return list;
}

void introspection_list_on_writable(struct berth_call *call)
{
    struct introspection_list *list = call->state;
    enum berth_code code = BERTH_OK;
    struct berth_wire_field message;

    while (code == BERTH_OK && berth_call_can_send(call)) {
        if (!berth_wire_next(&list->rest, &message)) {
            berth_call_finish(call, BERTH_OK, NULL);
            return;
        }
        code = berth_call_send(call, message.data, message.length);
    }
    if (code != BERTH_OK)
        berth_call_finish_sent(call, code);
}

void introspection_list_send(struct berth_call *call, const char *what)
{
    struct introspection_list *list = call->state;

    list->rest = berth_wire_of(list->replies.bytes, list->replies.length);
    if (list->replies.failed)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, what);
    else
        introspection_list_on_writable(call);
}

void introspection_list_on_end(struct berth_call *call, enum berth_code code)
{
    struct introspection_list *list = call->state;

    if (list != NULL)
        berth_wire_finish(&list->replies);
    free(list);
}

struct search {
    int64_t pid;
    char uri[256];
};

static bool match_process(void *context, const struct berth_plugin_info *plugin)
{
    struct search *search = context;

    if (BERTH_HAS(plugin, isolation) && plugin->isolation != NULL && search->pid > 0 &&
        plugin->isolation->process == (uint64_t)search->pid)
        snprintf(search->uri, sizeof(search->uri), "%s", plugin->uri);
    return search->uri[0] == '\0';
}

static bool refuses_isolated(struct berth_call *call)
{
    const struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;
    struct search search = {.pid = call->peer->pid};
    char message[384];

    inspect->each(inspect, match_process, &search);
    if (search.uri[0] == '\0')
        return false;
    snprintf(message, sizeof(message), "this changes the daemon, and %s, an isolated plugin, may not call it",
             search.uri);
    berth_call_finish(call, BERTH_PERMISSION_DENIED, message);
    return true;
}

/*
 * A peer that has a user ID came over a unix socket, whose mode says who may. A plugin in a process of its
 * own may have the daemon's user ID, and must not get out of its sandbox this way.
 */
bool introspection_refuses_remote(struct berth_call *call)
{
    if (call->peer->uid >= 0)
        return refuses_isolated(call);
    berth_call_finish(call, BERTH_PERMISSION_DENIED,
                      "this changes the daemon and is allowed over its unix sockets only");
    return true;
}

void introspection_refuse_unknown(struct berth_call *call)
{
    berth_call_finish(call, BERTH_UNIMPLEMENTED, "the daemon is too old for this method of its plugin");
}
