/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzzers of whole connections have in common: a peer's socket, and services to be called. */
#ifndef TESTS_FUZZ_SESSION_H
#define TESTS_FUZZ_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <berth/rpc/services.h>

/** Pieces of one input, so that none takes for ever. */
#define SESSION_STEPS_MAX 64

/** How an input is played: its first two bytes. */
enum session_flag {
    /** What every honest peer sends first is sent ahead of the input. */
    SESSION_GREETS = 1,
    /** The peer reads nothing. */
    SESSION_IS_DEAF = 2,
    /** The peer ends its side and waits for the answers, rather than hang up. */
    SESSION_SHUTS_DOWN = 4,
    /** The other protocol. */
    SESSION_TTRPC = 8,
};

/** Every kind of method, in the service t.T: Unary, Server, Client, Bidi. */
const struct berth_router *session_router(void);

/** Calls that began and have not ended. */
extern size_t session_calls;

/** Runs the loop as often as something may follow from what came. */
void session_turn(uv_loop_t *loop);

/** Takes what waits at the peer's socket. @return false where the other side has ended. */
bool session_read(int fd);

/** Sends the greeting and the input behind its two first bytes to the other side of `fd`, in pieces. */
void session_play(uv_loop_t *loop, int fd, const uint8_t *data, size_t size, const void *greeting,
                  size_t greeting_length);

#endif
