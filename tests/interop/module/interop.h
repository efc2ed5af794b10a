/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this plugin share: its instance, and what a request may ask of any method. */
#ifndef INTEROP_H
#define INTEROP_H

#include <grpc/testing/test.berth.h>

#include "interop-plugin.h"

struct interop {
    const struct berth_host *host;
    struct interop_config config;
    /** `config.max_payload` zeros: the body of every payload. */
    uint8_t *zeros;
    /** Timers whose close callback has not run. */
    size_t timers;
    bool is_closing;
};

/** For the close callback of a timer: the last one ends an instance that waits for it. */
void interop_timer_closed(struct interop *interop);

/** Sends back, as initial and trailing metadata, what the caller sent under the two keys that ask for it. */
void interop_echo_metadata(struct berth_call *call);

/** Ends the call as INVALID_ARGUMENT, and returns false, where the message came otherwise than `expected`. */
bool interop_check_compressed(struct berth_call *call, const Grpc__Testing__BoolValue *expected);

/** Ends the call, and returns false, where a status is asked for. */
bool interop_check_status(struct berth_call *call, const Grpc__Testing__EchoStatus *status);

/** Makes `*payload` one of `size` zeros. Ends the call, and returns false, for another type or size. */
bool interop_fill_payload(struct berth_call *call, Grpc__Testing__PayloadType type, int32_t size,
                          Grpc__Testing__Payload *payload);

#endif
