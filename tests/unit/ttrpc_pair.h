/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc client, and a server in the same loop. */
#ifndef TESTS_TTRPC_PAIR_H
#define TESTS_TTRPC_PAIR_H

#include <stdbool.h>

#include <berth/rpc/client.h>
#include <berth/rpc/server.h>
#include <berth/rpc/services.h>

#define PAIR_BLOCK (32 * 1024)

struct fixture {
    uv_loop_t loop;
    uv_timer_t timer;
    struct berth_rpc_services *services;
    struct berth_rpc_server *server;
    struct berth_rpc_channel *channel;
    char path[64];
    bool is_drained;

    /* What the handlers saw. */
    unsigned starts;
    unsigned ends;
    enum berth_code last_end;
    char seen[256];
    size_t taken;
    size_t to_send;
    struct berth_call *paused;

    /* What the caller saw. */
    unsigned over;
    unsigned headers;
    unsigned writables;
    unsigned messages;
    size_t received;
    enum berth_code code;
    char message[256];
    char text[256];
    char trailers[256];
    bool pauses;
    bool cancels;
    struct berth_rpc_call *call;

    /* A server that follows a script, in place of the other. */
    int listener;
    uv_thread_t thread;
    void (*script)(int fd);
};
extern struct fixture f;
/** What the caller saw goes to `f`. */
extern const struct berth_rpc_call_handlers caller;

/** For cmocka: both; the client alone, for whom a server may stand at `f.path` or not. */
int ttrpc_pair_start(void **state);
int ttrpc_pair_start_client(void **state);
int ttrpc_pair_stop(void **state);

void run_for(uint64_t timeout_ms);
/** Until the caller was told just this, a bar behind each message. */
void await_text(const char *text);
/** Until so many calls are over. */
void run_until_over(unsigned calls);

struct berth_rpc_call *call_with(struct berth_rpc_call_options options);
struct berth_rpc_call *call(const char *path, enum berth_method_kind kind);
void tell(struct berth_rpc_call *told, const char *message);
/** Starts a call with one message and ends the caller's side. */
void ask(const char *path, enum berth_method_kind kind, const char *request);
/** How the last call ended. */
void assert_ended(enum berth_code code, const char *message);

#endif
