/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_CODING_H
#define RPC_MESSAGE_CODING_H

#include <stddef.h>

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

/** What is said of the codings that are known here, in grpc-accept-encoding. */
#define CODING_ACCEPTED "identity,deflate,gzip"

/** @return CODING_UNKNOWN for a name that is none; case matters, as in all of gRPC. */
enum coding coding_parse(const char *name, size_t length);
/** @return a literal; of CODING_UNKNOWN too. */
const char *coding_name(enum coding coding);

/**
 * Which coding should go to a peer that says `value` in grpc-accept-encoding: gzip, else deflate, else none.
 *
 * @param known  What an earlier field of the same name led to.
 */
enum coding coding_choose(enum coding known, const char *value, size_t length);

#endif
