/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kind of what crosses is one file, which takes its packets and gives back what a worker had when that is
 * gone. Nothing in a packet is trusted: a reader that is bad, or a number out of bounds, breaks the channel
 * or is ignored, and each list that a worker can grow has a limit.
 */
#ifndef CORE_CROSSING_KINDS_H
#define CORE_CROSSING_KINDS_H

#include "crossing.h"

void conditions_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void holds_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void holds_end(struct crossing *crossing);
void log_open(struct crossing *crossing, uv_loop_t *loop);
void log_end(struct crossing *crossing);
void log_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void published_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void descriptors_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void asked_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void used_end(struct crossing *crossing);
void events_take_credit(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
void events_end(struct crossing *crossing);
void store_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
/** Values of the plugin's metrics, as its process has them. */
void metrics_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader);
/** What a process had counted stays; the next one counts on from there. */
void metrics_end(struct crossing *crossing);
/** The plugin's close has ended, and the registry may be gone. */
void metrics_forget(struct crossing *crossing);

#endif
