/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_CODEC_H
#define RPC_MESSAGE_CODEC_H

#include <stddef.h>

#include <sdk/rpc/base/buffer.h>
#include <sdk/base/deadlines.h>

/** How the messages of one direction of one call are compressed: gRPC's Content-Coding. */
enum coding {
    CODING_IDENTITY,
    CODING_GZIP,
    /** The zlib format of RFC 1950, as HTTP has it. */
    CODING_DEFLATE,
    /** One that is not known here. */
    CODING_UNKNOWN,
};

#define CODINGS_KNOWN CODING_UNKNOWN

/** The supported codings, as listed in grpc-accept-encoding. */
#define CODING_ACCEPTED "identity,deflate,gzip"

/** @return CODING_UNKNOWN for an unknown name; case-sensitive, as all of gRPC. */
enum coding coding_parse(const char *name, size_t length);
/** @return a literal; of CODING_UNKNOWN too. */
const char *coding_name(enum coding coding);

/**
 * Which coding should go to a peer that says `value` in grpc-accept-encoding: gzip, else deflate, else none.
 *
 * @param known  What an earlier field of the same name led to.
 */
enum coding coding_choose(enum coding known, const char *value, size_t length);

enum codec_result {
    CODEC_DONE,
    /** Invalid data, truncated data, or trailing bytes. */
    CODEC_BROKEN,
    CODEC_TOO_LARGE,
    /** Without memory, or without zlib on this system. */
    CODEC_NO_ROOM,
};

struct codec_stream;

/**
 * Compresses and expands whole messages, one after another. All zero is a fresh one.
 *
 * What zlib needs is made at the first use and kept for the next: 262 KiB for each coding that is written, 40
 * KiB for reading, and at most CODEC_PLAIN_KEPT for what was read. It is freed when unused for a while.
 */
struct codec {
    struct codec_stream *compressing[CODINGS_KNOWN];
    struct codec_stream *expanding;
    struct buffer plain;
    /** Where the timer for unused state is kept; NULL: state stays until codec_finish. */
    struct deadlines *deadlines;
    struct deadline idle;
    bool was_used;
};

#define CODEC_PLAIN_KEPT (64 * 1024)

/** The smallest coding's envelope alone has this many bytes. */
#define CODEC_NEVER_SMALLER 10

void codec_finish(struct codec *codec);

/**
 * Compresses a message.
 *
 * @return how many bytes of `room` were written; 0 if they do not suffice, or without memory or zlib.
 */
size_t codec_compress(struct codec *codec, enum coding coding, const void *message, size_t length, void *to,
                      size_t room);

/**
 * Expands a message that may be anything. Never makes more than one byte over `largest`.
 *
 * @param ret_plain  Borrowed until codec_release_plain.
 */
enum codec_result codec_expand(struct codec *codec, enum coding coding, const void *bytes, size_t length,
                               uint64_t largest, const void **ret_plain, size_t *ret_length);

/** The output of codec_expand is not needed any more. */
void codec_release_plain(struct codec *codec);

#endif
