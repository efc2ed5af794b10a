/* SPDX-License-Identifier: Apache-2.0 */
/* ttrpc.integration.streaming.Streaming, which ttrpc's own tests of its streams call. */
#include <stdlib.h>
#include <string.h>

#include <streaming.berth.h>

#include "interop.h"

/** What EchoNullStream sends for each message. */
#define NULLS_FOR_EACH 10

/** Of one stream; which members count is up to the method. */
struct stream {
    uint32_t sequence;
    /** Sum and number of the parts that came, or that are still to be sent. */
    uint32_t sum;
    uint32_t number;
    /** Messages to be sent before the next is taken. */
    uint32_t owed;
    bool is_paused;
    bool requests_have_ended;
};

static void start(struct berth_call *call)
{
    call->state = calloc(1, sizeof(struct stream));
    if (call->state == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for a stream");
}

static void finish(struct berth_call *call, enum berth_code code)
{
    free(call->state);
}

static Ttrpc__Integration__Streaming__EchoPayload echo_of(
    const Ttrpc__Integration__Streaming__EchoPayload *request)
{
    Ttrpc__Integration__Streaming__EchoPayload echo = TTRPC__INTEGRATION__STREAMING__ECHO_PAYLOAD__INIT;

    echo.seq = request->seq + 1;
    echo.msg = request->msg;
    return echo;
}

static void echo(struct berth_call *call, const Ttrpc__Integration__Streaming__EchoPayload *request)
{
    const Ttrpc__Integration__Streaming__EchoPayload reply = echo_of(request);

    ttrpc_integration_streaming_streaming_echo_reply(call, &reply);
}

/* Takes no more from a caller that does not read. */
static void pause_where_full(struct berth_call *call)
{
    struct stream *stream = call->state;

    if (stream->is_paused || berth_call_can_send(call))
        return;
    stream->is_paused = true;
    berth_call_pause(call);
}

static void resume(struct berth_call *call)
{
    struct stream *stream = call->state;

    if (!stream->is_paused)
        return;
    stream->is_paused = false;
    berth_call_resume(call);
}

static void echo_stream(struct berth_call *call, const Ttrpc__Integration__Streaming__EchoPayload *request)
{
    const Ttrpc__Integration__Streaming__EchoPayload reply = echo_of(request);
    enum berth_code code = ttrpc_integration_streaming_streaming_echo_stream_send(call, &reply);

    if (code == BERTH_OK)
        pause_where_full(call);
    else
        berth_call_finish(call, code, "an echo cannot be sent");
}

static void end_well(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

static void sum_stream(struct berth_call *call, const Ttrpc__Integration__Streaming__Part *part)
{
    struct stream *stream = call->state;

    stream->sum += (uint32_t)part->add;
    stream->number++;
}

static void answer_sum(struct berth_call *call)
{
    const struct stream *stream = call->state;
    Ttrpc__Integration__Streaming__Sum reply = TTRPC__INTEGRATION__STREAMING__SUM__INIT;

    reply.sum = (int32_t)stream->sum;
    reply.num = (int32_t)stream->number;
    ttrpc_integration_streaming_streaming_sum_stream_reply(call, &reply);
}

/* Each part takes its share of what is left, so that they add up. */
static void send_parts(struct berth_call *call)
{
    struct stream *stream = call->state;
    enum berth_code code = BERTH_OK;

    while (code == BERTH_OK && stream->number > 0) {
        Ttrpc__Integration__Streaming__Part part = TTRPC__INTEGRATION__STREAMING__PART__INIT;

        if (!berth_call_can_send(call))
            return;
        part.add = (int32_t)stream->sum / (int32_t)stream->number;
        stream->sum -= (uint32_t)part.add;
        stream->number--;
        code = ttrpc_integration_streaming_streaming_divide_stream_send(call, &part);
    }
    berth_call_finish(call, code, NULL);
}

static void divide_stream(struct berth_call *call, const Ttrpc__Integration__Streaming__Sum *request)
{
    const struct interop *interop = call->instance;
    struct stream *stream = call->state;

    if (request->num < 0 || request->num > interop->config.max_responses) {
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "num: from 0 to max_responses parts are made");
        return;
    }
    stream->sum = (uint32_t)request->sum;
    stream->number = (uint32_t)request->num;
    send_parts(call);
}

/* Ends the call, and returns false, where a message is not the next one. */
static bool check_sequence(struct berth_call *call, const Ttrpc__Integration__Streaming__EchoPayload *request)
{
    struct stream *stream = call->state;
    char reason[128];

    if (request->seq != stream->sequence)
        snprintf(reason, sizeof(reason), "seq: %u came where %u was due", request->seq, stream->sequence);
    else if (strcmp(request->msg, "non-empty empty") != 0)
        snprintf(reason, sizeof(reason), "msg: it must be \"non-empty empty\"");
    else {
        stream->sequence++;
        return true;
    }
    berth_call_finish(call, BERTH_INVALID_ARGUMENT, reason);
    return false;
}

static void echo_null(struct berth_call *call, const Ttrpc__Integration__Streaming__EchoPayload *request)
{
    check_sequence(call, request);
}

static void answer_null(struct berth_call *call)
{
    const Google__Protobuf__Empty reply = GOOGLE__PROTOBUF__EMPTY__INIT;

    ttrpc_integration_streaming_streaming_echo_null_reply(call, &reply);
}

static void send_nulls(struct berth_call *call)
{
    const Google__Protobuf__Empty reply = GOOGLE__PROTOBUF__EMPTY__INIT;
    struct stream *stream = call->state;
    enum berth_code code = BERTH_OK;

    while (code == BERTH_OK && stream->owed > 0) {
        pause_where_full(call);
        if (stream->is_paused && !berth_call_can_send(call))
            return;
        stream->owed--;
        code = ttrpc_integration_streaming_streaming_echo_null_stream_send(call, &reply);
    }
    if (code != BERTH_OK || stream->requests_have_ended)
        berth_call_finish(call, code, NULL);
    else
        resume(call);
}

static void echo_null_stream(struct berth_call *call,
                             const Ttrpc__Integration__Streaming__EchoPayload *request)
{
    struct stream *stream = call->state;

    if (!check_sequence(call, request))
        return;
    stream->owed += NULLS_FOR_EACH;
    send_nulls(call);
}

static void end_null_stream(struct berth_call *call)
{
    struct stream *stream = call->state;

    stream->requests_have_ended = true;
    if (stream->owed == 0)
        berth_call_finish(call, BERTH_OK, NULL);
}

static void empty_payload_stream(struct berth_call *call, const Google__Protobuf__Empty *request)
{
    Ttrpc__Integration__Streaming__EchoPayload payload = TTRPC__INTEGRATION__STREAMING__ECHO_PAYLOAD__INIT;
    enum berth_code code = BERTH_OK;

    for (payload.seq = 1; code == BERTH_OK && payload.seq <= 2; payload.seq++)
        code = ttrpc_integration_streaming_streaming_empty_payload_stream_send(call, &payload);
    berth_call_finish(call, code, NULL);
}

const struct ttrpc_integration_streaming_streaming_handlers interop_streaming_handlers = {
    .echo = {.on_message = echo},
    .echo_stream =
        {
            .on_start = start,
            .on_message = echo_stream,
            .on_half_close = end_well,
            .on_writable = resume,
            .on_end = finish,
        },
    .sum_stream =
        {
            .on_start = start,
            .on_message = sum_stream,
            .on_half_close = answer_sum,
            .on_end = finish,
        },
    .divide_stream =
        {
            .on_start = start,
            .on_message = divide_stream,
            .on_writable = send_parts,
            .on_end = finish,
        },
    .echo_null =
        {
            .on_start = start,
            .on_message = echo_null,
            .on_half_close = answer_null,
            .on_end = finish,
        },
    .echo_null_stream =
        {
            .on_start = start,
            .on_message = echo_null_stream,
            .on_half_close = end_null_stream,
            .on_writable = send_nulls,
            .on_end = finish,
        },
    .empty_payload_stream = {.on_message = empty_payload_stream},
};
