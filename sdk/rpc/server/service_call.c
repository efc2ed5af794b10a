/* SPDX-License-Identifier: Apache-2.0 */
/* One call between a server and a handler, with what <berth/call.h> promises to the handler. */
#include "service_call.h"

#include <stdlib.h>
#include <string.h>

struct annotation {
    struct annotation *next;
    char *value;
    char key[];
};

struct service_call {
    struct berth_call base;
    const struct berth_method *method;
    struct berth_stream *stream;
    const struct berth_stream_ops *stream_ops;
    struct annotation *annotations;
    /** The request of a method that takes one. */
    unsigned char *request;
    size_t request_length;
    bool has_request;
    bool has_answered;
    /** Callbacks of the handler that are running. */
    unsigned depth;
    bool is_over;
    enum berth_code code;
};

static struct service_call *from_base(struct berth_call *call)
{
    return (struct service_call *)call;
}

static bool takes_one_message(const struct service_call *self)
{
    return self->method->kind == BERTH_METHOD_UNARY || self->method->kind == BERTH_METHOD_SERVER_STREAM;
}

static bool answers_once(const struct service_call *self)
{
    return self->method->kind == BERTH_METHOD_UNARY || self->method->kind == BERTH_METHOD_CLIENT_STREAM;
}

static void destroy(struct service_call *self)
{
    while (self->annotations != NULL) {
        struct annotation *annotation = self->annotations;

        self->annotations = annotation->next;
        free(annotation->value);
        free(annotation);
    }
    free(self->request);
    free(self);
}

static void enter(struct service_call *self)
{
    self->depth++;
}

/* @return false where the call is over and gone. */
static bool leave(struct service_call *self)
{
    if (--self->depth > 0 || !self->is_over)
        return true;
    self->depth++;
    if (self->method->on_end != NULL)
        self->method->on_end(&self->base, self->code);
    destroy(self);
    return false;
}

static void end(struct service_call *self, enum berth_code code)
{
    self->is_over = true;
    self->code = code;
}

static void finish(struct berth_call *call, enum berth_code code, const char *message, const void *details,
                   size_t details_length)
{
    struct service_call *self = from_base(call);

    if (self->is_over)
        return;
    if ((unsigned)code > BERTH_UNAUTHENTICATED)
        code = BERTH_UNKNOWN;
    if (code == BERTH_OK && answers_once(self) && !self->has_answered) {
        code = BERTH_INTERNAL;
        message = "the handler ended the call without an answer";
    }
    enter(self);
    end(self, code);
    self->stream_ops->finish(self->stream, code, message, details, details_length);
    leave(self);
}

static enum berth_code send_message(struct berth_call *call, const void *message, size_t length)
{
    struct service_call *self = from_base(call);
    enum berth_code code;

    if (self->is_over || (self->has_answered && answers_once(self)))
        return BERTH_FAILED_PRECONDITION;
    code = self->stream_ops->send(self->stream, message, length);
    if (code == BERTH_OK)
        self->has_answered = true;
    return code;
}

static bool can_send(struct berth_call *call)
{
    struct service_call *self = from_base(call);

    return !self->is_over && self->stream_ops->can_send(self->stream);
}

static enum berth_code add_header(struct berth_call *call, const char *key, const void *value, size_t length)
{
    struct service_call *self = from_base(call);

    return self->is_over ? BERTH_FAILED_PRECONDITION
                         : self->stream_ops->add_header(self->stream, key, value, length);
}

static enum berth_code add_trailer(struct berth_call *call, const char *key, const void *value, size_t length)
{
    struct service_call *self = from_base(call);

    return self->is_over ? BERTH_FAILED_PRECONDITION
                         : self->stream_ops->add_trailer(self->stream, key, value, length);
}

static enum berth_code send_headers(struct berth_call *call)
{
    struct service_call *self = from_base(call);

    return self->is_over ? BERTH_FAILED_PRECONDITION : self->stream_ops->send_headers(self->stream);
}

static void pause_call(struct berth_call *call)
{
    struct service_call *self = from_base(call);

    if (!self->is_over)
        self->stream_ops->pause(self->stream);
}

static void resume_call(struct berth_call *call)
{
    struct service_call *self = from_base(call);

    if (!self->is_over)
        self->stream_ops->resume(self->stream);
}

static enum berth_code compress(struct berth_call *call, bool wanted)
{
    struct service_call *self = from_base(call);

    if (!BERTH_STREAM_OPS_HAVE(self->stream_ops, compress))
        return BERTH_UNIMPLEMENTED;
    return self->is_over ? BERTH_FAILED_PRECONDITION : self->stream_ops->compress(self->stream, wanted);
}

static bool came_compressed(struct berth_call *call)
{
    struct service_call *self = from_base(call);

    return BERTH_STREAM_OPS_HAVE(self->stream_ops, came_compressed) && !self->is_over &&
           self->stream_ops->came_compressed(self->stream);
}

static struct annotation *find_annotation(const struct service_call *self, const char *key)
{
    struct annotation *annotation = self->annotations;

    while (annotation != NULL && strcmp(annotation->key, key) != 0)
        annotation = annotation->next;
    return annotation;
}

