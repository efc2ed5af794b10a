/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_FRAMING_H
#define RPC_MESSAGE_FRAMING_H

#include <sdk/rpc/base/buffer.h>

/** The flag byte and the four length bytes ahead of each message (gRPC over HTTP/2, Length-Prefixed-Message).
 */
#define FRAMING_PREFIX 5

enum framing_state {
    /** All input is eaten and no message is whole. */
    FRAMING_MORE,
    FRAMING_MESSAGE,
    /** The message's flag says compressed, and nobody said how. */
    FRAMING_COMPRESSED,
    /** The flag is neither 0 nor 1. */
    FRAMING_BAD_FLAG,
    /** The length that the prefix states is over the limit. */
    FRAMING_TOO_LARGE,
    /** The budget or the memory is used up. */
    FRAMING_NO_ROOM,
    /** What came compressed cannot be expanded. Only from an inbox, as the next one. */
    FRAMING_BROKEN,
    /** It would be larger than the limit. */
    FRAMING_TOO_LARGE_EXPANDED,
};

/** Where the messages of one direction of one call are put together. All zero with `budget` set is fresh. */
struct framing {
    struct buffer partial;
    struct budget *budget;
    uint64_t max_message_bytes;
    /** May messages be flagged as compressed? */
    bool takes_compressed;
    /** Was the message that was given out last? */
    bool was_compressed;
    /** `partial` holds a message that was given out. */
    bool is_given;
};

/** Bytes, borrowed. */
struct framing_span {
    const unsigned char *bytes;
    size_t length;
};

/**
 * Takes bytes off the front of `input` up to the end of the next message.
 *
 * @param ret_message  On FRAMING_MESSAGE the message without its prefix: inside the input where it is
 *                     whole there, else inside `framing`, until the next call. On FRAMING_TOO_LARGE only its
 *                     length, as stated.
 */
enum framing_state framing_next(struct framing *framing, struct framing_span *input,
                                struct framing_span *ret_message);

/**
 * Keeps the message that was given out last, in memory of its own; the next framing_next forgets it.
 *
 * @return false without memory or budget.
 */
bool framing_keep(struct framing *framing, struct framing_span *message);

/** Did the input end inside a message? */
bool framing_is_inside(const struct framing *framing);

void framing_finish(struct framing *framing);

/** Writes the prefix of a message. */
void framing_write_prefix(unsigned char prefix[FRAMING_PREFIX], bool is_compressed, uint32_t length);

#endif
