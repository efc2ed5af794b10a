/* SPDX-License-Identifier: Apache-2.0 */
/* Hands each packet of a worker to the file of its kind. */
#include "crossing.h"

#include <stdlib.h>

#include <sdk/base/memory.h>

#include "kinds.h"

/* By the type of a packet that belongs to no call; NULL where only the daemon sends it. */
static void (*const takers[])(struct crossing *crossing, const struct packet *packet,
                              struct packet_reader *reader) = {
    [PACKET_LOG] = log_take,
    [PACKET_EXPORT] = published_take,
    [PACKET_PLATFORM] = published_take,
    [PACKET_CAPABILITY] = published_take,
    [PACKET_HOLD] = holds_take,
    [PACKET_RELEASE] = holds_take,
    [PACKET_REPORT] = conditions_take,
    [PACKET_FAIL] = conditions_take,
    [PACKET_DESCRIPTORS] = descriptors_take,
};

/* What a worker had, by the kinds that keep something for it. */
static void (*const enders[])(struct crossing *crossing) = {
    holds_end,
};

void crossing_init(struct crossing *crossing)
{
    const struct manifest_plugin *plugin = crossing->plugin;

    crossing->services = memory_allocate(plugin->service_count + 1, sizeof(*crossing->services));
    crossing->service_count = plugin->service_count;
    for (size_t i = 0; i < plugin->service_count; i++)
        crossing->services[i] = memory_or_abort(forward_create_service(&plugin->services[i]));
    crossing->forward.channel = crossing->channel;
    crossing->forward.uri = plugin->uri;
}

void crossing_finish(struct crossing *crossing)
{
    for (size_t i = 0; i < crossing->service_count; i++)
        forward_free_service(crossing->services[i]);
    free(crossing->services);
    forward_finish(&crossing->forward);
}

void crossing_take(struct crossing *crossing, const struct packet *packet)
{
    struct packet_reader reader;

    packet_reader_init(&reader, packet);
    if (packet->call != 0)
        forward_take(&crossing->forward, packet);
    else if (packet->type < sizeof(takers) / sizeof(takers[0]) && takers[packet->type] != NULL)
        takers[packet->type](crossing, packet, &reader);
    else
        channel_break(crossing->channel, "sent a packet of a kind that only the daemon sends");
}

void crossing_end(struct crossing *crossing)
{
    for (size_t i = 0; i < sizeof(enders) / sizeof(enders[0]); i++)
        enders[i](crossing);
}
