/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call as a case has it, step by step: start, send, wait for replies, wait for the end. What goes wrong
 * is kept in `peer->reason`, so that a case is a chain of steps that return false there.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <berth/protobuf.h>
#include <berth/rpc/client.h>

/** No case may take longer, whatever the server does. */
#define PATIENCE_MS 30000

/** The server under test. */
struct peer {
    uv_loop_t loop;
    struct berth_rpc_channel_options options;
    struct berth_rpc_channel *channel;
    bool channel_is_closed;
    /** Of the running case; freed when it is over. */
    struct exchange *exchanges;
    char reason[512];
};

struct reply {
    ProtobufCMessage *message;
    bool came_compressed;
};

struct exchange {
    struct exchange *next;
    struct peer *peer;
    /** NULL after the end. */
    struct berth_rpc_call *call;
    const ProtobufCMessageDescriptor *reply_type;
    struct reply *replies;
    size_t count;
    bool headers_came;
    /** The values that came back under the keys that ask for it; "" where none did. */
    char initial[64];
    char trailing[64];
    char cache_control[64];
    enum berth_code code;
    char message[256];
    /** The google.rpc.Status that came with a failure. */
    unsigned char details[512];
    size_t details_length;
};

struct exchange_options {
    /** "/grpc.testing.TestService/UnaryCall". */
    const char *path;
    enum berth_method_kind kind;
    const ProtobufCMessageDescriptor *reply_type;
    /** 0: PATIENCE_MS. */
    uint64_t timeout_ms;
    /** Is the metadata sent that the server shall send back? */
    bool wants_echo;
    /** What is sent otherwise. */
    const struct berth_metadata *metadata;
    size_t metadata_count;
    /** On which channel; NULL: the peer's. */
    struct berth_rpc_channel *channel;
};

#define ECHO_INITIAL "test_initial_metadata_value"
#define ECHO_TRAILING "\xab\xab\xab"

/** Keeps the first reason that a case gives. @return `condition` */
BERTH_PRINTF(3, 4) bool check(struct peer *peer, bool condition, const char *format, ...);

/** @return owned by the peer; NULL with a reason. */
struct exchange *exchange_start(struct peer *peer, const struct exchange_options *options);

/** Takes NULL, and fails then, so that steps can follow a failed start. */
bool exchange_send(struct exchange *exchange, const ProtobufCMessage *message);
bool exchange_compress(struct exchange *exchange, bool wanted);
bool exchange_half_close(struct exchange *exchange);
bool exchange_cancel(struct exchange *exchange);

/** Waits until `count` replies are there; fails where the call ends before. */
bool exchange_await_replies(struct exchange *exchange, size_t count);

/** Waits for the end, which must be this code's, after exactly `count` replies. */
bool exchange_await_end(struct exchange *exchange, enum berth_code code, size_t count);

/** Opens the peer's channel. Prints why where it cannot be. */
bool peer_open(struct peer *peer);
void peer_close(struct peer *peer);

/** A channel that is not shared, for who opens many; closed with peer_close_channel. */
bool peer_open_channel(struct peer *peer, struct berth_rpc_channel **ret_channel);
void peer_close_channel(struct peer *peer, struct berth_rpc_channel *channel);

/** Ends and frees what a case has left. */
void peer_forget_exchanges(struct peer *peer);

#endif
