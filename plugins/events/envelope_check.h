/* SPDX-License-Identifier: Apache-2.0 */
/* Is this an event that may be told? containerd's rules and sentences. */
#ifndef EVENTS_ENVELOPE_CHECK_H
#define EVENTS_ENVELOPE_CHECK_H

#include <berth/types/events.h>

/** Both: BERTH_OK; BERTH_INVALID_ARGUMENT; BERTH_RESOURCE_EXHAUSTED for more than `max_bytes`. */
enum berth_code envelope_check_published(const struct berth_event *event, size_t max_bytes,
                                         struct berth_error *err);
/** The same for one that brings its own time. */
enum berth_code envelope_check_forwarded(const struct berth_event *event, size_t max_bytes,
                                         struct berth_error *err);

#endif
