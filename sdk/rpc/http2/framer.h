/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP2_FRAMER_H
#define RPC_HTTP2_FRAMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The part of a frame that is examined: its header, and the four bytes after it. */
#define FRAMER_HEAD_MAX 13

/** How many streams ended by the client are remembered. */
#define FRAMER_ENDED_MAX 16

/** How the client ended its side of a stream. */
enum framer_end {
    /** It did not, or that is forgotten. */
    FRAMER_END_UNKNOWN,
    FRAMER_END_STREAM,
    FRAMER_END_RESET,
};

/**
 * Filters a client's frames before a server's HTTP/2 session, which would end the connection for violations
 * that other gRPC servers tolerate. Everything but the following passes unchanged:
 *
 * - RST_STREAM and WINDOW_UPDATE for a stream that the client has not opened: dropped, once it has opened
 *   one. Clients send them for calls that ended before their headers were sent.
 * - PRIORITY: dropped. Nothing here depends on it, and RFC 9113 5.3 lets it be ignored. One that names its
 *   own stream as its parent ahead of all streams passes, and ends the connection (RFC 7540 5.3.1).
 * - GOAWAY: its last stream, which can only be one that a server pushed, becomes 0.
 *
 * DATA and HEADERS for a stream that the client itself has ended pass and are reported: nghttp2 ignores them
 * once the stream is closed. Frames for a stream that only the server has ended are harmless.
 *
 * What passes depends on the bytes alone, never on how they were split or on the session's state. Between
 * HEADERS and the end of their CONTINUATIONs nothing else may come and nothing is dropped (RFC 9113 6.10);
 * the preface and the first frame pass as well. Payloads are not copied. Zero-initialised except `passing`: a
 * client that connects.
 */
struct framer {
    /** Bytes that pass before the next header: the preface, and the rest of a frame. */
    uint32_t passing;
    uint32_t dropping;
    /** A header that is still incomplete. */
    uint8_t head[FRAMER_HEAD_MAX];
    uint8_t held;
    bool has_begun;
    bool is_in_block;
    uint8_t oldest_ended;
    /** The client's highest stream. */
    int32_t last_id;
    /** Negative: reset. */
    int32_t ended[FRAMER_ENDED_MAX];
    /** The stream of the run's first frame, if the client had ended it before; otherwise 0. */
    int32_t late_id;
    enum framer_end late_end;
    /** Frames received; a header block counts as one. */
    uint64_t frames;
    /** Frames dropped, and how many of these had no stream. */
    uint64_t dropped;
    uint64_t dropped_idle;
};

/** Call it before the first byte. */
void framer_init(struct framer *framer);

/**
 * Takes the next run of bytes that pass off the input.
 *
 * @param bytes, length  Advanced past what was taken; nothing is left if 0 is returned.
 * @param ret_run        Points into `bytes` or into the framer; valid until the next call.
 * @return how many bytes pass; 0 if all was taken and nothing (more) passes.
 */
size_t framer_next(struct framer *framer, const uint8_t **bytes, size_t *length, const uint8_t **ret_run);

/**
 * Identifies the incomplete frame, header block or header.
 *
 * @return a number unique to it on the connection; 0: none.
 */
uint64_t framer_unfinished(const struct framer *framer);

#endif
