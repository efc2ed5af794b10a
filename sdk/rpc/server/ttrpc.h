/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_TTRPC_H
#define RPC_SERVER_TTRPC_H

#include "state.h"
#include <sdk/rpc/ttrpc/message.h>
#include <sdk/rpc/ttrpc/session.h>

/** A peer of the server that speaks ttrpc. */
struct server_ttrpc {
    struct ttrpc_session session;
    struct server_connection *connection;
    /** Of the call that came last. */
    uint32_t last_id;
    struct server_ttrpc_call *first_ready;
    struct server_ttrpc_call **end_ready;
};

/** One call, from its Request to the last byte of its answer. */
struct server_ttrpc_call {
    struct ttrpc_stream stream;
    struct server_ttrpc *peer;
    struct server_ttrpc_call *next_ready;
    struct berth_call *call;
    /** NULL until it is known to be one. */
    const char *path;

    bool is_ready;
    /** The router knows the method. */
    bool is_found;
    /** It answers with Data; otherwise with one Response. */
    bool is_streaming;
    bool is_remote_ended;
    bool is_half_close_told;
    bool is_writable_due;
    bool is_ended;

    /** The one message where it is small; otherwise the outflow has it. */
    struct span reply;
    /** A Response that tells of a failure; empty where all went well. */
    struct span failure;
    /** It says no more than the code where there was no memory. */
    unsigned char bare_failure[8];

    struct inbox inbox;
    struct outflow outflow;
    /** As server_refuse_message returned it last; empty: the message was sent. */
    char *refusal;
    struct deadline deadline;
    struct metadata_list metadata;
    struct berth_arena arena;
    _Alignas(max_align_t) unsigned char first[1024];
};

/** @return NULL without memory. */
struct server_ttrpc_call *server_ttrpc_call_create(struct server_ttrpc *peer, uint32_t id);
/** From the top level, or without a call. */
void server_ttrpc_call_destroy(struct server_ttrpc_call *self);
/** Opens the call of a Request and gives it the payload. `bytes` is what was parsed. */
void server_ttrpc_call_open(struct server_ttrpc_call *self, const struct ttrpc_request *request,
                            struct span bytes, unsigned flags);
/** Takes the payload of a call that has no other. */
void server_ttrpc_call_take_only(struct server_ttrpc_call *self, struct span payload);
/** Takes a message of Data. */
void server_ttrpc_call_take(struct server_ttrpc_call *self, struct span message);
/** The caller will send no more. */
void server_ttrpc_call_half_close(struct server_ttrpc_call *self);
/** It has something to do, at the top level. */
void server_ttrpc_call_ready(struct server_ttrpc_call *self);
/** Does what is due. From the top level. */
void server_ttrpc_call_process(struct server_ttrpc_call *self);
/** Ends the caller's side; nothing where that has been. */
void server_ttrpc_call_end(struct server_ttrpc_call *self, enum berth_code code, const char *message,
                           const void *details, size_t details_length);
/** Ends the call on both sides. */
void server_ttrpc_call_abort(struct server_ttrpc_call *self, enum berth_code code, const char *message);
/** As ttrpc_side has it. */
bool server_ttrpc_call_put(struct ttrpc_stream *stream, struct batch *batch);

/** Prepares the answer: a Response of `code` and what goes with it. */
void server_ttrpc_answer(struct server_ttrpc_call *self, enum berth_code code, const char *message,
                         const void *details, size_t details_length);

/** What the router's refusals are called in ttrpc. @return `message` or what is meant, in the call's arena.
 */
const char *server_ttrpc_refusal(struct server_ttrpc_call *self, enum berth_code code, const char *message);

/** What the router asks of such a call. */
extern const struct berth_stream_ops server_ttrpc_call_ops;

static inline struct berth_rpc_server *server_ttrpc_call_server(const struct server_ttrpc_call *self)
{
    return self->peer->connection->server;
}

/* The router carries the pointer, and looks at nothing behind it: `struct berth_stream` itself is gRPC's. */
static inline struct berth_stream *server_ttrpc_call_to_router(struct server_ttrpc_call *self)
{
    return (struct berth_stream *)(void *)self;
}

static inline struct server_ttrpc_call *server_ttrpc_call_from_router(struct berth_stream *stream)
{
    return (struct server_ttrpc_call *)(void *)stream;
}

#endif
