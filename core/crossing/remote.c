/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of interfaces: those of other plugins to the worker's plugin, and those that its plugin makes. */
#include <stdlib.h>

#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "kinds.h"

static struct crossing *of_wire(const struct remote_wire *wire)
{
    return CONTAINER_OF((struct remote_wire *)(uintptr_t)wire, struct crossing, remote);
}

/* Others call it only while its services can be called. */
static const char *refusal(const struct remote_wire *wire)
{
    const struct forward *forward = &of_wire(wire)->forward;

    return forward->state != FORWARD_OPEN ? forward->reason : NULL;
}

static struct berth_remote_peer *find(struct remote_wire *wire, uint32_t number)
{
    const struct used *used = &of_wire(wire)->used;

    return number < used->ref_count && used->refs[number].kind == ASK_INTERFACE_REMOTE
               ? used->refs[number].instance
               : NULL;
}

static void on_busy(struct remote_wire *wire)
{
    struct crossing *crossing = of_wire(wire);

    crossing_tick(crossing);
    if (crossing->forward.on_busy != NULL)
        crossing->forward.on_busy(&crossing->forward);
}

void remote_init(struct crossing *crossing)
{
    const struct manifest_plugin *plugin = crossing->plugin;

    crossing->remote.refusal = refusal;
    crossing->remote.find = find;
    crossing->remote.on_busy = on_busy;
    if (plugin->remote_count == 0)
        return;
    crossing->remotes = memory_allocate(plugin->remote_count, sizeof(*crossing->remotes));
    crossing->remote_list = memory_allocate(plugin->remote_count + 1, sizeof(*crossing->remote_list));
    for (size_t i = 0; i < plugin->remote_count; i++) {
        /* Its own: a manifest is exchanged for another when settings change in place. */
        crossing->remotes[i] = (struct berth_remote){.size = sizeof(*crossing->remotes),
                                                     .interface = memory_copy(plugin->remotes[i])};
        crossing->remote_list[i] = &crossing->remotes[i];
    }
}

void remote_finish(struct crossing *crossing)
{
    remote_wire_finish(&crossing->remote);
    for (size_t i = 0; crossing->remote_list != NULL && crossing->remote_list[i] != NULL; i++)
        free((char *)(uintptr_t)crossing->remote_list[i]->interface);
    free(crossing->remote_list);
    free(crossing->remotes);
}

void remote_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    remote_wire_take(&crossing->remote, packet, reader);
    if (crossing->remote.served_count > 0)
        crossing_tick(crossing);
}

bool remote_tick(struct crossing *crossing)
{
    return remote_wire_tick(&crossing->remote);
}

void remote_end(struct crossing *crossing)
{
    remote_wire_end(&crossing->remote, crossing->forward.reason);
}
