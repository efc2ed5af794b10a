/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_TTRPC_MESSAGE_H
#define RPC_TTRPC_MESSAGE_H

#include <berth/call.h>

#include "frame.h"

/** Maximum size of the tag and length before a payload. */
#define TTRPC_PAYLOAD_PREFIX_MAX 6

/** ttrpc.Request as received. Borrows from the frame. */
struct ttrpc_request {
    struct span service;
    struct span method;
    struct span payload;
    bool has_payload;
    int64_t timeout_nano;
    size_t metadata_count;
    /** Bytes of all keys and values, plus 32 for each pair. */
    size_t metadata_bytes;
};

struct ttrpc_pair {
    struct span key;
    struct span value;
};

/** ttrpc.Response as received. */
struct ttrpc_response {
    struct span payload;
    bool has_payload;
    /** Of its google.rpc.Status; 0 without one. */
    int32_t code;
    struct span message;
    /** The whole google.rpc.Status, if it has details. */
    struct span details;
};

/** Parses the contents of a frame. @return NULL, or what is wrong with it. */
const char *ttrpc_request_parse(struct span bytes, struct ttrpc_request *ret_request);
const char *ttrpc_response_parse(struct span bytes, struct ttrpc_response *ret_response);

/** Finds the next pair of metadata in a parsed request; `*rest` is all of it at first. */
bool ttrpc_metadata_next(struct span *rest, struct ttrpc_pair *ret_pair);

/** Size of a Request without its payload. */
size_t ttrpc_request_size(const char *path, int64_t timeout_nano, const struct berth_metadata *metadata,
                          size_t count);
/** Writes that. `path` is "/service/method". */
void ttrpc_request_write(unsigned char *bytes, const char *path, int64_t timeout_nano,
                         const struct berth_metadata *metadata, size_t count);

/**
 * Writes the tag and length of a payload of `length` bytes in a Request or a Response. @return their size.
 */
size_t ttrpc_request_payload_prefix(unsigned char bytes[TTRPC_PAYLOAD_PREFIX_MAX], size_t length);
size_t ttrpc_response_payload_prefix(unsigned char bytes[TTRPC_PAYLOAD_PREFIX_MAX], size_t length);

/**
 * A Response with the result of a call. `details` is a serialised google.rpc.Status, whose details are
 * copied; may be empty. `message` is UTF-8.
 */
size_t ttrpc_status_size(enum berth_code code, struct span message, struct span details);
/** Writes that. */
void ttrpc_status_write(unsigned char *bytes, enum berth_code code, struct span message, struct span details);

#endif
