/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input of one call: split into length-prefixed messages, without copying those that arrive in one piece, and
 * held back while the call is paused.
 */
#include "inbox.h"

#include <string.h>

static enum framing_state check_prefix(struct framing *framing, const unsigned char *prefix,
                                       struct span *ret_message)
{
    uint32_t length = (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 |
                      (uint32_t)prefix[4];

    if (prefix[0] > 1)
        return FRAMING_BAD_FLAG;
    *ret_message = (struct span){.length = length};
    if (length > framing->max_message_bytes)
        return FRAMING_TOO_LARGE;
    framing->was_compressed = prefix[0] == 1;
    return framing->was_compressed && !framing->takes_compressed ? FRAMING_COMPRESSED : FRAMING_MESSAGE;
}

static void eat(struct span *input, size_t length)
{
    input->bytes += length;
    input->length -= length;
}

/* `whole` is how long `partial` is to become; what of that the input has is moved. */
static bool fill(struct framing *framing, struct span *input, size_t whole)
{
    size_t more = whole - framing->partial.length;

    if (more > input->length)
        more = input->length;
    if (more == 0)
        return true;
    if (!buffer_reserve(&framing->partial, more, whole, framing->budget))
        return false;
    memcpy(framing->partial.bytes + framing->partial.length, input->bytes, more);
    framing->partial.length += more;
    eat(input, more);
    return true;
}

static enum framing_state next_in_partial(struct framing *framing, struct span *input,
                                          struct span *ret_message)
{
    struct buffer *partial = &framing->partial;
    enum framing_state state;
    size_t whole;

    if (partial->length < FRAMING_PREFIX && !fill(framing, input, FRAMING_PREFIX))
        return FRAMING_NO_ROOM;
    if (partial->length < FRAMING_PREFIX)
        return FRAMING_MORE;
    state = check_prefix(framing, partial->bytes, ret_message);
    if (state != FRAMING_MESSAGE)
        return state;
    whole = FRAMING_PREFIX + ret_message->length;
    if (!fill(framing, input, whole))
        return FRAMING_NO_ROOM;
    if (partial->length < whole)
        return FRAMING_MORE;
    ret_message->bytes = partial->bytes + FRAMING_PREFIX;
    framing->is_given = true;
    return FRAMING_MESSAGE;
}

enum framing_state framing_next(struct framing *framing, struct span *input, struct span *ret_message)
{
    enum framing_state state;

