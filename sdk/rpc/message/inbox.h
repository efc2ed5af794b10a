/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_INBOX_H
#define RPC_MESSAGE_INBOX_H

#include <sdk/rpc/base/buffer.h>

#include "codec.h"

/** The flag byte and the four length bytes ahead of each message (gRPC over HTTP/2, Length-Prefixed-Message).
 */
#define FRAMING_PREFIX 5

enum framing_state {
    /** All input is eaten and no message is whole. */
    FRAMING_MORE,
    FRAMING_MESSAGE,
    /** The message is flagged as compressed, without grpc-encoding. */
    FRAMING_COMPRESSED,
    /** The flag is neither 0 nor 1. */
    FRAMING_BAD_FLAG,
    /** The length that the prefix states is over the limit. */
    FRAMING_TOO_LARGE,
    /** The budget or the memory is used up. */
    FRAMING_NO_ROOM,
    /** The message cannot be decompressed. Only from an inbox, as the next one. */
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

/**
 * Takes bytes off the front of `input` up to the end of the next message.
 *
 * @param ret_message  On FRAMING_MESSAGE the message without its prefix: inside the input where it is
 *                     whole there, else inside `framing`, until the next call. On FRAMING_TOO_LARGE only its
 *                     length, as stated.
 */
enum framing_state framing_next(struct framing *framing, struct span *input, struct span *ret_message);

/** Did the input end inside a message? */
bool framing_is_inside(const struct framing *framing);

void framing_finish(struct framing *framing);

/** What is wrong with a message that was expanded; FRAMING_MESSAGE: nothing. */
enum framing_state framing_state_of(enum codec_result result);

/** Writes the prefix of a message. */
void framing_write_prefix(unsigned char prefix[FRAMING_PREFIX], bool is_compressed, uint32_t length);

/** Input of one call. All zero with `framing.budget` and its limit set is fresh. */
struct inbox {
    struct framing framing;
    /** Decompresses messages, if `framing.takes_compressed`. */
    struct codec *codec;
    enum coding coding;
    /** Raw input received while paused. */
    struct buffer held;
    size_t held_offset;
    bool is_paused;

    /** Only one message is due: it is kept until there is another one, or the end. */
    bool takes_one;
    /** No input follows the present one. */
    bool is_ending;
    /** Of the message that is being given out: nothing follows it. */
    bool is_last;
    bool is_keeping;
    struct span kept;
};

/** @return false: deliver no further message. */
typedef bool (*inbox_deliver)(void *context, const void *message, size_t length);

/**
 * Takes input, after what is held, and delivers each complete message unless paused, also when `deliver`
 * pauses or resumes.
 *
 * @param ret_eaten  How many bytes, held ones included, are done with: the peer may send as many more. Always
 *                   written; where something is wrong, all of `bytes` are.
 * @param ret_bad    The message that FRAMING_TOO_LARGE and FRAMING_TOO_LARGE_EXPANDED speak of.
 * @return FRAMING_MORE while all is well, otherwise what is wrong with the input.
 */
enum framing_state inbox_take(struct inbox *inbox, const void *bytes, size_t length, inbox_deliver deliver,
                              void *context, size_t *ret_eaten, struct span *ret_bad);

/** Holds a whole message behind those already held. @return false without memory or budget. */
bool inbox_hold(struct inbox *inbox, const void *message, size_t length);

size_t inbox_held_bytes(const struct inbox *inbox);

/** Is something held that could be given out if it were not paused? */
bool inbox_is_holding(const struct inbox *inbox);

/** @return how many bytes were held. */
size_t inbox_finish(struct inbox *inbox);

#endif