static struct annotation *add_annotation(struct service_call *self, const char *key)
{
    struct annotation *annotation = malloc(sizeof(*annotation) + strlen(key) + 1);

    if (annotation == NULL)
        return NULL;
    annotation->value = NULL;
    annotation->next = self->annotations;
    memcpy(annotation->key, key, strlen(key) + 1);
    self->annotations = annotation;
    return annotation;
}

static enum berth_code annotate(struct berth_call *call, const char *key, const char *value)
{
    struct service_call *self = from_base(call);
    struct annotation *annotation = find_annotation(self, key);
    char *copy = strdup(value);

    if (annotation == NULL && copy != NULL)
        annotation = add_annotation(self, key);
    if (annotation == NULL || copy == NULL) {
        free(copy);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    free(annotation->value);
    annotation->value = copy;
    return BERTH_OK;
}

static const char *annotation_of(struct berth_call *call, const char *key)
{
    const struct annotation *annotation = find_annotation(from_base(call), key);

    return annotation == NULL ? NULL : annotation->value;
}

static const char *refusal_of(struct berth_call *call)
{
    struct service_call *self = from_base(call);

    return !self->is_over && BERTH_STREAM_OPS_HAVE(self->stream_ops, refusal)
               ? self->stream_ops->refusal(self->stream)
               : NULL;
}

static const struct berth_call_ops call_ops = {
    .size = sizeof(call_ops),
    .send = send_message,
    .can_send = can_send,
    .finish = finish,
    .add_header = add_header,
    .add_trailer = add_trailer,
    .send_headers = send_headers,
    .pause = pause_call,
    .resume = resume_call,
    .annotate = annotate,
    .annotation = annotation_of,
    .compress = compress,
    .came_compressed = came_compressed,
    .refusal = refusal_of,
};

struct berth_call *service_call_open(const struct berth_call_request *request,
                                     const struct berth_service *service, const struct berth_method *method,
                                     void *instance)
{
    struct service_call *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        request->stream_ops->finish(request->stream, BERTH_RESOURCE_EXHAUSTED, "out of memory", NULL, 0);
        return NULL;
    }
    self->method = method;
    self->stream = request->stream;
    self->stream_ops = request->stream_ops;
    self->base = (struct berth_call){
        .size = sizeof(self->base),
        .ops = &call_ops,
        .path = request->path,
        .service = service->name,
        .method = method->name,
        .kind = method->kind,
        .transport = request->transport,
        .peer = request->peer,
        .deadline_ns = request->deadline_ns,
        .metadata = request->metadata,
        .metadata_count = request->metadata_count,
        .instance = instance,
        .handlers = BERTH_SERVICE_HANDLERS(service),
    };
    if (BERTH_STREAM_OPS_HAVE(request->stream_ops, found))
        request->stream_ops->found(request->stream, method->kind);
    enter(self);
    if (method->on_start != NULL)
        method->on_start(&self->base);
    return leave(self) ? &self->base : NULL;
}

static void refuse(struct service_call *self, const char *message)
{
    self->stream_ops->finish(self->stream, BERTH_INTERNAL, message, NULL, 0);
    end(self, BERTH_INTERNAL);
}

static void refuse_several(struct service_call *self)
{
    refuse(self, "cardinality violation: received several messages for a method that takes one");
}

static void keep_request(struct service_call *self, const void *message, size_t length)
{
    if (self->has_request) {
        refuse_several(self);
        return;
    }
    self->request = malloc(length + 1);
    if (self->request == NULL) {
        refuse(self, "out of memory");
        return;
    }
    if (length > 0)
        memcpy(self->request, message, length);
    self->request_length = length;
    self->has_request = true;
}

void service_call_deliver(struct berth_call *call, const void *message, size_t length)
{
    struct service_call *self = from_base(call);

    enter(self);
    if (takes_one_message(self))
        keep_request(self, message, length);
    else if (self->method->on_message != NULL)
        self->method->on_message(call, message, length);
    leave(self);
}

void service_call_deliver_last(struct berth_call *call, const void *message, size_t length)
{
    struct service_call *self = from_base(call);

    enter(self);
    if (!takes_one_message(self)) {
        if (self->method->on_message != NULL)
            self->method->on_message(call, message, length);
        if (!self->is_over && self->method->on_half_close != NULL)
            self->method->on_half_close(call);
    } else if (self->has_request) {
        refuse_several(self);
    } else {
        self->method->on_message(call, message, length);
    }
    leave(self);
}

void service_call_half_close(struct berth_call *call)
{
    struct service_call *self = from_base(call);

    enter(self);
    if (!takes_one_message(self)) {
        if (self->method->on_half_close != NULL)
            self->method->on_half_close(call);
    } else if (!self->has_request) {
        refuse(self, "cardinality violation: received no message for a method that takes one");
    } else {
        self->method->on_message(call, self->request, self->request_length);
    }
    leave(self);
}

void service_call_writable(struct berth_call *call)
{
    struct service_call *self = from_base(call);

    enter(self);
    if (self->method->on_writable != NULL)
        self->method->on_writable(call);
    leave(self);
}

void service_call_cancel(struct berth_call *call, enum berth_code code)
{
    struct service_call *self = from_base(call);

    enter(self);
    end(self, code);
    leave(self);
}
