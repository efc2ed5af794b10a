/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker reports of its plugin's condition. Each change of it is logged and told to whoever watches,
 * so only some go on in a second; of the rest the last one does, in the next.
 */
#include <stdio.h>

#include "kinds.h"

#define SECOND_NS UINT64_C(1000000000)

static bool admits(struct crossing *crossing)
{
    uint64_t now = uv_hrtime();

    if (now - crossing->conditions.since_ns >= SECOND_NS) {
        crossing->conditions.since_ns = now;
        crossing->conditions.count = 0;
    }
    if (crossing->conditions.count == CROSSING_CONDITIONS)
        return false;
    crossing->conditions.count++;
    return true;
}

static void pass(struct crossing *crossing, bool is_failure, enum berth_code code, const char *message)
{
    /* What fails is not running for tracing. */
    if (is_failure)
        spans_stop(crossing);
    if (is_failure)
        (crossing->host->fail)(crossing->host, code, message);
    else
        berth_report(crossing->host, code, message);
}

void conditions_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    uint32_t number = packet_get_u32(reader);
    enum berth_code code = number <= BERTH_UNAUTHENTICATED ? (enum berth_code)number : BERTH_UNKNOWN;
    const char *message = packet_get_text(reader);
    bool is_failure = packet->type == PACKET_FAIL;

    if (reader->is_bad) {
        channel_break(crossing->channel, "reported its condition in a packet that cannot be read");
        return;
    }
    if (!crossing->conditions.is_waiting && admits(crossing)) {
        pass(crossing, is_failure, code, message);
        return;
    }
    /* A plugin that has failed has no other condition. */
    if (crossing->conditions.is_waiting && crossing->conditions.is_failure)
        return;
    crossing->conditions.is_waiting = true;
    crossing->conditions.is_failure = is_failure;
    crossing->conditions.code = code;
    snprintf(crossing->conditions.message, sizeof(crossing->conditions.message), "%s", message);
    crossing_tick(crossing);
}

bool conditions_tick(struct crossing *crossing)
{
    if (!crossing->conditions.is_waiting)
        return false;
    if (!admits(crossing))
        return true;
    crossing->conditions.is_waiting = false;
    pass(crossing, crossing->conditions.is_failure, crossing->conditions.code, crossing->conditions.message);
    return false;
}

void conditions_end(struct crossing *crossing)
{
    crossing->conditions.is_waiting = false;
}
