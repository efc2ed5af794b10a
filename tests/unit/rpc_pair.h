/* SPDX-License-Identifier: Apache-2.0 */
/* A server of t.T and a client in one loop: gRPC or ttrpc, over a socket or whatever a test puts between
 * them. */
#ifndef TESTS_RPC_PAIR_H
#define TESTS_RPC_PAIR_H

#include <string.h>

#include <tests/cmocka.h>

#include <berth/rpc/client.h>
#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#include "rpc_service.h"

extern struct pair {
    uv_loop_t loop;
    uv_timer_t timer;
    enum berth_rpc_protocol protocol;
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    struct berth_rpc_channel *channel;
    struct berth_error err;
    char path[64];
    /* What the server logged. */
    char log[4096];

    /* What the caller saw. */
    struct berth_rpc_call *call;
    unsigned over;
    unsigned headers;
    unsigned writables;
    unsigned messages;
    size_t received;
    enum berth_code code;
    char message[512];
    /** The messages since the last call began, a bar between them; and "key[length] " of each trailer. */
    char text[256];
    char trailers[256];
    /** What it does with each message. */
    bool pauses;
    bool cancels;
} pair;

extern const struct berth_rpc_call_handlers pair_handlers;

/** For cmocka: a server that listens nowhere yet, whose calls have the transport "tcp", and no client. */
int pair_start(void **state);
/** The same, with two seconds for a handshake and 300 ms for a frame. */
int pair_start_hasty(void **state);
/** A server on a socket at `path`, and its client. */
int pair_start_grpc(void **state);
int pair_start_ttrpc(void **state);
/** A ttrpc client alone. */
int pair_start_ttrpc_client(void **state);
int pair_stop(void **state);

/** Makes the server, and has it listen at `path`. */
void pair_serve(const struct berth_rpc_server_options *options);
void pair_close_server(void);
/** Makes the channel, in place of the one that is there. */
void pair_connect(const char *address, const struct berth_rpc_tls_options *tls);
void pair_connect_with(struct berth_rpc_channel_options options);

struct berth_rpc_call *pair_call_with(struct berth_rpc_call_options options);
struct berth_rpc_call *pair_call(const char *path);
void pair_send(struct berth_rpc_call *call, const char *message);
/** Starts a call and gives it one message, its last, unless that is NULL. */
void pair_ask(const char *path, const char *request);

void pair_run_for(uint64_t timeout_ms);
/** Until the value is at least `wanted`; fails after a while. */
void pair_run_until(const unsigned *value, unsigned wanted);
/** Until so many calls are over. */
void pair_run_until_over(unsigned calls);
/** The same, of which the last ended so. */
void pair_assert_ended(unsigned calls, enum berth_code code, const char *message);
/** Until the text of the last call is this. */
void pair_run_until_text(const char *text);
/** Until the server's log has the text; fails after a while. */
void pair_run_until_logged(const char *text);
struct berth_rpc_server_stats pair_stats(void);

#endif
