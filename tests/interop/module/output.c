/* SPDX-License-Identifier: Apache-2.0 */
/* The messages that streams of grpc.testing.TestService ask for: queued, paced, sent as the caller keeps up.
 */
#include "output.h"

#include <stdlib.h>

/** One message to send. */
struct response {
    int32_t size;
    uint32_t interval_us;
    bool is_compressed;
};

/** A timer outlives its call by the time that closing it takes. */
struct delay {
    uv_timer_t timer;
    struct interop *interop;
    struct berth_call *call;
};

struct output {
    struct response *responses;
    size_t count;
    size_t next;
    /** When the last one left, by uv_hrtime(): intervals are counted from there. */
    uint64_t last_ns;
    struct delay *delay;
    bool is_paused;
    bool requests_have_ended;
};

void output_start(struct berth_call *call)
{
    struct output *output = calloc(1, sizeof(*output));

    if (output == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for a stream");
        return;
    }
    output->last_ns = uv_hrtime();
    call->state = output;
    interop_echo_metadata(call);
}

static void on_delay_closed(uv_handle_t *handle)
{
    struct delay *delay = handle->data;
    struct interop *interop = delay->interop;

    free(delay);
    interop_timer_closed(interop);
}

static struct delay *make_delay(struct berth_call *call)
{
    struct interop *interop = call->instance;
    struct delay *delay = calloc(1, sizeof(*delay));

    if (delay == NULL)
        return NULL;
    delay->interop = interop;
    delay->call = call;
    delay->timer.data = delay;
    uv_timer_init(interop->host->loop, &delay->timer);
    interop->timers++;
    return delay;
}

/* So that nothing can go wrong any more when the time comes to wait. */
static bool provide_delay(struct berth_call *call)
{
    struct output *output = call->state;

    if (output->delay == NULL)
        output->delay = make_delay(call);
    if (output->delay == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for a timer");
    return output->delay != NULL;
}

static bool make_room(struct berth_call *call, size_t more)
{
    const struct interop *interop = call->instance;
    struct output *output = call->state;
    struct response *larger;

    if (more > (size_t)interop->config.max_responses - output->count) {
        berth_call_finish(call, BERTH_INVALID_ARGUMENT,
                          "more messages are asked for than max_responses allows");
        return false;
    }
    larger = realloc(output->responses, (output->count + more + 1) * sizeof(*larger));
    if (larger == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for what is asked for");
        return false;
    }
    output->responses = larger;
    return true;
}

static bool add_one(struct berth_call *call, Grpc__Testing__PayloadType type,
                    const Grpc__Testing__ResponseParameters *parameters)
{
    struct output *output = call->state;
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;

    if (!interop_fill_payload(call, type, parameters->size, &payload) ||
        (parameters->interval_us > 0 && !provide_delay(call)))
        return false;
    output->responses[output->count++] = (struct response){
        .size = parameters->size,
        .interval_us = parameters->interval_us > 0 ? (uint32_t)parameters->interval_us : 0,
        .is_compressed = parameters->compressed != NULL && parameters->compressed->value,
    };
    return true;
}

bool output_add(struct berth_call *call, const Grpc__Testing__StreamingOutputCallRequest *request)
{
    if (!interop_check_status(call, request->response_status) ||
        !make_room(call, request->n_response_parameters))
        return false;
    for (size_t i = 0; i < request->n_response_parameters; i++) {
        if (!add_one(call, request->response_type, request->response_parameters[i]))
            return false;
    }
    return true;
}

static void on_delay_over(uv_timer_t *timer)
{
    struct delay *delay = timer->data;

    output_run(delay->call);
}

/* Is it time for the next one? Where not, the timer comes back. */
static bool is_due(struct berth_call *call)
{
    struct output *output = call->state;
    uint64_t due = output->last_ns + 1000 * (uint64_t)output->responses[output->next].interval_us;
    uint64_t now = uv_hrtime();

    if (now >= due)
        return true;
    uv_timer_start(&output->delay->timer, on_delay_over, (due - now + 999999) / 1000000, 0);
    return false;
}

static enum berth_code send_next(struct berth_call *call)
{
    const struct interop *interop = call->instance;
    struct output *output = call->state;
    const struct response *response = &output->responses[output->next++];
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
    Grpc__Testing__StreamingOutputCallResponse message = GRPC__TESTING__STREAMING_OUTPUT_CALL_RESPONSE__INIT;

    payload.body = (ProtobufCBinaryData){.len = (size_t)response->size, .data = interop->zeros};
    message.payload = &payload;
    output->last_ns = uv_hrtime();
    berth_call_compress(call, response->is_compressed);
    return berth_call_send_message(call, &message.base);
}

static void go_on(struct berth_call *call)
{
    struct output *output = call->state;

    output->count = output->next = 0;
    if (output->requests_have_ended) {
        berth_call_finish(call, BERTH_OK, NULL);
    } else if (output->is_paused) {
        output->is_paused = false;
        berth_call_resume(call);
    }
}

void output_run(struct berth_call *call)
{
    struct output *output = call->state;

    while (output->next < output->count) {
        enum berth_code code;

        if (!is_due(call) || !berth_call_can_send(call)) {
            output->is_paused = true;
            berth_call_pause(call);
            return;
        }
        code = send_next(call);
        if (code != BERTH_OK) {
            berth_call_finish(call, code, "a message of the stream cannot be sent");
            return;
        }
    }
    go_on(call);
}

void output_end_of_requests(struct berth_call *call)
{
    struct output *output = call->state;

    output->requests_have_ended = true;
    output_run(call);
}

void output_finish(struct berth_call *call, enum berth_code code)
{
    struct output *output = call->state;

    if (output == NULL)
        return;
    if (output->delay != NULL)
        uv_close((uv_handle_t *)&output->delay->timer, on_delay_closed);
    free(output->responses);
    free(output);
}
