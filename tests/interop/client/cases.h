/* SPDX-License-Identifier: Apache-2.0 */
/* The cases by name, and what several of them ask for. */
#ifndef CASES_H
#define CASES_H

#include <grpc/testing/test.client.h>

#include "exchange.h"

struct interop_case {
    const char *name;
    bool (*run)(struct peer *peer);
};

/** Each ends with an empty name. */
extern const struct interop_case cases_unary[];
extern const struct interop_case cases_streams[];
extern const struct interop_case cases_endings[];
extern const struct interop_case cases_ttrpc[];
extern const struct interop_case cases_peer[];

#define TEST_SERVICE "/grpc.testing.TestService/"
#define LARGE_REQUEST 271828
#define LARGE_RESPONSE 314159

/** A SimpleRequest with a payload of LARGE_REQUEST zeros; what is NULL or 0 here is not set. */
struct large_call {
    const Grpc__Testing__BoolValue *expect_compressed;
    const Grpc__Testing__BoolValue *response_compressed;
    bool is_compressed;
    bool wants_echo;
    struct berth_rpc_channel *channel;
};

extern const Grpc__Testing__BoolValue be_true;
extern const Grpc__Testing__BoolValue be_false;

/** UnaryCall with it, half-closed; the answer is not awaited. */
struct exchange *large_start(struct peer *peer, const struct large_call *large);

/** Waits for an answer of LARGE_RESPONSE zeros. */
bool large_await(struct exchange *exchange);

/** FullDuplexCall, or another method of its types. */
struct exchange *output_start(struct peer *peer, const char *path, enum berth_method_kind kind,
                              bool wants_echo, uint64_t timeout_ms);

/** What a StreamingOutputCallRequest asks for. */
struct wanted {
    int32_t size;
    int32_t interval_us;
    const Grpc__Testing__BoolValue *compressed;
};

bool output_send(struct exchange *exchange, const struct wanted *wanted, size_t count, size_t payload,
                 const Grpc__Testing__EchoStatus *status);

/** Is the reply at `index` a payload of `size` zeros? */
bool output_check(struct exchange *exchange, size_t index, int32_t size);

/** Did both values come back? */
bool echo_check(struct exchange *exchange);

#endif
