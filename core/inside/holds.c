/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness holds of an isolated plugin. */
#include <stdlib.h>

#include "table.h"

/* What a plugin holds of one. */
struct berth_hold {
    uint32_t number;
};

static struct berth_hold *host_hold(const struct berth_host *table, const char *what)
{
    struct inside *inside = table_on_loop(table, "berth_hold", NULL);
    struct berth_hold *hold = inside != NULL && inside->takes_holds ? malloc(sizeof(*hold)) : NULL;
    struct packet_writer *writer;

    if (hold == NULL)
        return NULL;
    hold->number = ++inside->holds;
    writer = table_begin(inside, PACKET_HOLD);
    packet_put_u32(writer, hold->number);
    packet_put_text(writer, what);
    packet_end(writer);
    return hold;
}

static void host_release(const struct berth_host *table, struct berth_hold *hold)
{
    struct inside *inside = table_on_loop(table, "berth_release", NULL);
    struct packet_writer *writer;

    if (inside == NULL || hold == NULL)
        return;
    writer = table_begin(inside, PACKET_RELEASE);
    packet_put_u32(writer, hold->number);
    packet_end(writer);
    free(hold);
}

void holds_fill(struct berth_host *table)
{
    table->hold = host_hold;
    table->release = host_release;
}
