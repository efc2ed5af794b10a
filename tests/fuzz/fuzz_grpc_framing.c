/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a call, cut and paused at will, compressed or not: the messages must be those of the bytes in one
 * piece.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/rpc/message/inbox.h>

#define LIMIT 4096
#define HEARD_MAX (512 * 1024)
/* Of what may expand, so that it fits. */
#define COMPRESSED_MAX 2048
#define BUDGET (1 << 20)

struct heard {
    struct inbox *inbox;
    unsigned char *bytes;
    size_t length;
    bool pauses;
};

static bool on_message(void *context, const void *message, size_t length)
{
    struct heard *heard = context;

    assert(length <= LIMIT && heard->length + length + 1 <= HEARD_MAX);
    if (length > 0)
        memcpy(heard->bytes + heard->length, message, length);
    heard->length += length;
    heard->bytes[heard->length++] = '|';
    if (heard->pauses)
        heard->inbox->is_paused = true;
    return true;
}

static enum framing_state take_all(struct inbox *inbox, struct heard *heard, const uint8_t *data,
                                   size_t length, size_t step)
{
    enum framing_state state = FRAMING_MORE;
    struct span bad;
    size_t eaten;

    for (size_t at = 0; at < length && state == FRAMING_MORE; at += step)
        state = inbox_take(inbox, data + at, length - at < step ? length - at : step, on_message, heard,
                           &eaten, &bad);
    while (state == FRAMING_MORE && inbox_is_holding(inbox)) {
        inbox->is_paused = false;
        state = inbox_take(inbox, NULL, 0, on_message, heard, &eaten, &bad);
    }
    return state;
}

static struct heard listen_to(const uint8_t *data, size_t length, size_t step, bool pauses,
                              enum coding coding, enum framing_state *ret_state)
{
    static struct codec codec;
    struct budget budget = {.limit = BUDGET};
    struct inbox inbox = {.framing = {.budget = &budget,
                                      .max_message_bytes = LIMIT,
                                      .takes_compressed = coding != CODING_IDENTITY},
                          .codec = &codec,
                          .coding = coding};
    struct heard heard = {.inbox = &inbox, .bytes = malloc(HEARD_MAX), .pauses = pauses};

    assert(heard.bytes != NULL);
    *ret_state = take_all(&inbox, &heard, data, length, step);
    inbox_finish(&inbox);
    assert(budget.used == 0 && codec.plain.capacity <= CODEC_PLAIN_KEPT);
    return heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum framing_state whole_state;
    enum framing_state cut_state;
    struct heard whole;
    struct heard cut;
    enum coding coding;

    if (size < 2 || size > 64 * 1024)
        return 0;
    coding = (data[1] >> 1 & 3) < CODINGS_KNOWN ? (enum coding)(data[1] >> 1 & 3) : CODING_IDENTITY;
    if (coding != CODING_IDENTITY && size > COMPRESSED_MAX)
        return 0;
    whole = listen_to(data + 2, size - 2, size, false, coding, &whole_state);
    cut = listen_to(data + 2, size - 2, (size_t)data[0] + 1, (data[1] & 1) != 0, coding, &cut_state);
    assert(whole_state == cut_state);
    assert(whole.length == cut.length && memcmp(whole.bytes, cut.bytes, whole.length) == 0);
    free(whole.bytes);
    free(cut.bytes);
    return 0;
}
