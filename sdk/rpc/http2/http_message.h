/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP2_HTTP_MESSAGE_H
#define RPC_HTTP2_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Whether one request is well-formed as RFC 9113 section 8 has it, field by field as it comes. `:authority`
 * may be anything that a field's value may be, or missing: on a unix socket it names nothing.
 *
 * Each function returns NULL, or what is wrong as the end of "malformed request: …"; then the stream is to be
 * reset with PROTOCOL_ERROR (RFC 9113 8.1.1) and nothing more is to be asked. All zero is a request of which
 * nothing came. Pure.
 */
struct http_message {
    uint64_t content_length;
    uint64_t received;
    /** Bit mask of the pseudo-header fields received. */
    uint8_t pseudo;
    bool has_regular;
    bool has_content_length;
    bool is_asterisk;
    bool is_options;
    bool is_connect;
    /** The headers are complete; trailers follow. */
    bool has_headers;
};

/** A field of the headers or the trailers, with blanks around its value removed. */
const char *http_message_add_field(struct http_message *message, const char *name, size_t name_length,
                                   const char *value, size_t value_length);

/** The header or trailer block is complete; `is_last`: nothing follows it. */
const char *http_message_end_fields(struct http_message *message, bool is_last);

/** Bytes of content received; `is_last`: nothing follows them. */
const char *http_message_add_data(struct http_message *message, size_t length, bool is_last);

/**
 * Takes the blanks from both ends of a field's value, as gRPC lets a server do (Custom-Metadata); a
 * pseudo-header field stays as it is.
 */
void http_message_strip(const char *name, size_t name_length, const char **value, size_t *value_length);

#endif
