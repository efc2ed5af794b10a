/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP2_FRAMER_H
#define RPC_HTTP2_FRAMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** As much of a frame as is looked at: its head, and the four bytes behind it. */
#define FRAMER_HEAD_MAX 13

/** Streams that the client has ended, of which it is remembered. */
#define FRAMER_ENDED_MAX 16

/** How the client ended its side of a stream. */
enum framer_end {
    /** It did not, or it is forgotten. */
    FRAMER_END_UNKNOWN,
    FRAMER_END_STREAM,
    FRAMER_END_RESET,
};

/**
 * Stands between a client's bytes and a server's HTTP/2 session, which would end the connection for what
 * gRPC's own servers forgive. All but what is named here passes unchanged:
 *
 * - RST_STREAM and WINDOW_UPDATE for a stream that the client has not opened: dropped, once it has opened
 * one. Clients send them for calls that ended before their headers left.
 * - PRIORITY: dropped. Nothing here depends on it, and RFC 9113 5.3 lets it be ignored. One that names its
 * own stream as its parent ahead of all streams passes, and ends the connection (RFC 7540 5.3.1).
 * - GOAWAY: its last stream, which can only be one that a server pushed, becomes 0.
 *
 * DATA and HEADERS for a stream that the client itself has ended pass and are pointed out: nghttp2 ignores
 * them once the stream is closed. Frames for a stream that only the server has ended are harmless.
 *
 * What passes depends on the bytes alone, never on how they were cut or on the session's state. Between
 * HEADERS and the end of their CONTINUATIONs nothing may come and nothing is dropped (RFC 9113 6.10); the
 * preface and the first frame pass as well. Payloads are not copied. All zero but for `passing` is a client
 * that connects.
 */
struct framer {
    /** Bytes that pass before the next head: the preface, and what is left of a frame. */
    uint32_t passing;
    uint32_t dropping;
    /** A head of which the rest has not come. */
    uint8_t head[FRAMER_HEAD_MAX];
    uint8_t held;
    bool has_begun;
    bool is_in_block;
    uint8_t oldest_ended;
    /** The highest stream of the client's. */
    int32_t last_id;
    /** Negative: reset. */
    int32_t ended[FRAMER_ENDED_MAX];
    /** The stream of the run's first frame, where the client had ended it before; otherwise 0. */
    int32_t late_id;
    enum framer_end late_end;
    /** Frames that came; a header block counts as one. */
    uint64_t frames;
    /** Frames that were dropped, and how many of these had no stream. */
    uint64_t dropped;
    uint64_t dropped_idle;
};

/** Before the first byte. */
void framer_init(struct framer *framer);

/**
 * Cuts the next run off the input.
 *
 * @param bytes, length  Moved behind what was taken; nothing is left where 0 is returned.
 * @param ret_run        Points into `bytes` or into the framer; valid until the next call.
 * @return how many bytes pass; 0 where all was taken and nothing (more) passes.
 */
size_t framer_next(struct framer *framer, const uint8_t **bytes, size_t *length, const uint8_t **ret_run);

/**
 * Which frame, header block or part of a head is not complete.
 *
 * @return a number that no other frame of the connection has; 0: none.
 */
uint64_t framer_unfinished(const struct framer *framer);

#endif
