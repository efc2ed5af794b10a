/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler may do with its call: each operation checks the call's state and passes on to the server. */
#include "operations.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "chain.h"

/* The code that called the function this is used in. */
#define CALLER __builtin_return_address(0)

static bool gives_one_reply(const struct berth_call *public)
{
    return public->kind == BERTH_METHOD_UNARY || public->kind == BERTH_METHOD_CLIENT_STREAM;
}

/* The refusal of a message that was refused as misuse. A finish with it is the other half of the same reply.
 */
static const char no_second_reply[] = "the handler had replied already";

/* Skipped while an interceptor runs: what it does is not the handler's mistake. */
BERTH_PRINTF(3, 4)
static void report_handler(const struct call *call, const void *caller, const char *format, ...)
{
    char what[BERTH_ERROR_MAX];
    va_list arguments;

    if (call->hooks_running > 0)
        return;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    handles_report(&call->calls->handles, call->public, handle_of(call->public)->owner, caller, "%s", what);
}

static enum berth_code op_send(struct berth_call *public, const void *message, size_t length)
{
    const char *done = gives_one_reply(public) ? "replied to" : "sent a message to";
    struct call *call = handle_call(public, done, CALLER);
    bool is_second = call != NULL && gives_one_reply(public) && call->replies > 0;
    enum berth_code code = BERTH_FAILED_PRECONDITION;

    if (call == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (call->handler_finished || (is_second && !call->ended))
        report_handler(call, CALLER,
                       is_second ? "%s a call twice; ignored" : "%s a call after finishing it; ignored",
                       done);
    if (call->ended || call->showing_reply || is_second)
        return BERTH_FAILED_PRECONDITION;
    call_enter(call);
    chain_show_reply(call, message, length);
    if (!call->ended)
        code = call->stream_ops->send(call->stream, message, length);
    if (code == BERTH_OK) {
        call->headers_sent = true;
        call->replies++;
        call->method->counts->messages_sent++;
        call->method->counts->bytes_sent += length;
    }
    if (call->ended)
        code = BERTH_FAILED_PRECONDITION;
    call_leave_to_handler(call);
    return code;
}

static bool op_can_send(struct berth_call *public)
{
    const struct call *call = handle_call(public, "checked for room to send on", CALLER);

    return call != NULL && !call->ended && call->stream_ops->can_send(call->stream);
}

static void op_finish(struct berth_call *public, enum berth_code code, const char *message,
                      const void *details, size_t details_length)
{
    bool is_rest_of_reply = message == no_second_reply, was_ended;
    struct call *call =
        is_rest_of_reply ? handle_call_quietly(public) : handle_call(public, "finished", CALLER);

    if (call == NULL)
        return;
    was_ended = call->ended;
    if (call->handler_finished && !is_rest_of_reply)
        report_handler(call, CALLER, "%s a call twice; ignored", "finished");
    else if (!was_ended && code != call_wire_code(code))
        report_handler(call, CALLER, "finished a call with invalid code %d; sending UNKNOWN instead",
                       (int)code);
    call_enter(call);
    if (code == BERTH_OK && gives_one_reply(public) && call->replies == 0)
        call_decide(call, BERTH_INTERNAL, "the handler finished the call with OK but sent no reply", NULL, 0);
    else
        call_decide(call, code, message, details, details_length);
    if (!was_ended && call->started && call->hooks_running == 0)
        call->handler_finished = true;
    call_leave(call);
}

static bool key_is_valid(const char *key)
{
    size_t length = strspn(key, "0123456789abcdefghijklmnopqrstuvwxyz_.-");

    return length > 0 && key[length] == '\0' && strncmp(key, "grpc-", 5) != 0;
}

static enum berth_code op_add_header(struct berth_call *public, const char *key, const void *value,
                                     size_t length)
{
    struct call *call = handle_call(public, "added a header to", CALLER);
    enum berth_code code;

    if (call == NULL || call->ended || call->headers_sent)
        return BERTH_FAILED_PRECONDITION;
    if (!key_is_valid(key))
        return BERTH_INVALID_ARGUMENT;
    call_enter(call);
    code = call->stream_ops->add_header(call->stream, key, value, length);
    call_leave_to_handler(call);
    return code;
}

/* Allowed while the interceptors are told the end, so `ended` does not matter. */
static enum berth_code op_add_trailer(struct berth_call *public, const char *key, const void *value,
                                      size_t length)
{
    struct call *call = handle_call(public, "added a trailer to", CALLER);
    enum berth_code code;

    if (call == NULL || call->stream == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!key_is_valid(key))
        return BERTH_INVALID_ARGUMENT;
    call_enter(call);
    code = call->stream_ops->add_trailer(call->stream, key, value, length);
    call_leave_to_handler(call);
    return code;
}

static enum berth_code op_send_headers(struct berth_call *public)
{
    struct call *call = handle_call(public, "sent the headers of", CALLER);
    enum berth_code code;

