/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP2_REQUEST_H
#define RPC_HTTP2_REQUEST_H

#include <sdk/base/arena.h>
#include <sdk/rpc/message/codec.h>
#include <sdk/rpc/message/metadata.h>

/** The head of one call as it came off the wire. */
struct request {
    struct berth_arena *arena;
    const char *path;
    const char *content_type;
    struct metadata_list metadata;
    /** By RFC 9113 6.5.2. */
    size_t header_bytes;
    /** UINT64_MAX: none. */
    uint64_t timeout_ns;

    /** Why the call cannot be opened, or BERTH_OK. */
    enum berth_code code;
    const char *message;
    /** 200 but for peers that do not speak gRPC. */
    const char *http_status;
    /** How its messages are compressed, and the name the peer uses for it. */
    enum coding coding;
    const char *encoding;
    /** The coding that the peer accepts. */
    enum coding accepted;
    /** Did it say anything of compression? */
    bool speaks_of_coding;
    bool is_post;
};

/** Everything it keeps lies in `arena`. */
void request_init(struct request *request, struct berth_arena *arena);

/** Takes one header field. */
void request_add(struct request *request, const char *name, size_t name_length, const char *value,
                 size_t value_length, size_t max_header_bytes);

/**
 * After the last field: decides whether the call can be opened.
 *
 * @param takes_compressed  Otherwise the request must not be, and no answer is to be.
 */
void request_complete(struct request *request, bool takes_compressed);

#endif
