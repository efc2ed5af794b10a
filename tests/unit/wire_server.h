/* SPDX-License-Identifier: Apache-2.0 */
/* A server on a thread of its own, for peers that speak bare frames. */
#ifndef TESTS_WIRE_SERVER_H
#define TESTS_WIRE_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>

#include <berth/rpc/server.h>

/**
 * The service is t.T. Unary: Echo answers with its request; Note tells who calls; Never never; Fail, FailLong
 * and FailEarly; Say ends with the code of its first byte and the sentence behind it; Wordy says too much;
 * Return gives all metadata back; Large sends WIRE_LARGE bytes; Much and TooMuch about as much as a frame of
 * ttrpc holds; Drain waits for `may_drain` and has the server drain.
 *
 * Streams: Three; Many sends 1000 blocks; Fill sends until it may not; Insist tries to a hundred times;
 * LargeStream; Sum and Early answer a number; Chat sends all back, after its headers; Greet after a greeting;
 * Silent takes all and sends nothing; Stop fails at the first message; Hold takes nothing; LastWords and
 * LastSum speak and fail; Rest and Sip, an Echo and a Sum, pause for a moment ahead of every message; Small
 * and Plain send a kilobyte for each message, Small compressed until a message has three bytes, and again
 * from one that has two.
 */
#define WIRE_LARGE (600 * 1024)

/** Calls of Never, Hold and Drain that began. */
extern atomic_int started;
/** Calls of these, of Sum and of Silent that ended; that ended as CANCELLED or DEADLINE_EXCEEDED; the last
 * end. */
extern atomic_int ended;
extern atomic_int cancelled;
extern atomic_int overdue;
extern atomic_int last_code;
/** Lines that the server logged, without and of the level debug. */
extern atomic_int logged;
extern atomic_int debugged;
/** The last but those of debug, whole once `logged` has counted it. */
extern char last_line[512];
/** Debug lines that name RST_STREAM frames that were ignored. */
extern atomic_int told_ignored;
extern atomic_int may_drain;

/** @return 0 once it listens. */
int wire_serve(enum berth_rpc_protocol protocol, const struct berth_rpc_server_options *options);
const char *wire_path(void);
/** Of 127.0.0.1, where it listens for gRPC as well. */
uint16_t wire_port(void);
/** The server closes, and drains before that where it is asked to. Returns at once. */
void wire_end(bool drains);
/** Waits for a server that is about to end. @return 0 where it left nothing behind. */
int wire_join(void);

void await(const atomic_int *value, int wanted);

#endif
