/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RPC_CALLER_H
#define TESTS_RPC_CALLER_H

#include <stdbool.h>

#include <berth/rpc/client.h>

#include "http2_peer.h"

/** What came of one call. */
struct outcome {
    struct berth_rpc_call *call;
    bool is_over;
    enum berth_code code;
    char message[512];
    char text[256];
    unsigned headers;
    unsigned messages;
    size_t received;
    size_t trailers;
    /** Done with each message that comes. */
    void (*on_message)(struct outcome *outcome);
    /** Done at the end. */
    void (*on_end)(struct outcome *outcome);
};

/** A loop with a channel on it, and a server that a script plays on a thread of its own. */
struct caller {
    uv_loop_t loop;
    uv_timer_t timer;
    char path[64];
    struct berth_rpc_channel *channel;
    int listener;
    uv_thread_t thread;
    bool is_playing;
    void (*script)(int listener);
};

/** Readies loop and path; nobody listens. */
void caller_start(struct caller *caller, const char *name);
/** Opens the channel to the path; all members but the address as in `options`, which may be NULL. */
void caller_open(struct caller *caller, const struct berth_rpc_channel_options *options);
/** Listens, and runs the script beside the loop. */
void caller_play(struct caller *caller, void (*script)(int listener));
/** Waits for the end of the script. */
void caller_end_play(struct caller *caller);
/** Closes everything; fails where a handle was left open. */
void caller_stop(struct caller *caller);

/** Starts a call of "/t.T/Echo" and, unless `request` is NULL, sends it and half-closes. */
void caller_ask(struct caller *caller, struct outcome *outcome, const struct berth_rpc_call_options *options,
                const char *request);
/** Runs the loop until all of them are over; fails after 20 s. */
void caller_await(struct caller *caller, const struct outcome *outcomes, size_t count);
void caller_run_for(struct caller *caller, uint64_t timeout_ms);

/** For scripts: reads until the next request's headers and takes its stream's number; 0 where none comes. */
uint32_t script_await_call(struct http2_peer *peer);
/** For scripts: a good answer. */
void script_answer(struct http2_peer *peer, uint32_t id, const char *text);

#endif
