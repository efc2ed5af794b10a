/* SPDX-License-Identifier: Apache-2.0 */
/* berth.interop.v1.Peer, whose callers and servers have no streams. */
#include <stdlib.h>
#include <string.h>

#include <peer.berth.h>

#include "interop.h"

#define NANOSECONDS_PER_MILLISECOND 1000000

static void echo(struct berth_call *call, const Berth__Interop__V1__Message *request)
{
    berth_interop_v1_peer_echo_reply(call, request);
}

static void grow(struct berth_call *call, const Berth__Interop__V1__Message *request)
{
    const struct interop *interop = call->instance;
    Berth__Interop__V1__Message reply = BERTH__INTEROP__V1__MESSAGE__INIT;

    if (request->number < 0 || request->number > interop->config.max_payload) {
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "number: max_payload allows no such text");
        return;
    }
    reply.text = malloc((size_t)request->number + 1);
    if (reply.text == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the text");
        return;
    }
    memset(reply.text, 'x', (size_t)request->number);
    reply.text[request->number] = '\0';
    berth_interop_v1_peer_grow_reply(call, &reply);
    free(reply.text);
}

static void tell_metadata(struct berth_call *call, const Berth__Interop__V1__Message *request)
{
    Berth__Interop__V1__Message reply = BERTH__INTEROP__V1__MESSAGE__INIT;
    char text[1024] = "";
    size_t length = 0;

    for (size_t i = 0; i < call->metadata_count && length < sizeof(text); i++) {
        if (strcmp(call->metadata[i].key, request->text) != 0)
            continue;
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s", reply.number > 0 ? "," : "",
                                   (const char *)call->metadata[i].value);
        reply.number++;
    }
    reply.text = text;
    berth_interop_v1_peer_metadata_reply(call, &reply);
}

static void tell_deadline(struct berth_call *call, const Berth__Interop__V1__Message *request)
{
    Berth__Interop__V1__Message reply = BERTH__INTEROP__V1__MESSAGE__INIT;

    reply.number = -1;
    if (call->deadline_ns != 0)
        reply.number =
            (int32_t)(((int64_t)call->deadline_ns - (int64_t)uv_hrtime()) / NANOSECONDS_PER_MILLISECOND);
    berth_interop_v1_peer_deadline_reply(call, &reply);
}

/** A timer outlives its call by the time that closing it takes. */
struct waiting {
    uv_timer_t timer;
    struct interop *interop;
    struct berth_call *call;
    int32_t number;
};

static void on_closed(uv_handle_t *handle)
{
    struct waiting *waiting = handle->data;
    struct interop *interop = waiting->interop;

    free(waiting);
    interop_timer_closed(interop);
}

static void on_time(uv_timer_t *timer)
{
    const struct waiting *waiting = timer->data;
    Berth__Interop__V1__Message reply = BERTH__INTEROP__V1__MESSAGE__INIT;

    reply.number = waiting->number;
    berth_interop_v1_peer_wait_reply(waiting->call, &reply);
}

static void wait(struct berth_call *call, const Berth__Interop__V1__Message *request)
{
    struct interop *interop = call->instance;
    struct waiting *waiting = calloc(1, sizeof(*waiting));

    if (waiting == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for a timer");
        return;
    }
    *waiting = (struct waiting){.interop = interop, .call = call, .number = request->number};
    waiting->timer.data = waiting;
    call->state = waiting;
    interop->timers++;
    uv_timer_init(interop->host->loop, &waiting->timer);
    uv_timer_start(&waiting->timer, on_time, request->number > 0 ? (uint64_t)request->number : 0, 0);
}

static void end_wait(struct berth_call *call, enum berth_code code)
{
    struct waiting *waiting = call->state;

    if (waiting != NULL)
        uv_close((uv_handle_t *)&waiting->timer, on_closed);
}

static void fail_with(struct berth_call *call, const Berth__Interop__V1__Message *request,
                      Berth__Interop__V1__Detail *detail)
{
    Berth__Interop__V1__Status status = BERTH__INTEROP__V1__STATUS__INIT;
    uint8_t bytes[1024];

    status.code = request->number;
    status.message = request->text;
    status.n_details = 1;
    status.details = &detail;
    if (berth__interop__v1__status__get_packed_size(&status) > sizeof(bytes))
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "text: too long for a status");
    else
        berth_call_finish_with_details(call, (enum berth_code)request->number, request->text, bytes,
                                       berth__interop__v1__status__pack(&status, bytes));
}

static void fail(struct berth_call *call, const Berth__Interop__V1__Message *request)
{
    Berth__Interop__V1__Detail detail = BERTH__INTEROP__V1__DETAIL__INIT;
    uint8_t value[512];

    if (request->number <= 0 || request->number > (int32_t)BERTH_UNAUTHENTICATED ||
        berth__interop__v1__message__get_packed_size(request) > sizeof(value)) {
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "number: there is no such code, or text: too long");
        return;
    }
    detail.type_url = (char *)"type.googleapis.com/berth.interop.v1.Message";
    detail.value.data = value;
    detail.value.len = berth__interop__v1__message__pack(request, value);
    fail_with(call, request, &detail);
}

/* Leave is missing: a handler has no hand on its connection. */
const struct berth_interop_v1_peer_handlers interop_peer_handlers = {
    .echo = {.on_message = echo},
    .grow = {.on_message = grow},
    .metadata = {.on_message = tell_metadata},
    .deadline = {.on_message = tell_deadline},
    .wait = {.on_message = wait, .on_end = end_wait},
    .fail = {.on_message = fail},
};
