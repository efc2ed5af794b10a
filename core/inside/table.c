/* SPDX-License-Identifier: Apache-2.0 */
/* What the functions of a host table share that is made of packets. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>

struct inside *table_on_loop(const struct berth_host *table, const char *function, struct berth_error *err)
{
    struct inside *inside = table_of(table);
    char text[160];

    if (pthread_equal(pthread_self(), inside->process->thread)) {
        if (!inside->is_over)
            return inside;
        berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s called %s after it was closed", table->uri,
                        function);
        return NULL;
    }
    snprintf(text, sizeof(text), "called %s from a thread other than the loop's; ignored: use berth_post",
             function);
    log_say(inside, BERTH_LOG_WARN, text);
    berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s %s", table->uri, text);
    return NULL;
}

struct packet_writer *table_begin_question(struct inside *inside, enum ask_kind kind)
{
    struct packet_writer *writer = table_begin(inside, PACKET_ASK);

    packet_put_u32(writer, ++inside->questions);
    packet_put_u8(writer, (uint8_t)kind);
    return writer;
}

enum berth_code table_ask(struct inside *inside, struct packet_reader *ret_answer, struct berth_error *err)
{
    struct packet_reader reader;
    struct packet packet;
    const char *message;
    uint32_t code;

    if (inside->is_over) {
        /* Nobody would answer. */
        inside->process->channel.out.length = inside->process->channel.out.start;
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s is closed", inside->table.uri);
    }
    packet_end(&inside->process->channel.out);
    free(inside->answer);
    inside->answer = NULL;
    if (!channel_await(&inside->process->channel, PACKET_ANSWER, &packet, &inside->answer))
        return berth_error_set(err, BERTH_UNAVAILABLE, "the daemon is gone");
    packet_reader_init(&reader, &packet);
    if (packet.plugin != inside->number || packet_get_u32(&reader) != inside->questions)
        reader.is_bad = true;
    code = packet_get_u32(&reader);
    message = packet_get_text(&reader);
    if (reader.is_bad || code > BERTH_UNAUTHENTICATED) {
        channel_break(&inside->process->channel, "answered another request");
        return berth_error_set(err, BERTH_INTERNAL, "malformed answer from the daemon");
    }
    if (ret_answer != NULL)
        *ret_answer = reader;
    return code == BERTH_OK ? BERTH_OK : berth_error_set(err, (enum berth_code)code, "%s", message);
}
