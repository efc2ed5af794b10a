/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state that an upgrade hands from one generation to the next: what a worker saves comes in pieces, and
 * what it loads it asks for in pieces, so that the daemon never has more of it than once.
 */
#include "asked.h"
#include "kinds.h"

#define PIECE (1u << 20)

void crossing_save(struct crossing *crossing, const struct berth_state_writer *writer)
{
    crossing->state.writer = writer;
    crossing->state.error.message[0] = '\0';
    crossing->state.code = BERTH_OK;
}

void crossing_load(struct crossing *crossing, const void *bytes, size_t length)
{
    crossing->state.bytes = bytes;
    crossing->state.left = length;
}

enum berth_code crossing_end_state(struct crossing *crossing, const char **ret_message)
{
    enum berth_code code = crossing->state.writer != NULL ? crossing->state.code : BERTH_OK;

    crossing->state.writer = NULL;
    crossing->state.left = 0;
    if (code != BERTH_OK)
        *ret_message = crossing->state.error.message;
    return code;
}

/* What cannot be kept is dropped; its end says why. */
void state_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    if (crossing->state.writer == NULL) {
        channel_break(crossing->channel, "sent state that it was not asked for");
        return;
    }
    if (crossing->state.code == BERTH_OK)
        crossing->state.code = crossing->state.writer->write(crossing->state.writer, packet->body,
                                                             packet->length, &crossing->state.error);
}

enum berth_code asked_state(struct crossing *crossing, struct packet_reader *reader,
                            struct packet_writer *answer, struct berth_error *err)
{
    size_t length = crossing->state.left < PIECE ? crossing->state.left : PIECE;

    if (length == 0) {
        reader->is_bad = true;
        return BERTH_INVALID_ARGUMENT;
    }
    packet_put_raw(answer, crossing->state.bytes, length);
    crossing->state.bytes += length;
    crossing->state.left -= length;
    return BERTH_OK;
}
