/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP1_READER_H
#define RPC_HTTP1_READER_H

#include <berth/types/http.h>

#include <sdk/rpc/base/buffer.h>

/** Fields of one request that are accepted at most, whatever the server's options say. */
#define HTTP1_FIELDS_MAX 100

/** The most that a chunked body may contain besides its data: the size lines, with their extensions. */
#define HTTP1_CHUNK_LINE_MAX 128
#define HTTP1_CHUNK_EXTENSIONS_MAX (16 * 1024)

enum http1_phase {
    HTTP1_HEAD,
    HTTP1_BODY,
    HTTP1_CHUNK_SIZE,
    HTTP1_CHUNK_DATA,
    HTTP1_CHUNK_END,
    HTTP1_TRAILERS,
    HTTP1_WHOLE,
    HTTP1_FAILED,
};

/** Outcome of http1_read. */
enum http1_read {
    /** All bytes are used up; more are needed. */
    HTTP1_READ_MORE,
    /** The head is complete and its body is not: answer it or read on. Once a request. */
    HTTP1_READ_HEAD,
    /** The request is complete. Bytes after it are not consumed. */
    HTTP1_READ_WHOLE,
    /** `status` and `reason` say why the request is refused; the connection cannot be read any further. */
    HTTP1_READ_FAILED,
};

/**
 * Reads one request after the other (RFC 9112), and is stricter than that where lenience lets two readers see
 * two different requests: lines end with CRLF, no field is folded, framing is stated once. Zero-initialise,
 * except for the limits and the budget.
 */
struct http1_reader {
    size_t max_head_bytes;
    size_t max_body_bytes;
    /** Charged for the head and the body; may be NULL. */
    struct budget *budget;

    enum http1_phase phase;
    /** The head, as far as it was received. */
    struct buffer text;
    /** A line of a chunked body as far as it was received. */
    struct buffer tail;
    struct buffer body;
    /** Where in `text` the line begins that is being received, and empty lines ahead of the request. */
    size_t line;
    unsigned empty_lines;
    size_t trailer_bytes;
    size_t extension_bytes;
    /** Bytes of the body, or of the chunk, that are not received yet. */
    uint64_t left;

    /* Of the request whose head is complete. Strings are inside `text`. */
    const char *method;
    const char *target;
    char *path;
    const char *query;
    const char *host;
    struct berth_http_header fields[HTTP1_FIELDS_MAX];
    size_t field_count;
    /** HTTP/1.0 */
    bool is_old;
    bool is_chunked;
    /** The client wants the connection to end, or the version implies it. */
    bool closes;
    bool expects_continue;

    /** Why it failed: a status and a sentence. */
    unsigned status;
    const char *reason;
};

/**
 * Reads until something is to be done.
 *
 * @param ret_used  How many bytes were used up; the caller passes the rest again.
 */
enum http1_read http1_read(struct http1_reader *reader, const uint8_t *bytes, size_t length,
                           size_t *ret_used);

/** Forgets the request, for the next one. */
void http1_reader_next(struct http1_reader *reader);

/** Has a request begun that is not complete? */
bool http1_reader_is_inside(const struct http1_reader *reader);

void http1_reader_finish(struct http1_reader *reader);

/** @return the value of the first field of a name in lower case; NULL without one. */
const char *http1_field(const struct http1_reader *reader, const char *name);

/** Is `token` an element of a comma-separated list? Letters of either case. */
bool http1_list_has(const char *list, const char *token);

/** The characters of a field name or a method (RFC 9110 5.6.2), at least one. */
bool http1_is_token(const char *text, size_t length);
/** A field value: no control characters but tabs. */
bool http1_is_value(const char *text, size_t length);

/** The phrase that goes with a status; never NULL. */
const char *http1_phrase(unsigned status);

/**
 * Splits a Host field into its name in lower case, without the brackets of an IPv6 address, and drops the
 * port.
 *
 * @return false if it is not a host with an optional port, or longer than `size` - 1.
 */
bool http1_host_name(const char *host, char *ret_name, size_t size);

#endif
