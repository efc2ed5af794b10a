/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler can do with its call: each operation checks the time it comes at and passes it to the
 * server. */
#include "call.h"

#include <stdlib.h>
#include <string.h>

struct annotation {
    struct annotation *next;
    char *value;
    char key[];
};

static bool gives_one_reply(const struct call *call)
{
    return call->public.kind == BERTH_METHOD_UNARY || call->public.kind == BERTH_METHOD_CLIENT_STREAM;
}

/* From the handler outwards, hence in reverse. One that ends the call keeps the message from leaving. */
static void show_reply(struct call *call, const void *message, size_t length)
{
    call->showing_reply = true;
    for (size_t i = call->hooks_started; i > 0 && !call->ended; i--) {
        const struct hook *hook = call->chain->hooks[i - 1];
        struct hook_state *state = &call->hook_states[i - 1];

        if (!hook->removed && !state->finished && BERTH_HAS(hook->interceptor, on_reply))
            hook->interceptor->on_reply(hook->self, &call->public, state->state, message, length);
    }
    call->showing_reply = false;
}

static enum berth_code op_send(struct berth_call *public, const void *message, size_t length)
{
    struct call *call = call_of(public);
    enum berth_code code = BERTH_FAILED_PRECONDITION;

    if (call->ended || call->showing_reply || (gives_one_reply(call) && call->replies > 0))
        return BERTH_FAILED_PRECONDITION;
    call_enter(call);
    show_reply(call, message, length);
    if (!call->ended)
        code = call->stream_ops->send(call->stream, message, length);
    if (code == BERTH_OK) {
        call->headers_sent = true;
        call->replies++;
    }
    if (call->ended)
        code = BERTH_FAILED_PRECONDITION;
    call_leave_to_handler(call);
    return code;
}

static bool op_can_send(struct berth_call *public)
{
    struct call *call = call_of(public);

    return !call->ended && call->stream_ops->can_send(call->stream);
}

static void op_finish(struct berth_call *public, enum berth_code code, const char *message,
                      const void *details, size_t details_length)
{
    struct call *call = call_of(public);

    call_enter(call);
    if (code == BERTH_OK && gives_one_reply(call) && call->replies == 0)
        call_decide(call, BERTH_INTERNAL, "the handler ended the call well, but without a reply", NULL, 0);
    else
        call_decide(call, code, message, details, details_length);
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
    struct call *call = call_of(public);
    enum berth_code code;

    if (call->ended || call->headers_sent)
        return BERTH_FAILED_PRECONDITION;
    if (!key_is_valid(key))
        return BERTH_INVALID_ARGUMENT;
    call_enter(call);
    code = call->stream_ops->add_header(call->stream, key, value, length);
    call_leave_to_handler(call);
    return code;
}

/* Also while the interceptors hear of the end, hence not `ended`. */
static enum berth_code op_add_trailer(struct berth_call *public, const char *key, const void *value,
                                      size_t length)
{
    struct call *call = call_of(public);
    enum berth_code code;

    if (call->stream == NULL)
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
    struct call *call = call_of(public);
    enum berth_code code;

    if (call->ended || call->headers_sent)
        return BERTH_FAILED_PRECONDITION;
    call_enter(call);
    code = call->stream_ops->send_headers(call->stream);
    call->headers_sent = code == BERTH_OK;
    call_leave_to_handler(call);
    return code;
}

static void op_pause(struct berth_call *public)
{
    struct call *call = call_of(public);

    call_enter(call);
    call->handler_paused = true;
    call_update_pause(call);
    call_leave_to_handler(call);
}

static void op_resume(struct berth_call *public)
{
    struct call *call = call_of(public);

    call_enter(call);
    call->handler_paused = false;
    call_update_pause(call);
    call_pass_kept_request(call);
    call_leave(call);
}

static enum berth_code op_compress(struct berth_call *public, bool wanted)
{
    struct call *call = call_of(public);

    if (!BERTH_STREAM_OPS_HAVE(call->stream_ops, compress))
        return BERTH_UNIMPLEMENTED;
    return call->stream == NULL ? BERTH_FAILED_PRECONDITION
                                : call->stream_ops->compress(call->stream, wanted);
}

static bool op_came_compressed(struct berth_call *public)
{
    struct call *call = call_of(public);

    return BERTH_STREAM_OPS_HAVE(call->stream_ops, came_compressed) && call->stream != NULL &&
           call->stream_ops->came_compressed(call->stream);
}

static const char *op_refusal(struct berth_call *public)
{
    struct call *call = call_of(public);

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
    struct call *call = call_of(public);
    struct annotation *annotation = find_annotation(call, key);
    char *copy = strdup(value);

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
    const struct annotation *annotation = find_annotation(call_of(public), key);

    return annotation == NULL ? NULL : annotation->value;
}

const struct berth_call_ops call_ops = {
    .size = sizeof(call_ops),
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
};

void call_free_annotations(struct call *call)
{
    struct annotation *annotation;

    while ((annotation = call->annotations) != NULL) {
        call->annotations = annotation->next;
        free(annotation->value);
        free(annotation);
    }
}
