/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kind of what crosses is one file, which takes its packets and gives back what a worker had when that is
 * gone. Nothing in a packet is trusted: a reader that is bad, or a number out of bounds, breaks the channel
 * or is ignored, and each list that a worker can grow has a limit.
 */
#ifndef CORE_CROSSING_KINDS_H
#define CORE_CROSSING_KINDS_H

#include "crossing.h"

#define CROSSING_TICK_MS 1000

/** At the end of a second conditions_tick and log_tick follow, and again while one of them has more to do. */
static inline void crossing_tick(struct crossing *crossing)
{
    if (!uv_is_active((uv_handle_t *)&crossing->tick))
        uv_timer_start(&crossing->tick, crossing->on_tick, CROSSING_TICK_MS, CROSSING_TICK_MS);
}

/** May the worker still publish and hold, or has it been refused too often? */
static inline bool crossing_listens(const struct crossing *crossing)
{
    return crossing->refused < CROSSING_REFUSALS_MAX;
}

static inline void crossing_count_refusal(struct crossing *crossing)
{
    if (++crossing->refused == CROSSING_REFUSALS_MAX)
        berth_log(crossing->host, BERTH_LOG_WARN,
                  "its process was refused %u exports, platforms, capabilities and holds; ignoring any more",
                  CROSSING_REFUSALS_MAX);
}

void conditions_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
/** @return is there more to do in a second? */
bool conditions_tick(struct crossing *crossing);
void conditions_end(struct crossing *crossing);
void holds_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void holds_end(struct crossing *crossing);
/** @return as above. */
bool log_tick(struct crossing *crossing);
void log_end(struct crossing *crossing);
void log_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void published_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void descriptors_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void asked_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void used_end(struct crossing *crossing);
void events_take_credit(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void events_end(struct crossing *crossing);
void store_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void http_init(struct crossing *crossing);
void http_finish(struct crossing *crossing);
/** A packet with PACKET_HTTP. */
void http_take(struct crossing *crossing, const struct packet *packet);
void http_take_handler(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
/** Whether calls are sent, held or refused has changed: requests are too. */
void http_follow(struct crossing *crossing);
void spans_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void spans_end(struct crossing *crossing);
/** The same, and until the plugin's next init none begins. */
void spans_stop(struct crossing *crossing);
void state_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
/** Values of the plugin's metrics, as its process has them. */
void metrics_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
/** What a process had counted stays; the next one counts on from there. */
void metrics_end(struct crossing *crossing);
/** The plugin's close has ended, and the registry may be gone. */
void metrics_forget(struct crossing *crossing);

/** Allocates, and aborts without memory. */
void remote_init(struct crossing *crossing);
void remote_finish(struct crossing *crossing);
void remote_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
/** @return as conditions_tick. */
bool remote_tick(struct crossing *crossing);
/** Afterwards the forward's reason says why no call can begin. */
void remote_end(struct crossing *crossing);

#endif
