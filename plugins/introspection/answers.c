/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that several methods of berth.inspect.v1.Inspect give: lists, and refusals. */
#include "introspection.h"

#include <stdlib.h>

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

/* A peer that has a user ID came over a unix socket, whose mode says who may. */
bool introspection_refuses_remote(struct berth_call *call)
{
    if (call->peer->uid >= 0)
        return false;
    berth_call_finish(call, BERTH_PERMISSION_DENIED,
                      "this changes the daemon and is allowed over its unix sockets only");
    return true;
}

void introspection_refuse_unknown(struct berth_call *call)
{
    berth_call_finish(call, BERTH_UNIMPLEMENTED, "the daemon is too old for this method of its plugin");
}
