/* SPDX-License-Identifier: Apache-2.0 */
/* What each plugin and the daemon cost, for clients. */
#include "introspection-plugin.h"

#include <stdlib.h>

#include "introspection.h"

typedef Berth__Inspect__V1__MethodCosts method_message;
typedef Berth__Inspect__V1__PluginCosts plugin_message;

static void fill_method(method_message *message, const struct berth_method_costs *method)
{
    berth__inspect__v1__method_costs__init(message);
    message->path = introspection_text(method->path);
    message->opened = method->opened;
    message->in_flight = method->in_flight;
    message->n_ended = method->ended_count;
    message->ended = (uint64_t *)(uintptr_t)method->ended;
    message->messages_received = method->messages_received;
    message->bytes_received = method->bytes_received;
    message->messages_sent = method->messages_sent;
    message->bytes_sent = method->bytes_sent;
}

static void fill_plugin(plugin_message *message, const struct berth_plugin_costs *costs)
{
    message->uri = introspection_text(costs->uri);
    message->loop_ns = costs->loop_ns;
    message->longest_ns = costs->longest_ns;
    message->entries = costs->entries;
    message->slow = costs->slow;
    message->stalls = costs->stalls;
    message->degradations = costs->degradations;
    message->module = introspection_text(costs->module);
    message->module_plugins = costs->module_plugins;
    message->handles = costs->handles;
    message->memory_bytes = costs->memory_bytes;
    message->misuses = costs->misuses;
}

/* A method that nobody has called costs nothing and is left out. */
static bool append(const struct berth_plugin_costs *costs, struct berth_wire_buffer *replies)
{
    plugin_message message = BERTH__INSPECT__V1__PLUGIN_COSTS__INIT;
    method_message *methods = calloc(costs->method_count + 1, sizeof(*methods));
    method_message **pointers = calloc(costs->method_count + 1, sizeof(*pointers));
    bool appended = false;

    if (methods != NULL && pointers != NULL) {
        for (size_t i = 0; i < costs->method_count; i++) {
            if (costs->methods[i].opened == 0)
                continue;
            pointers[message.n_methods] = &methods[i];
            fill_method(pointers[message.n_methods++], &costs->methods[i]);
        }
        message.methods = pointers;
        fill_plugin(&message, costs);
        appended = introspection_append(replies, &message.base);
    }
    free(methods);
    free(pointers);
    return appended;
}

static bool append_costs(void *context, const struct berth_plugin_costs *costs)
{
    struct berth_wire_buffer *replies = context;

    replies->failed = !append(costs, replies) || replies->failed;
    return !replies->failed;
}

static void append_daemon(const struct berth_inspect *inspect, struct berth_wire_buffer *replies)
{
    struct berth_daemon_costs costs = {.size = sizeof(costs)};
    Berth__Inspect__V1__DaemonCosts message = BERTH__INSPECT__V1__DAEMON_COSTS__INIT;

    if (!BERTH_HAS(inspect, daemon_costs))
        return;
    inspect->daemon_costs(inspect, &costs);
    message.uptime_ns = costs.uptime_ns;
    message.cpu_ns = costs.cpu_ns;
    message.memory_bytes = costs.memory_bytes;
    message.anonymous_bytes = costs.anonymous_bytes;
    message.handles = costs.handles;
    message.other_handles = costs.other_handles;
    message.plugins_ns = costs.plugins_ns;
    message.busy_ns = costs.busy_ns;
    message.unattributed_ns = costs.unattributed_ns;
    message.turns = costs.turns;
    message.longest_turn_ns = costs.longest_turn_ns;
    message.lag_ns = costs.lag_ns;
    message.other_stalls = costs.other_stalls;
    berth_wire_put_head(replies, 2, protobuf_c_message_get_packed_size(&message.base));
    berth_wire_put_message(replies, &message.base);
}

void introspection_costs(struct berth_call *call, const Berth__Inspect__V1__CostsRequest *request)
{
    const struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;
    struct berth_wire_buffer replies = {0};

    if (!BERTH_HAS(inspect, costs)) {
        introspection_refuse_unknown(call);
        return;
    }
    inspect->costs(inspect, append_costs, &replies);
    append_daemon(inspect, &replies);
    if (replies.failed)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the costs of all plugins");
    else
        berth_call_answer_wire(call, &replies, BERTH_OK, NULL);
    berth_wire_finish(&replies);
}