    if (call == NULL || call->ended || call->headers_sent)
        return BERTH_FAILED_PRECONDITION;
    call_enter(call);
    code = call->stream_ops->send_headers(call->stream);
    call->headers_sent = code == BERTH_OK;
    call_leave_to_handler(call);
    return code;
}

static void op_pause(struct berth_call *public)
{
    struct call *call = handle_call(public, "paused", CALLER);

    if (call == NULL)
        return;
    call_enter(call);
    call->handler_paused = true;
    call_update_pause(call);
    call_leave_to_handler(call);
}

static void op_resume(struct berth_call *public)
{
    struct call *call = handle_call(public, "resumed", CALLER);

    if (call == NULL)
        return;
    call_enter(call);
    call->handler_paused = false;
    call_update_pause(call);
    call_pass_kept_request(call);
    call_leave(call);
}

static enum berth_code op_compress(struct berth_call *public, bool wanted)
{
    struct call *call = handle_call(public, "set the compression of", CALLER);

    if (call == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!BERTH_STREAM_OPS_HAVE(call->stream_ops, compress))
        return BERTH_UNIMPLEMENTED;
    return call->stream == NULL ? BERTH_FAILED_PRECONDITION
                                : call->stream_ops->compress(call->stream, wanted);
}

static bool op_came_compressed(struct berth_call *public)
{
    struct call *call = handle_call(public, "asked for the compression of", CALLER);

    return call != NULL && BERTH_STREAM_OPS_HAVE(call->stream_ops, came_compressed) && call->stream != NULL &&
           call->stream_ops->came_compressed(call->stream);
}

/* Asked by berth_call_reply after a send that was refused, so nothing more is reported. */
static const char *op_refusal(struct berth_call *public)
{
    struct call *call = handle_call_quietly(public);

    if (call == NULL || call->handler_finished || (gives_one_reply(public) && call->replies > 0))
        return no_second_reply;
    return BERTH_STREAM_OPS_HAVE(call->stream_ops, refusal) && call->stream != NULL
               ? call->stream_ops->refusal(call->stream)
               : NULL;
}

static struct annotation *find_annotation(const struct call *call, const char *key)
{
    struct annotation *annotation = call->annotations;

    while (annotation != NULL && strcmp(annotation->key, key) != 0)
        annotation = annotation->next;
    return annotation;
}

static struct annotation *add_annotation(struct call *call, const char *key)
{
    size_t size = strlen(key) + 1;
    struct annotation *annotation = malloc(sizeof(*annotation) + size);

    if (annotation == NULL)
        return NULL;
    memcpy(annotation->key, key, size);
    annotation->value = NULL;
    annotation->next = call->annotations;
    call->annotations = annotation;
    return annotation;
}

static enum berth_code op_annotate(struct berth_call *public, const char *key, const char *value)
{
    struct call *call = handle_call(public, "annotated", CALLER);
    struct annotation *annotation = call != NULL ? find_annotation(call, key) : NULL;
    char *copy;

    if (call == NULL)
        return BERTH_FAILED_PRECONDITION;
    copy = strdup(value);
    if (annotation == NULL && copy != NULL)
        annotation = add_annotation(call, key);
    if (annotation == NULL || copy == NULL) {
        free(copy);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    free(annotation->value);
    annotation->value = copy;
    return BERTH_OK;
}

static const char *op_annotation(struct berth_call *public, const char *key)
{
    const struct call *call = handle_call(public, "asked for an annotation of", CALLER);
    const struct annotation *annotation = call != NULL ? find_annotation(call, key) : NULL;

    return annotation == NULL ? NULL : annotation->value;
}

void router_each_annotation(struct berth_call *public,
                            void (*on_annotation)(void *context, const char *key, const char *value),
                            void *context)
{
    const struct call *call = handle_call_quietly(public);

    for (const struct annotation *at = call != NULL ? call->annotations : NULL; at != NULL; at = at->next)
        on_annotation(context, at->key, at->value);
}

static enum berth_code op_set_trace(struct berth_call *public, const struct berth_trace *trace)
{
    struct call *call = handle_call(public, "set the trace of", CALLER);

    if (call == NULL)
        return BERTH_FAILED_PRECONDITION;
    call->trace = *trace;
    public->trace = &call->trace;
    return BERTH_OK;
}

const struct berth_call_ops call_operations = {
    .size = sizeof(call_operations),
    .send = op_send,
    .can_send = op_can_send,
    .finish = op_finish,
    .add_header = op_add_header,
    .add_trailer = op_add_trailer,
    .send_headers = op_send_headers,
    .pause = op_pause,
    .resume = op_resume,
    .annotate = op_annotate,
    .annotation = op_annotation,
    .compress = op_compress,
    .came_compressed = op_came_compressed,
    .refusal = op_refusal,
    .set_trace = op_set_trace,
};
