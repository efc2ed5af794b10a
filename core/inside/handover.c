/* SPDX-License-Identifier: Apache-2.0 */
/* Other settings in place, and the state that one generation hands to the next. */
#include "handover.h"

#include <stdlib.h>
#include <string.h>

#include "prepare.h"

/* Of a state that is saved: what one packet has, and what may wait for the daemon to read it. */
#define PIECE (256u << 10)
#define QUEUED_MAX (1u << 20)

/* Settings */

static enum berth_code apply(struct inside *inside, const struct berth_settings *before,
                             struct berth_error *err)
{
    char reason[BERTH_ERROR_MAX] = "";

    if (!prepare_check(inside, reason, sizeof(reason)))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s", reason);
    if (!BERTH_HAS(inside->plugin, reconfigure))
        return berth_error_set(err, BERTH_RESTART, "it does not take settings in place");
    return inside->plugin->reconfigure(&inside->table, inside->instance, before, err);
}

static enum berth_code reconfigure(struct inside *inside, struct packet_reader *reader,
                                   struct berth_error *err)
{
    const struct berth_settings *before = inside->table.settings;
    struct carried *settings = carried_read(reader);
    enum berth_code code;

    if (settings == NULL || reader->is_bad) {
        carried_destroy(settings);
        reader->is_bad = true;
        return BERTH_INTERNAL;
    }
    inside->table.settings = carried_settings(settings);
    code = apply(inside, before, err);
    if (code == BERTH_OK) {
        /* Those that it started with live as long as the process. */
        carried_destroy(inside->settings);
        inside->settings = settings;
    } else {
        inside->table.settings = before;
        carried_destroy(settings);
    }
    return code;
}

/* State */

struct saving {
    struct berth_state_writer table;
    struct inside *inside;
    uint8_t *piece;
    size_t length, total;
};

static void send_piece(struct saving *saving)
{
    struct packet_writer *writer = table_begin(saving->inside, PACKET_STATE);

    packet_put_raw(writer, saving->piece, saving->length);
    packet_end(writer);
    saving->length = 0;
    if (channel_queued(&saving->inside->process->channel) > QUEUED_MAX)
        channel_send_all(&saving->inside->process->channel);
}

static enum berth_code write_state(const struct berth_state_writer *table, const void *bytes, size_t length,
                                   struct berth_error *err)
{
    struct saving *saving = CONTAINER_OF(table, struct saving, table);

    /* As the daemon says it. */
    if (length > BERTH_STATE_MAX - saving->total)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "the state has more than %u bytes",
                               BERTH_STATE_MAX);
    saving->total += length;
    for (const uint8_t *at = bytes; length > 0;) {
        size_t part = length < PIECE - saving->length ? length : PIECE - saving->length;

        memcpy(saving->piece + saving->length, at, part);
        saving->length += part;
        at += part;
        length -= part;
        if (saving->length == PIECE)
            send_piece(saving);
    }
    return BERTH_OK;
}

static enum berth_code save(struct inside *inside, struct berth_error *err)
{
    struct saving saving = {{sizeof(saving.table), write_state}, .inside = inside, .piece = malloc(PIECE)};
    enum berth_code code;

    if (saving.piece == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the state");
    code = BERTH_HAS(inside->plugin, save_state)
               ? inside->plugin->save_state(&inside->table, inside->instance, &saving.table, err)
               : BERTH_OK;
    if (saving.length > 0)
        send_piece(&saving);
    free(saving.piece);
    return code;
}

/* Asks for all of it, piece by piece. */
static enum berth_code fetch(struct inside *inside, uint8_t *state, size_t length, struct berth_error *err)
{
    for (size_t got = 0; got < length;) {
        struct packet_reader answer;
        enum berth_code code;

        table_begin_question(inside, ASK_STATE);
        code = table_ask(inside, &answer, err);
        if (code != BERTH_OK)
            return code;
        if (answer.left == 0 || answer.left > length - got)
            return berth_error_set(err, BERTH_INTERNAL, "malformed state from the daemon");
        memcpy(state + got, answer.at, answer.left);
        got += answer.left;
    }
    return BERTH_OK;
}

static enum berth_code load(struct inside *inside, struct packet_reader *reader, struct berth_error *err)
{
    uint32_t version = packet_get_u32(reader), length = packet_get_u32(reader);
    enum berth_code code;
    uint8_t *state;

    if (length > BERTH_STATE_MAX)
        reader->is_bad = true;
    if (reader->is_bad)
        return BERTH_INTERNAL;
    state = malloc((size_t)length + 1);
    if (state == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the state");
    code = fetch(inside, state, length, err);
    if (code == BERTH_OK && BERTH_HAS(inside->plugin, load_state))
        code = inside->plugin->load_state(&inside->table, inside->instance, version, state, length, err);
    free(state);
    return code;
}

enum berth_code handover_take(struct inside *inside, enum handover_step step, struct packet_reader *reader,
                              struct berth_error *err)
{
    enum berth_code code = BERTH_INTERNAL;

    err->message[0] = '\0';
    switch (step) {
    case HANDOVER_RECONFIGURE:
        code = reconfigure(inside, reader, err);
        break;
    case HANDOVER_SAVE:
        code = save(inside, err);
        break;
    case HANDOVER_LOAD:
        code = load(inside, reader, err);
        break;
    }
    if (reader->is_bad)
        channel_break(&inside->process->channel, "sent settings or a state that cannot be read");
    err->message[sizeof(err->message) - 1] = '\0';
    /* None of these may be pending. */
    return (int)code == BERTH_PENDING ? BERTH_UNKNOWN : code;
}
