/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts a stream of bytes into gRPC's length-prefixed messages, without copying those that come in one piece.
 */
#include "framing.h"

#include <string.h>

static enum framing_state check_prefix(struct framing *framing, const unsigned char *prefix,
                                       struct framing_span *ret_message)
{
    uint32_t length = (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 |
                      (uint32_t)prefix[4];

    if (prefix[0] > 1)
        return FRAMING_BAD_FLAG;
    *ret_message = (struct framing_span){.length = length};
    if (length > framing->max_message_bytes)
        return FRAMING_TOO_LARGE;
    framing->was_compressed = prefix[0] == 1;
    return framing->was_compressed && !framing->takes_compressed ? FRAMING_COMPRESSED : FRAMING_MESSAGE;
}

static void eat(struct framing_span *input, size_t length)
{
    input->bytes += length;
    input->length -= length;
}

/* `whole` is how long `partial` is to become; what of that the input has is moved. */
static bool fill(struct framing *framing, struct framing_span *input, size_t whole)
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

static enum framing_state next_in_partial(struct framing *framing, struct framing_span *input,
                                          struct framing_span *ret_message)
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

enum framing_state framing_next(struct framing *framing, struct framing_span *input,
                                struct framing_span *ret_message)
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

bool framing_keep(struct framing *framing, struct framing_span *message)
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
