/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_INBOX_H
#define RPC_MESSAGE_INBOX_H

#include "codec.h"
#include "framing.h"

/** What came in for one call. All zero with `framing.budget` and its limit set is fresh. */
struct inbox {
    struct framing framing;
    /** What expands messages, where `framing.takes_compressed`. */
    struct codec *codec;
    enum coding coding;
    /** What came while paused, as it came. */
    struct buffer held;
    size_t held_offset;
    bool is_paused;

    /** Only one message is due: it is kept until there is another one, or the end. */
    bool takes_one;
    /** Nothing follows what is being taken. */
    bool is_ending;
    /** Of the message that is being given out: nothing follows it. */
    bool is_last;
    bool is_keeping;
    struct framing_span kept;
};

/** @return false: the call takes no further message. */
typedef bool (*inbox_deliver)(void *context, const void *message, size_t length);

/**
 * Takes what came, behind what is held, and gives each whole message out unless paused, also when `deliver`
 * pauses or resumes.
 *
 * @param ret_eaten  How many bytes, held ones included, are done with: the peer may send as many more. Always
 *                   written.
 * @param ret_bad    The message that FRAMING_TOO_LARGE and FRAMING_TOO_LARGE_EXPANDED speak of.
 * @return FRAMING_MORE while all is well, otherwise what is wrong with the input.
 */
enum framing_state inbox_take(struct inbox *inbox, const void *bytes, size_t length, inbox_deliver deliver,
                              void *context, size_t *ret_eaten, struct framing_span *ret_bad);

/** Holds a whole message behind what is held. @return false without memory or budget. */
bool inbox_hold(struct inbox *inbox, const void *message, size_t length);

size_t inbox_held_bytes(const struct inbox *inbox);

/** Is something held that could be given out if it were not paused? */
bool inbox_is_holding(const struct inbox *inbox);

/** @return how many bytes were held. */
size_t inbox_finish(struct inbox *inbox);

#endif
