/* SPDX-License-Identifier: Apache-2.0 */
/* The messages that streams of grpc.testing.TestService ask for: queued, paced, sent as the caller keeps up.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "interop.h"

/** The state of a call that streams answers. */
struct output;

/** For on_start: makes `call->state`. Ends the call where memory is out. */
void output_start(struct berth_call *call);

/** Queues what a request asks for. Ends the call, and returns false, where it asks for what cannot be. */
bool output_add(struct berth_call *call, const Grpc__Testing__StreamingOutputCallRequest *request);

/** Sends what is queued and due; where that is all: ends the call, or takes the caller's next message. */
void output_run(struct berth_call *call);

/** The caller will ask for nothing more: the call ends when all is sent. */
void output_end_of_requests(struct berth_call *call);

/** For on_end. */
void output_finish(struct berth_call *call, enum berth_code code);

#endif
