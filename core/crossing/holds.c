/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness holds that a worker takes and releases: numbers there, and holds here. */
#include <stdio.h>

#include "kinds.h"

static void take_hold(struct crossing *crossing, struct packet_reader *reader)
{
    uint32_t number = packet_get_u32(reader);
    const char *text = packet_get_text(reader);
    struct berth_hold *hold;
    char what[256];

    if (reader->is_bad || crossing->hold_count == CROSSING_HOLDS_MAX || !crossing_listens(crossing))
        return;
    snprintf(what, sizeof(what), "%s", text);
    hold = berth_hold(crossing->host, what);
    if (hold == NULL) {
        crossing_count_refusal(crossing);
        return;
    }
    crossing->holds[crossing->hold_count].number = number;
    crossing->holds[crossing->hold_count++].hold = hold;
}

static void take_release(struct crossing *crossing, struct packet_reader *reader)
{
    uint32_t number = packet_get_u32(reader);

    for (size_t i = 0; i < crossing->hold_count; i++) {
        if (crossing->holds[i].number != number)
            continue;
        berth_release(crossing->host, crossing->holds[i].hold);
        crossing->holds[i] = crossing->holds[--crossing->hold_count];
        return;
    }
}

void holds_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    if (packet->type == PACKET_HOLD)
        take_hold(crossing, reader);
    else
        take_release(crossing, reader);
}

void holds_end(struct crossing *crossing)
{
    for (size_t i = 0; i < crossing->hold_count; i++)
        berth_release(crossing->host, crossing->holds[i].hold);
    crossing->hold_count = 0;
}
