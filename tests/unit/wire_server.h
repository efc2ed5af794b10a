/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC server on a thread of its own, and a peer made of bare frames that is connected to it. */
#ifndef TESTS_WIRE_SERVER_H
#define TESTS_WIRE_SERVER_H

#include <stdatomic.h>

#include <berth/rpc/server.h>

#include "http2_peer.h"

extern struct http2_peer *peer;
extern struct http2_answer answer;

/**
 * The service is t.T: Echo answers with its request; Never never; Chat sends all back, after its headers;
 * Silent takes all and sends nothing; Early ends at the first message; Fill sends until it may not; Wordy
 * says too much; Say ends with the code of its first byte and the sentence behind it; Return gives all
 * metadata back; Hold takes nothing; Small and Plain send a kilobyte for each message, Small compressed until
 * a message has three bytes, and again from one that has two; Large and LargeStream send WIRE_LARGE bytes;
 * Insist tries to a hundred times.
 */
#define WIRE_LARGE (600 * 1024)

/** Calls of t.T/Never and the like that began, and that ended as CANCELLED or DEADLINE_EXCEEDED. */
extern atomic_int started;
extern atomic_int cancelled;
extern atomic_int overdue;
/** Lines that the server logged. */
extern atomic_int logged;
/** The last of them, whole once `logged` has counted it. */
extern char last_line[512];
/** Debug lines that name RST_STREAM frames that were ignored. */
extern atomic_int told_ignored;

/** For cmocka: with the default options, and with narrow ones. */
int wire_start(void **state);
int wire_start_small(void **state);
int wire_stop(void **state);

int wire_start_with(const struct berth_rpc_server_options *options);
const char *wire_path(void);
/** Of 127.0.0.1, where it listens as well. */
uint16_t wire_port(void);
/** The server closes, and drains before that where it is asked to. Returns at once. */
void wire_end(bool drains);

bool eventually(const atomic_int *counter, int value);
void assert_header(const char *name, const char *value);
/** @param message  NULL: any. */
void assert_status(const char *code, const char *message);
void send_data(uint8_t flags, uint32_t id, const char *bytes, size_t length);
void assert_echo_still_works(uint32_t id);

#endif
