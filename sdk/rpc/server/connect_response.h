/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_CONNECT_RESPONSE_H
#define RPC_SERVER_CONNECT_RESPONSE_H

#include <sdk/rpc/connect/answer.h>

#include "connect_call.h"

/** Sends a stream's head. @return false without memory, or if the client has gone. */
bool connect_response_begin_stream(struct server_connect_call *self);

/** Sends a stream's message. @param most  the bound on its length, for the reason of a refusal. */
enum berth_code connect_response_send(struct server_connect_call *self, const void *bytes, size_t length,
                                      uint64_t most);

/** Keeps the reply of a unary call. @param owned  the bytes, to be freed; NULL: they are the caller's. */
enum berth_code connect_response_keep(struct server_connect_call *self, const void *bytes, size_t length,
                                      void *owned, uint64_t most);

/** The call has ended: nothing but this follows. */
void connect_response_end(struct server_connect_call *self, const struct connect_end *end);

/** Sends what is kept and ends the response, as soon as there is room. Called again when there is. */
void connect_response_send_last(struct server_connect_call *self);

/** Frees what is kept. */
void connect_response_forget(struct server_connect_call *self);

#endif