    if (framing->is_given) {
        framing->partial.length = 0;
        framing->is_given = false;
    }
    if (framing->partial.length > 0 || input->length < FRAMING_PREFIX)
        return input->length == 0 ? FRAMING_MORE : next_in_partial(framing, input, ret_message);
    state = check_prefix(framing, input->bytes, ret_message);
    if (state != FRAMING_MESSAGE)
        return state;
    if (input->length - FRAMING_PREFIX < ret_message->length)
        return next_in_partial(framing, input, ret_message);
    ret_message->bytes = input->bytes + FRAMING_PREFIX;
    eat(input, FRAMING_PREFIX + ret_message->length);
    return FRAMING_MESSAGE;
}

/* Keeps the message that was given out last, in memory of its own; the next framing_next forgets it. @return
 * false without memory or budget. */
static bool keep(struct framing *framing, struct span *message)
{
    struct buffer *partial = &framing->partial;

    if (framing->is_given)
        return true;
    if (!buffer_reserve(partial, message->length, message->length, framing->budget))
        return false;
    if (message->length > 0)
        memcpy(partial->bytes, message->bytes, message->length);
    partial->length = message->length;
    framing->is_given = true;
    message->bytes = partial->bytes;
    return true;
}

bool framing_is_inside(const struct framing *framing)
{
    return framing->partial.length > 0 && !framing->is_given;
}

void framing_finish(struct framing *framing)
{
    buffer_finish(&framing->partial, framing->budget);
}

void framing_write_prefix(unsigned char prefix[FRAMING_PREFIX], bool is_compressed, uint32_t length)
{
    prefix[0] = is_compressed;
    prefix[1] = (unsigned char)(length >> 24);
    prefix[2] = (unsigned char)(length >> 16);
    prefix[3] = (unsigned char)(length >> 8);
    prefix[4] = (unsigned char)length;
}

enum framing_state framing_state_of(enum codec_result result)
{
    switch (result) {
    case CODEC_DONE:
        break;
    case CODEC_BROKEN:
        return FRAMING_BROKEN;
    case CODEC_TOO_LARGE:
        return FRAMING_TOO_LARGE_EXPANDED;
    case CODEC_NO_ROOM:
        return FRAMING_NO_ROOM;
    }
    return FRAMING_MESSAGE;
}

/* @return FRAMING_MESSAGE; FRAMING_MORE if the call accepts no further message; or what is wrong with it. */
static enum framing_state deliver_expanded(struct inbox *inbox, const struct span *message,
                                           inbox_deliver deliver, void *context)
{
    struct codec *codec = inbox->codec;
    const void *plain = NULL;
    size_t length = 0;
    enum framing_state state =
        framing_state_of(codec_expand(codec, inbox->coding, message->bytes, message->length,
                                      inbox->framing.max_message_bytes, &plain, &length));

    if (state != FRAMING_MESSAGE)
        return state;
    if (!deliver(context, plain, length))
        state = FRAMING_MORE;
    codec_release_plain(codec);
    return state;
}

static enum framing_state deliver_one(struct inbox *inbox, const struct span *message, inbox_deliver deliver,
                                      void *context)
{
    if (inbox->framing.was_compressed)
        return deliver_expanded(inbox, message, deliver, context);
    return deliver(context, message->bytes, message->length) ? FRAMING_MESSAGE : FRAMING_MORE;
}

/* @return FRAMING_MESSAGE if it was given out or kept, and there may be another one. */
static enum framing_state give_or_keep(struct inbox *inbox, struct span *message, bool more_follows,
                                       inbox_deliver deliver, void *context)
{
    inbox->is_last = inbox->is_ending && !more_follows;
    if (!inbox->takes_one || more_follows || inbox->is_last)
        return deliver_one(inbox, message, deliver, context);
    if (!keep(&inbox->framing, message))
        return FRAMING_NO_ROOM;
    inbox->is_keeping = true;
    inbox->kept = *message;
    return FRAMING_MESSAGE;
}

/*
 * @param more_behind  More than the input follows.
 * @return FRAMING_MORE; FRAMING_MESSAGE if the call accepts no further one and the rest is dropped; or
 * what is wrong.
 */
static enum framing_state give_out(struct inbox *inbox, struct span *input, bool more_behind,
                                   inbox_deliver deliver, void *context, struct span *ret_bad)
{
    while (!inbox->is_paused) {
        struct span message = inbox->kept;
        enum framing_state state = FRAMING_MESSAGE;

        if (!inbox->is_keeping)
            state = framing_next(&inbox->framing, input, &message);
        else if (input->length == 0 && !inbox->is_ending)
            return FRAMING_MORE;
        inbox->is_keeping = false;
        if (state == FRAMING_MORE)
            return state;
        if (state == FRAMING_MESSAGE) {
            state = give_or_keep(inbox, &message, more_behind || input->length > 0, deliver, context);
            if (state == FRAMING_MORE) {
                input->length = 0;
                return FRAMING_MESSAGE;
            }
        }
        if (state != FRAMING_MESSAGE) {
            *ret_bad = message;
            return state;
        }
    }
    return FRAMING_MORE;
}

static size_t held_length(const struct inbox *inbox)
{
    return inbox->held.length - inbox->held_offset;
}

static enum framing_state take_held(struct inbox *inbox, bool more_behind, inbox_deliver deliver,
                                    void *context, size_t *ret_eaten, struct span *ret_bad)
{
    struct span input = {inbox->held.bytes + inbox->held_offset, held_length(inbox)};
    size_t before = input.length;
    enum framing_state state = give_out(inbox, &input, more_behind, deliver, context, ret_bad);

    *ret_eaten = before - input.length;
    inbox->held_offset += before - input.length;
    if (held_length(inbox) == 0) {
        buffer_finish(&inbox->held, inbox->framing.budget);
        inbox->held_offset = 0;
    }
    return state;
}

/*
 * Delivered bytes are dropped once they outnumber the rest, so that the buffer stays within twice a window.
 */
static bool hold(struct inbox *inbox, const struct span *input)
{
    struct buffer *held = &inbox->held;

    if (inbox->held_offset > held_length(inbox)) {
        memmove(held->bytes, held->bytes + inbox->held_offset, held_length(inbox));
        held->length -= inbox->held_offset;
        inbox->held_offset = 0;
    }
    return buffer_append(held, input->bytes, input->length, inbox->framing.budget);
}

enum framing_state inbox_take(struct inbox *inbox, const void *bytes, size_t length, inbox_deliver deliver,
                              void *context, size_t *ret_eaten, struct span *ret_bad)
{
    struct span input = {bytes, length};
    enum framing_state state = FRAMING_MORE;
    size_t kept;

    *ret_eaten = 0;
    if (held_length(inbox) > 0)
        state = take_held(inbox, length > 0, deliver, context, ret_eaten, ret_bad);
    if (state == FRAMING_MORE && held_length(inbox) == 0)
        state = give_out(inbox, &input, false, deliver, context, ret_bad);
    kept = state == FRAMING_MORE ? input.length : 0;
    if (kept > 0 && !hold(inbox, &input)) {
        state = FRAMING_NO_ROOM;
        kept = 0;
    }
    *ret_eaten += length - kept;
    return state == FRAMING_MESSAGE ? FRAMING_MORE : state;
}

bool inbox_hold(struct inbox *inbox, const void *message, size_t length)
{
    unsigned char prefix[FRAMING_PREFIX];
    const struct span head = {prefix, sizeof(prefix)};
    const struct span body = {message, length};

    framing_write_prefix(prefix, false, (uint32_t)length);
    if (!buffer_reserve(&inbox->held, sizeof(prefix) + length, SIZE_MAX, inbox->framing.budget))
        return false;
    return hold(inbox, &head) && hold(inbox, &body);
}

size_t inbox_held_bytes(const struct inbox *inbox)
{
    return held_length(inbox);
}

bool inbox_is_holding(const struct inbox *inbox)
{
    return held_length(inbox) > 0 || inbox->is_keeping;
}

size_t inbox_finish(struct inbox *inbox)
{
    size_t held = held_length(inbox);

    inbox->is_keeping = false;
    framing_finish(&inbox->framing);
    buffer_finish(&inbox->held, inbox->framing.budget);
    inbox->held_offset = 0;
    return held;
}
