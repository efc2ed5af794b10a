/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of ttrpc's own tests of its streams, which gRPC carries as well. */
#include <stdio.h>
#include <string.h>

#include <streaming.pb-c.h>

#include "cases.h"

#define STREAMING "/ttrpc.integration.streaming.Streaming/"

static struct exchange *start(struct peer *peer, const char *path, enum berth_method_kind kind,
                              const ProtobufCMessageDescriptor *reply_type)
{
    return exchange_start(peer,
                          &(struct exchange_options){.path = path, .kind = kind, .reply_type = reply_type});
}

static bool send_echo(struct exchange *exchange, uint32_t sequence, const char *text)
{
    Ttrpc__Integration__Streaming__EchoPayload request = TTRPC__INTEGRATION__STREAMING__ECHO_PAYLOAD__INIT;

    request.seq = sequence;
    request.msg = (char *)text;
    return exchange_send(exchange, &request.base);
}

static bool check_echo(struct exchange *exchange, size_t index, uint32_t sequence, const char *text)
{
    const Ttrpc__Integration__Streaming__EchoPayload *echo =
        (const Ttrpc__Integration__Streaming__EchoPayload *)exchange->replies[index].message;

    return check(exchange->peer, echo->seq == sequence, "seq %u instead of %u", echo->seq, sequence) &&
           check(exchange->peer, strcmp(echo->msg, text) == 0, "msg \"%s\" instead of \"%s\"", echo->msg,
                 text);
}

static bool echo(struct peer *peer)
{
    struct exchange *exchange = start(peer, STREAMING "Echo", BERTH_METHOD_UNARY,
                                      &ttrpc__integration__streaming__echo_payload__descriptor);

    return send_echo(exchange, 1, "Echo Me") && exchange_half_close(exchange) &&
           exchange_await_end(exchange, BERTH_OK, 1) && check_echo(exchange, 0, 2, "Echo Me");
}

static bool echo_stream(struct peer *peer)
{
    struct exchange *exchange = start(peer, STREAMING "EchoStream", BERTH_METHOD_BIDI_STREAM,
                                      &ttrpc__integration__streaming__echo_payload__descriptor);

    for (uint32_t i = 0; i < 100; i++) {
        char text[64];

        snprintf(text, sizeof(text), "%u: Echo in a stream", i);
        if (!send_echo(exchange, 2 * i, text) || !exchange_await_replies(exchange, i + 1) ||
            !check_echo(exchange, i, 2 * i + 1, text))
            return false;
    }
    return exchange_half_close(exchange) && exchange_await_end(exchange, BERTH_OK, 100);
}

static bool sum_stream(struct peer *peer)
{
    struct exchange *exchange = start(peer, STREAMING "SumStream", BERTH_METHOD_CLIENT_STREAM,
                                      &ttrpc__integration__streaming__sum__descriptor);
    const Ttrpc__Integration__Streaming__Sum *sum;

    for (int32_t i = -99; i <= 100; i++) {
        Ttrpc__Integration__Streaming__Part part = TTRPC__INTEGRATION__STREAMING__PART__INIT;

        part.add = i;
        if (!exchange_send(exchange, &part.base))
            return false;
    }
    if (!exchange_half_close(exchange) || !exchange_await_end(exchange, BERTH_OK, 1))
        return false;
    sum = (const Ttrpc__Integration__Streaming__Sum *)exchange->replies[0].message;
    return check(peer, sum->sum == 100 && sum->num == 200, "%d parts with the sum %d", sum->num, sum->sum);
}

static bool divide_stream(struct peer *peer)
{
    Ttrpc__Integration__Streaming__Sum request = TTRPC__INTEGRATION__STREAMING__SUM__INIT;
    struct exchange *exchange = start(peer, STREAMING "DivideStream", BERTH_METHOD_SERVER_STREAM,
                                      &ttrpc__integration__streaming__part__descriptor);
    int32_t sum = 0;

    request.sum = 392;
    request.num = 30;
    if (!exchange_send(exchange, &request.base) || !exchange_half_close(exchange) ||
        !exchange_await_end(exchange, BERTH_OK, 30))
        return false;
    for (size_t i = 0; i < exchange->count; i++)
        sum += ((const Ttrpc__Integration__Streaming__Part *)exchange->replies[i].message)->add;
    return check(peer, sum == 392, "parts that add up to %d", sum);
}

static struct exchange *send_nulls(struct peer *peer, const char *path, enum berth_method_kind kind)
{
    struct exchange *exchange = start(peer, path, kind, &google__protobuf__empty__descriptor);

    for (uint32_t i = 0; i < 100; i++) {
        if (!send_echo(exchange, i, "non-empty empty"))
            return NULL;
    }
    return exchange_half_close(exchange) ? exchange : NULL;
}

static bool echo_null(struct peer *peer)
{
    return exchange_await_end(send_nulls(peer, STREAMING "EchoNull", BERTH_METHOD_CLIENT_STREAM), BERTH_OK,
                              1);
}

static bool echo_null_stream(struct peer *peer)
{
    return exchange_await_end(send_nulls(peer, STREAMING "EchoNullStream", BERTH_METHOD_BIDI_STREAM),
                              BERTH_OK, 1000);
}

static bool echo_null_out_of_sequence(struct peer *peer)
{
    struct exchange *exchange =
        start(peer, STREAMING "EchoNull", BERTH_METHOD_CLIENT_STREAM, &google__protobuf__empty__descriptor);

    return send_echo(exchange, 7, "non-empty empty") &&
           exchange_await_end(exchange, BERTH_INVALID_ARGUMENT, 0);
}

static bool empty_payload_stream(struct peer *peer)
{
    const Google__Protobuf__Empty request = GOOGLE__PROTOBUF__EMPTY__INIT;
    struct exchange *exchange = start(peer, STREAMING "EmptyPayloadStream", BERTH_METHOD_SERVER_STREAM,
                                      &ttrpc__integration__streaming__echo_payload__descriptor);

    return exchange_send(exchange, &request.base) && exchange_half_close(exchange) &&
           exchange_await_end(exchange, BERTH_OK, 2) && check_echo(exchange, 0, 1, "") &&
           check_echo(exchange, 1, 2, "");
}

const struct interop_case cases_ttrpc[] = {
    {"echo", echo},
    {"echo_stream", echo_stream},
    {"sum_stream", sum_stream},
    {"divide_stream", divide_stream},
    {"echo_null", echo_null},
    {"echo_null_stream", echo_null_stream},
    {"echo_null_out_of_sequence", echo_null_out_of_sequence},
    {"empty_payload_stream", empty_payload_stream},
    {NULL, NULL},
};
