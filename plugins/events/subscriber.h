/* SPDX-License-Identifier: Apache-2.0 */
/* One call of Subscribe: sends what the caller reads and keeps, within bounds, what it does not read yet. */
#ifndef EVENTS_SUBSCRIBER_H
#define EVENTS_SUBSCRIBER_H

#include "events.h"

/** The callbacks of the method, whose call->state is the subscriber. */
void subscriber_on_request(struct berth_call *call,
                           const Containerd__Services__Events__V1__SubscribeRequest *request);
void subscriber_on_writable(struct berth_call *call);
void subscriber_on_end(struct berth_call *call, enum berth_code code);

/** Ends all of them: the daemon stops. */
void subscribers_end(struct events *events);

#endif
