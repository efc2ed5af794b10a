/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of interfaces: the plugin's own, by stubs of its module, and others' to it, by its skeleton. */
#include <sdk/base/container_of.h>

#include "table.h"

static struct berth_remote_peer *find(struct remote_wire *wire, uint32_t number)
{
    return number == 0 ? CONTAINER_OF(wire, struct inside, remote)->remotes.own : NULL;
}

static const struct berth_remote *const *list(const struct inside *inside)
{
    return BERTH_HAS(inside->plugin, remote) ? inside->plugin->remote : NULL;
}

void remote_open(struct inside *inside)
{
    inside->remote.channel = &inside->process->channel;
    inside->remote.plugin = inside->number;
    inside->remote.find = find;
}

void remote_serve(struct inside *inside)
{
    const struct berth_remote *const *remotes = list(inside);

    /* The daemon calls it only if the first one is that of the plugin's own interface. */
    if (remotes != NULL && remotes[0] != NULL && BERTH_HAS(inside->plugin, interface))
        inside->remotes.own = remote_caller_local(&inside->remotes.server, remotes[0],
                                                  inside->plugin->interface, inside->instance);
}

void remote_receive(struct inside *inside, const struct packet *packet, struct packet_reader *reader)
{
    remote_wire_take(&inside->remote, packet, reader);
}

bool remote_bind(struct inside *inside, const char *interface, uint32_t number, const void **ret_interface,
                 void **ret_instance)
{
    const struct berth_remote *remote = berth_remote_find(list(inside), interface);

    *ret_instance =
        remote != NULL ? remote_caller_peer(&inside->remotes.caller, &inside->remote, number) : NULL;
    *ret_interface = remote != NULL ? remote->stub : NULL;
    return *ret_instance != NULL;
}

void remote_close(struct inside *inside, bool tells)
{
    remote_caller_close(&inside->remotes.caller, tells);
    inside->remote.is_over = !tells;
}
