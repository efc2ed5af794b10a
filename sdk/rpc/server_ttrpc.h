/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_TTRPC_H
#define RPC_SERVER_TTRPC_H

#include "server_state.h"
#include "ttrpc_message.h"
#include "ttrpc_session.h"

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

    bool is_ready;
    /** The router has not yet said of what kind the method is. */
    bool is_opening;
    /** It answers with Data; otherwise with one Response. */
    bool is_streaming;
    /** What it answers is there, where it is one message. */
    bool has_reply;
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
    struct deadline deadline;
    struct metadata_list metadata;
    struct arena arena;
    _Alignas(max_align_t) unsigned char first[1024];
};

/** @return NULL without memory. */
struct server_ttrpc_call *server_ttrpc_call_create(struct server_ttrpc *peer, uint32_t id);
/** From the top level, or without a call. */
void server_ttrpc_call_destroy(struct server_ttrpc_call *self);
/** Opens the call of a Request and gives it the payload. `bytes` is what was parsed. */
void server_ttrpc_call_open(struct server_ttrpc_call *self, const struct ttrpc_request *request,
                            struct span bytes, unsigned flags);
/** Takes a message of Data. */
void server_ttrpc_call_take(struct server_ttrpc_call *self, struct span message);
/** The caller will send no more. */
void server_ttrpc_call_half_close(struct server_ttrpc_call *self);
/** Does what is due. From the top level. */
void server_ttrpc_call_process(struct server_ttrpc_call *self);
/** Ends the call on both sides. */
void server_ttrpc_call_abort(struct server_ttrpc_call *self, enum berth_code code, const char *message);
/** As ttrpc_side has it. */
bool server_ttrpc_call_put(struct ttrpc_stream *stream, struct batch *batch);

/** Prepares the answer: a Response of `code` and what goes with it. */
void server_ttrpc_answer(struct server_ttrpc_call *self, enum berth_code code, const char *message,
                         const void *details, size_t details_length);

/** What the router's refusals are called in ttrpc. @return `message` or what is meant, in `arena`. */
const char *server_ttrpc_refusal(enum berth_code code, const char *message, struct arena *arena);

#endif
