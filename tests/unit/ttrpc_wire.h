/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc server on a thread of its own, and a connection to it that speaks bare frames. */
#ifndef TESTS_TTRPC_WIRE_H
#define TESTS_TTRPC_WIRE_H

#include <stdatomic.h>
#include <stdbool.h>

#include <berth/rpc/server.h>

#include "ttrpc_peer.h"

/** The connection, and what was read from it last. */
extern int peer;
extern struct ttrpc_answer answer;

/**
 * The service is t.T. Unary: Echo; Note tells who calls; Fail, FailLong, FailEarly; Much and TooMuch reply
 * about as much as a frame holds; Never never; Drain waits for `may_drain` and has the server drain. Streams:
 * Three; Fill sends until it may not; Many sends 1000 blocks; Sum and Early answer a number; Chat greets and
 * sends all back; LastWords and LastSum speak and fail; Stop fails at the first message; Hold takes nothing.
 */

/** Calls of Never, Sum, Hold and Drain that began; that ended, and how the last one did. */
extern atomic_int started;
extern atomic_int ended;
extern atomic_int last_code;
/** Lines that the server logged. */
extern atomic_int logged;
extern atomic_int may_drain;

/** For cmocka: with the default options, and with narrow ones. */
int ttrpc_wire_start(void **state);
int ttrpc_wire_start_small(void **state);
/** The same, with connections that may be idle for 150 ms. */
int ttrpc_wire_start_idle(void **state);
int ttrpc_wire_stop(void **state);

const char *ttrpc_wire_path(void);
/** The server closes, and drains before that where it is asked to. Returns at once. */
void ttrpc_wire_end(bool drains);
/** Waits for a server that is about to end. @return 0 where it left nothing behind. */
int ttrpc_wire_join(void);

void await(const atomic_int *value, int wanted);
void await_answer(uint32_t id, uint8_t type);
void await_failure(uint32_t id, enum berth_code code, const char *message);
void await_data(uint32_t id, const char *text);
void await_end(uint32_t id);
/** Sends a Request without payload; a frame of Data. */
void call(uint32_t id, uint8_t flags, const char *path);
void data(uint32_t id, uint8_t flags, const char *text);
/** The connection works: a call is answered. */
void assert_alive(uint32_t id);

#endif
