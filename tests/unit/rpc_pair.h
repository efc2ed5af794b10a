/* SPDX-License-Identifier: Apache-2.0 */
/* A server and a client in one loop, over whatever a test puts between them. */
#ifndef TESTS_RPC_PAIR_H
#define TESTS_RPC_PAIR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include <berth/rpc/client.h>
#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#define PAIR_BLOCK (32 * 1024)

struct pair {
    uv_loop_t loop;
    uv_timer_t timer;
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    struct berth_rpc_channel *channel;
    struct berth_error err;

    /* What the handlers saw. */
    char peer[128];
    char subject[256];
    char names[512];
    char transport[32];
    size_t to_send;
    size_t taken;
    /* What the server logged. */
    char log[4096];

    /* What the caller saw. */
    struct berth_rpc_call *call;
    unsigned over;
    enum berth_code code;
    char message[512];
    char text[256];
    size_t received;
};

extern struct pair pair;

/** cmocka's setup: /t.T/Echo (unary), /t.T/Blocks (sends `to_send` blocks), /t.T/Count (takes a stream,
 * answers its bytes). `transport` of calls is "tcp". */
int pair_start(void **state);
/** The same, with two seconds for a handshake and 300 ms for a frame. */
int pair_start_hasty(void **state);
int pair_stop(void **state);

/** Makes the channel. */
void pair_connect(const char *address, const struct berth_rpc_tls_options *tls);
/** Starts a call and gives it one message, unless that is NULL. */
void pair_ask(const char *path, const char *request);
void pair_run_for(uint64_t timeout_ms);
/** Until so many calls are over. */
void pair_run_until_over(unsigned calls);
/** Until the server's log has the text; fails after a while. */
void pair_run_until_logged(const char *text);
struct berth_rpc_server_stats pair_stats(void);

#endif
