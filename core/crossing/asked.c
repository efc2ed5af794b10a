/* SPDX-License-Identifier: Apache-2.0 */
/* Hands each question of a worker to the file of its kind, and sends the answer. */
#include "asked.h"

#include "kinds.h"

static asked_function *const functions[] = {
    [ASK_GET] = asked_get,
    [ASK_GET_SINGLE] = asked_get_single,
    [ASK_EACH] = asked_each,
    [ASK_EMIT] = asked_emit,
    [ASK_PUBLISH] = asked_publish,
    [ASK_FORWARD] = asked_forward,
    [ASK_SUBSCRIBE] = asked_subscribe,
    [ASK_UNSUBSCRIBE] = asked_unsubscribe,
    [ASK_STORE] = asked_store,
    [ASK_METRIC] = asked_metric,
    [ASK_SERIES] = asked_series,
    [ASK_REMOVE_SERIES] = asked_remove_series,
    [ASK_STATE] = asked_state,
    [ASK_HTTP_BEGIN] = asked_http_begin,
    [ASK_SPAN] = asked_span,
};

static void send_answer(struct crossing *crossing, uint32_t number, enum berth_code code,
                        const struct berth_error *error, const struct packet_writer *answer)
{
    struct packet_writer *writer = channel_write(crossing->channel, crossing->number);

    packet_begin(writer, PACKET_ANSWER, 0, 0);
    packet_put_u32(writer, number);
    packet_put_u32(writer, (uint32_t)code);
    packet_put_text(writer, code != BERTH_OK ? error->message : "");
    if (code == BERTH_OK)
        packet_put_raw(writer, answer->bytes, answer->length);
    packet_end(writer);
    crossing->used.answered_at = crossing->channel->sent + channel_queued(crossing->channel);
}

void asked_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    uint32_t number = packet_get_u32(reader);
    uint8_t kind = packet_get_u8(reader);
    struct berth_error error = {.message = ""};
    struct packet_writer answer = {0};
    enum berth_code code;

    if (reader->is_bad || kind >= sizeof(functions) / sizeof(functions[0])) {
        channel_break(crossing->channel, "sent an unknown request");
        return;
    }
    /* An answer that has not been sent cannot have been read. This also bounds what answers may take. */
    if (crossing->channel->sent < crossing->used.answered_at) {
        channel_break(crossing->channel, "sent a request before the previous one was answered");
        return;
    }
    code = functions[kind](crossing, reader, &answer, &error);
    if (reader->is_bad) {
        channel_break(crossing->channel, "sent a malformed request");
    } else {
        if (answer.is_bad)
            code = berth_error_set(&error, BERTH_RESOURCE_EXHAUSTED, "out of memory for the answer");
        send_answer(crossing, number, code, &error, &answer);
    }
    packet_writer_finish(&answer);
}
