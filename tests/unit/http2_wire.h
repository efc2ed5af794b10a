/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC server, and a peer made of bare frames that is connected to it. */
#ifndef TESTS_HTTP2_WIRE_H
#define TESTS_HTTP2_WIRE_H

#include "http2_peer.h"
#include "wire_server.h"

extern struct http2_peer *peer;
extern struct http2_answer answer;

/** For cmocka: with the default options, and with narrow ones. */
int wire_start(void **state);
int wire_start_small(void **state);
int wire_stop(void **state);

int wire_start_with(const struct berth_rpc_server_options *options);

void assert_header(const char *name, const char *value);
/** @param message  NULL: any. */
void assert_status(const char *code, const char *message);
void send_data(uint8_t flags, uint32_t id, const char *bytes, size_t length);
void assert_echo_still_works(uint32_t id);

#endif
