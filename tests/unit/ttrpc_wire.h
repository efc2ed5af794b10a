/* SPDX-License-Identifier: Apache-2.0 */
/* A ttrpc server, and a connection to it that speaks bare frames. */
#ifndef TESTS_TTRPC_WIRE_H
#define TESTS_TTRPC_WIRE_H

#include "ttrpc_peer.h"
#include "wire_server.h"

/** The connection, and what was read from it last. */
extern int peer;
extern struct ttrpc_answer answer;

/** For cmocka: with the default options, and with narrow ones. */
int ttrpc_wire_start(void **state);
int ttrpc_wire_start_small(void **state);
/** The same, with connections that may be idle for 150 ms. */
int ttrpc_wire_start_idle(void **state);
int ttrpc_wire_stop(void **state);
/** The same for a server that ends by itself. */
int ttrpc_wire_end(void **state);

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
