/* SPDX-License-Identifier: Apache-2.0 */
/* Drops or corrects frames of a client for which nghttp2 would end a connection that other servers keep. */
#include "framer.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

#define HEAD_LENGTH 9
#define ID_MASK 0x7fffffffu

enum verdict {
    VERDICT_PASS,
    VERDICT_DROP,
    VERDICT_DROP_IDLE,
    /** Passes with a last stream of 0. */
    VERDICT_MEND,
    /** Passes, and is pointed out. */
    VERDICT_LATE,
};

void framer_init(struct framer *framer)
{
    *framer = (struct framer){.passing = NGHTTP2_CLIENT_MAGIC_LEN};
}

static uint32_t payload_length(const uint8_t *head)
{
    return (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
}

/* A stream's number; its first bit is reserved (RFC 9113 4.1). */
static int32_t read_id(const uint8_t *bytes)
{
    return (int32_t)(((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
                      (uint32_t)bytes[3]) &
                     ID_MASK);
}

/* How much of a frame must be present before it is judged, as far as the first `length` bytes show. */
static size_t needed(const uint8_t *head, size_t length)
{
    if (length < HEAD_LENGTH)
        return HEAD_LENGTH;
    if ((head[3] == NGHTTP2_PRIORITY || head[3] == NGHTTP2_GOAWAY) &&
        payload_length(head) >= FRAMER_HEAD_MAX - HEAD_LENGTH)
        return FRAMER_HEAD_MAX;
    return HEAD_LENGTH;
}

static bool is_idle(const struct framer *framer, int32_t id)
{
    return framer->last_id > 0 && id % 2 == 1 && id > framer->last_id;
}

static enum framer_end recall(const struct framer *framer, int32_t id)
{
    for (size_t i = 0; i < FRAMER_ENDED_MAX; i++) {
        if (framer->ended[i] == id)
            return FRAMER_END_STREAM;
        if (framer->ended[i] == -id)
            return FRAMER_END_RESET;
    }
    return FRAMER_END_UNKNOWN;
}

static void remember(struct framer *framer, int32_t id, enum framer_end end)
{
    if (id == 0 || recall(framer, id) != FRAMER_END_UNKNOWN)
        return;
    framer->ended[framer->oldest_ended] = end == FRAMER_END_RESET ? -id : id;
    framer->oldest_ended = (framer->oldest_ended + 1) % FRAMER_ENDED_MAX;
}

static enum verdict judge(const struct framer *framer, const uint8_t *head)
{
    uint32_t length = payload_length(head);
    int32_t id = read_id(head + 5);

    if (framer->is_in_block || !framer->has_begun)
        return VERDICT_PASS;
    switch (head[3]) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        return id > 0 && recall(framer, id) != FRAMER_END_UNKNOWN ? VERDICT_LATE : VERDICT_PASS;
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_WINDOW_UPDATE:
        return length == 4 && is_idle(framer, id) ? VERDICT_DROP_IDLE : VERDICT_PASS;
    case NGHTTP2_PRIORITY:
        if (length != 5 || id == 0 || (framer->last_id == 0 && read_id(head + HEAD_LENGTH) == id))
            return VERDICT_PASS;
        return VERDICT_DROP;
    case NGHTTP2_GOAWAY:
        return length >= 8 && id == 0 ? VERDICT_MEND : VERDICT_PASS;
    default:
        return VERDICT_PASS;
    }
}

/* Takes note of a frame; what of it is behind `taken` bytes has not come. */
static void begin(struct framer *framer, const uint8_t *head, enum verdict verdict, size_t taken)
{
    bool ends_block = (head[4] & NGHTTP2_FLAG_END_HEADERS) != 0;
    uint32_t left = HEAD_LENGTH + payload_length(head) - (uint32_t)taken;
    int32_t id = read_id(head + 5);

    if (!framer->is_in_block)
        framer->frames++;
    framer->has_begun = true;
    if (verdict == VERDICT_DROP || verdict == VERDICT_DROP_IDLE) {
        framer->dropped++;
        framer->dropped_idle += verdict == VERDICT_DROP_IDLE;
        framer->dropping = left;
        return;
    }
    framer->passing = left;
    if (head[3] == NGHTTP2_RST_STREAM)
        remember(framer, id, FRAMER_END_RESET);
    if ((head[3] == NGHTTP2_DATA || head[3] == NGHTTP2_HEADERS) && (head[4] & NGHTTP2_FLAG_END_STREAM) != 0)
        remember(framer, id, FRAMER_END_STREAM);
    if (head[3] == NGHTTP2_HEADERS) {
        framer->is_in_block = !ends_block;
        if (id % 2 == 1 && id > framer->last_id)
            framer->last_id = id;
    } else if (head[3] == NGHTTP2_CONTINUATION && ends_block) {
        framer->is_in_block = false;
    }
}

/*
 * A head that did not come in one piece, or is not to pass as it is.
 * @return how many bytes of it pass, in framer->head; 0 if the rest has not come, or it is dropped.
 */
static size_t take_head(struct framer *framer, const uint8_t **bytes, size_t *length)
{
    enum verdict verdict;
    size_t taken;

    while (*length > 0 && framer->held < needed(framer->head, framer->held)) {
        framer->head[framer->held++] = *(*bytes)++;
        --*length;
    }
    taken = framer->held;
    if (taken < needed(framer->head, taken))
        return 0;
    framer->held = 0;
    verdict = judge(framer, framer->head);
    if (verdict == VERDICT_LATE) {
        framer->late_id = read_id(framer->head + 5);
        framer->late_end = recall(framer, framer->late_id);
    }
    begin(framer, framer->head, verdict, taken);
    if (verdict == VERDICT_DROP || verdict == VERDICT_DROP_IDLE)
        return 0;
    if (verdict == VERDICT_MEND)
        memset(framer->head + HEAD_LENGTH, 0, FRAMER_HEAD_MAX - HEAD_LENGTH);
    return taken;
}

/* @return the end of what passes as it is. */
static const uint8_t *pass(struct framer *framer, const uint8_t *at, const uint8_t *end)
{
    for (;;) {
        size_t left = (size_t)(end - at);
        size_t passing = framer->passing < left ? framer->passing : left;

        at += passing;
        left -= passing;
        framer->passing -= (uint32_t)passing;
        if (left < HEAD_LENGTH || left < needed(at, left) || judge(framer, at) != VERDICT_PASS)
            return at;
        begin(framer, at, VERDICT_PASS, 0);
    }
}

size_t framer_next(struct framer *framer, const uint8_t **bytes, size_t *length, const uint8_t **ret_run)
{
    const uint8_t *end = *bytes + *length;

    framer->late_id = 0;
    while (*bytes < end) {
        size_t dropping = framer->dropping < *length ? framer->dropping : *length;
        const uint8_t *run = *bytes + dropping;

        framer->dropping -= (uint32_t)dropping;
        *bytes = framer->held > 0 ? run : pass(framer, run, end);
        *length = (size_t)(end - *bytes);
        if (*bytes > run) {
            *ret_run = run;
            return (size_t)(*bytes - run);
        }
        dropping = take_head(framer, bytes, length);
        if (dropping > 0) {
            *ret_run = framer->head;
            return dropping;
        }
    }
    return 0;
}

uint64_t framer_unfinished(const struct framer *framer)
{
    if (framer->is_in_block || framer->passing > 0 || framer->dropping > 0)
        return framer->frames;
    return framer->held > 0 ? framer->frames + 1 : 0;
}
