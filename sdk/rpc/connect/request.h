/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_CONNECT_REQUEST_H
#define RPC_CONNECT_REQUEST_H

#include <berth/types/http.h>

#include <sdk/base/arena.h>
#include <sdk/rpc/base/buffer.h>
#include <sdk/rpc/message/codec.h>
#include <sdk/rpc/message/metadata.h>

/** The content types of unary methods or of the others, as in Accept-Post. */
const char *connect_types(bool is_stream);

/** @param type  a Content-Type field, or NULL. @return Is it one of connect_types? */
bool connect_type_parse(const char *type, bool is_stream, bool *ret_is_json);

/** GET, or HEAD, which is answered as one. */
bool connect_is_get(const char *method);

/** The parameter `encoding` of a GET. @return false if it is missing or unknown. */
bool connect_query_codec(const char *query, bool *ret_is_json);

/** The head of a request. Zero-initialise except for `arena`, which owns the memory. */
struct connect_request {
    struct berth_arena *arena;
    struct metadata_list metadata;
    /** UINT64_MAX: none. */
    uint64_t timeout_ns;
    /** How its messages are compressed, and how the response may be. */
    enum coding coding;
    enum coding accepted;
    /** The message of a GET. */
    struct span message;

    /** Why the call cannot be opened, or BERTH_OK. */
    enum berth_code code;
    const char *reason;
};

/**
 * Reads the header fields, whose content type was checked, and for a GET the query.
 *
 * @param query             NULL: a POST.
 * @param takes_compressed  false: a compressed request is refused, and the response is not compressed.
 */
void connect_request_read(struct connect_request *request, const struct berth_http_header *fields,
                          size_t count, const char *query, bool is_stream, bool takes_compressed);

#endif
