/* SPDX-License-Identifier: Apache-2.0 */
/* The service t.T, for tests of clients and servers in one loop: what its methods do, saw, and are told to
 * do. */
#ifndef TESTS_RPC_SERVICE_H
#define TESTS_RPC_SERVICE_H

#include <berth/call.h>

#define RPC_BLOCK (32 * 1024)

/**
 * Unary: Echo; Never never answers; Refuse fails with a sentence and details; InStart fails before any
 * message; Nothing ends without an answer; Twice answers, and is refused a second answer; Close has
 * `on_close` done. Streams: Divide sends each byte; Blocks sends `to_send` blocks; Count answers the number
 * of bytes it took; Slow is the same and pauses at each message; Chat sends all back.
 */
extern const struct berth_service rpc_service;

extern struct rpc_seen {
    unsigned starts;
    unsigned ends;
    enum berth_code last_end;
    /** Of the last call: "key=value key=value transport deadline=1"; and its peer, where that is on TCP. */
    char call[256];
    char transport[32];
    char peer[128];
    char subject[256];
    char names[512];
    size_t taken;
    size_t to_send;
    /** The last call of Slow that pauses. */
    struct berth_call *paused;
    void (*on_close)(void);
} seen;

/** Of the method with this path; unary for an unknown one. */
enum berth_method_kind rpc_service_kind(const char *path);

#endif
