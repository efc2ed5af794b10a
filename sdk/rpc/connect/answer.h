/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_CONNECT_ANSWER_H
#define RPC_CONNECT_ANSWER_H

#include <berth/error.h>
#include <berth/json_writer.h>

#include <sdk/base/arena.h>
#include <sdk/rpc/message/metadata.h>

/** The flag of the last envelope of a response. */
#define CONNECT_END_STREAM 2

/** "invalid_argument"; "unknown" for anything that is not a gRPC code. */
const char *connect_code_name(enum berth_code code);

/** The HTTP status of a unary error. */
unsigned connect_http_status(enum berth_code code);

/** How a call ended. */
struct connect_end {
    enum berth_code code;
    /** May be NULL. */
    const char *message;
    /** A serialised google.rpc.Status; what cannot be read as one is left out. */
    const void *details;
    size_t details_length;
};

/** Writes an Error. @param arena  for temporary memory. */
void connect_write_error(struct berth_json_writer *json, const char *key, const struct connect_end *end,
                         struct berth_arena *arena);

/** Writes an EndStreamResponse. */
void connect_write_end(struct berth_json_writer *json, const struct connect_end *end,
                       const struct metadata_list *trailers, struct berth_arena *arena);

#endif
