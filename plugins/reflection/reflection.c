/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's server reflection over the live services that the call's transport may carry. */
#include "reflection-plugin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <berth/ending.h>

#include "answer.h"
#include "descriptor_index.h"

/* Transports that an index is kept for. */
#define INDEXES_MAX 8

/* One caller. */
struct stream {
    LIST_ENTRY(stream) link;
    struct berth_call *call;
    /* One that waits for a plugin to start, packed; or NULL. */
    uint8_t *question;
    size_t question_length;
    bool is_half_closed;
};

struct reflection {
    const struct berth_host *host;
    struct berth_watch *changes;
    struct {
        char *transport;
        struct descriptor_index *index;
    } indexes[INDEXES_MAX];
    size_t index_count;
    LIST_HEAD(, stream) streams;
};

/* They are built again on demand. */
static void forget_indexes(void *context)
{
    struct reflection *reflection = context;

    for (size_t i = 0; i < reflection->index_count; i++) {
        free(reflection->indexes[i].transport);
        descriptor_index_destroy(reflection->indexes[i].index);
    }
    reflection->index_count = 0;
}

struct collection {
    struct descriptor_index *index;
    const struct berth_host *host;
    const char *transport;
};

static bool collect(void *context, const struct berth_route_info *route)
{
    const struct collection *collection = context;

    if (!route->live || !berth_route_takes(route, collection->transport))
        return true;
    if (!descriptor_index_add_service(collection->index, route->service))
        return false;
    if (route->descriptors != NULL &&
        !descriptor_index_add_set(collection->index, route->descriptors, route->descriptors_length))
        berth_log(collection->host, BERTH_LOG_WARN,
                  "descriptors of %s are damaged or too large, some are not shown; rebuild %s",
                  route->service, route->plugin);
    return true;
}

static struct descriptor_index *make_index(const struct reflection *reflection, const char *transport)
{
    struct descriptor_index *index = descriptor_index_create();
    struct collection collection = {.index = index, .host = reflection->host, .transport = transport};

    if (index == NULL)
        return NULL;
    reflection->host->router->each(reflection->host->router, collect, &collection);
    descriptor_index_seal(index);
    return index;
}

/* NULL where memory is out. */
static const struct descriptor_index *find_index(struct reflection *reflection, const char *transport)
{
    struct descriptor_index *index;
    char *name;

    for (size_t i = 0; i < reflection->index_count; i++)
        if (strcmp(reflection->indexes[i].transport, transport) == 0)
            return reflection->indexes[i].index;
    if (reflection->index_count == INDEXES_MAX)
        forget_indexes(reflection);
    name = strdup(transport);
    index = name == NULL ? NULL : make_index(reflection, transport);
    if (index == NULL) {
        free(name);
        return NULL;
    }
    reflection->indexes[reflection->index_count].transport = name;
    reflection->indexes[reflection->index_count++].index = index;
    return index;
}

static void on_start(struct berth_call *call)
{
    struct reflection *reflection = call->instance;
    struct stream *stream = malloc(sizeof(*stream));

    if (stream == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for another caller");
        return;
    }
    call->state = stream;
    *stream = (struct stream){.call = call};
    LIST_INSERT_HEAD(&reflection->streams, stream, link);
}

static enum berth_code send_answer(struct berth_call *call, struct answer *answer)
{
    enum berth_code code = berth_call_send_message(call, &answer->response.base);

    if (code == BERTH_RESOURCE_EXHAUSTED) {
        answer_refuse(answer, BERTH_RESOURCE_EXHAUSTED, berth_call_refusal(call));
        code = berth_call_send_message(call, &answer->response.base);
    }
    answer_finish(answer);
    return code;
}

/* A caller that does not read its answers is paused. @return does the call go on? */
static bool give_answer(struct berth_call *call, const Grpc__Reflection__V1__ServerReflectionRequest *request,
                        const struct berth_error *refusal)
{
    const struct descriptor_index *index = find_index(call->instance, call->transport);
    struct answer answer;
    enum berth_code code;

    if (index == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the descriptors");
        return false;
    }
    answer_make(&answer, index, request);
    if (refusal != NULL)
        answer_refuse(&answer, BERTH_UNAVAILABLE, refusal->message);
    code = send_answer(call, &answer);
    if (code != BERTH_OK)
        berth_call_finish(call, code, "cannot send the answer");
    else if (!berth_call_can_send(call))
        berth_call_pause(call);
    return code == BERTH_OK;
}

/* Services whose plugins start when they are called: their descriptors are in the modules, which are not
 * loaded before. */

struct search {
    const struct berth_inspect *inspect;
    const char *transport, *symbol;
    enum berth_code code;
    struct berth_error *err;
};

/* Is it the service, or something in it? */
static bool is_within(const char *symbol, const char *service)
{
    size_t length = strlen(service);

    return strncmp(symbol, service, length) == 0 && (symbol[length] == '\0' || symbol[length] == '.');
}

static bool start_if_idle(void *context, const struct berth_route_info *route)
{
    struct search *search = context;

    if (!berth_route_takes(route, search->transport) || !is_within(search->symbol, route->service))
        return true;
    if (route->descriptors == NULL && BERTH_HAS(search->inspect, activate))
        search->code = search->inspect->activate(search->inspect, route->plugin, search->err);
    return false;
}

/* @return BERTH_OK: nothing is to be waited for; BERTH_PENDING; BERTH_UNAVAILABLE: it cannot start. */
static enum berth_code start_what_is_asked_for(const struct berth_call *call,
                                               const Grpc__Reflection__V1__ServerReflectionRequest *request,
                                               struct berth_error *err)
{
    const struct reflection *reflection = call->instance;
    struct search search = {.inspect = reflection->host->inspect, .transport = call->transport, .err = err};

    if ((int)request->message_request_case !=
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL)
        return BERTH_OK;
    search.symbol = request->file_containing_symbol;
    reflection->host->router->each(reflection->host->router, start_if_idle, &search);
    return search.code;
}

/* The stream waits, with its question. */
static void park(struct berth_call *call, const Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    struct stream *stream = call->state;
    size_t length = protobuf_c_message_get_packed_size(&request->base);

    stream->question = malloc(length + 1);
    if (stream->question == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "out of memory for the request");
        return;
    }
    stream->question_length = protobuf_c_message_pack(&request->base, stream->question);
    berth_call_pause(call);
}

static void on_message(struct berth_call *call, const Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    struct berth_error err;
    enum berth_code code = start_what_is_asked_for(call, request, &err);

    if (code == BERTH_PENDING)
        park(call, request);
    else
        give_answer(call, request, code == BERTH_UNAVAILABLE ? &err : NULL);
}

/* May end the stream, which is the last thing done with it. */
static void answer_parked(struct stream *stream)
{
    struct berth_call *call = stream->call;
    bool is_over = stream->is_half_closed, goes_on = false;
    ProtobufCMessage *message;
    struct berth_error err;
    enum berth_code code;

    message = berth_call_unpack(call, &grpc__reflection__v1__server_reflection_request__descriptor,
                                stream->question, stream->question_length);
    if (message == NULL)
        return;
    code = start_what_is_asked_for(call, (const void *)message, &err);
    if (code != BERTH_PENDING) {
        free(stream->question);
        stream->question = NULL;
        goes_on = give_answer(call, (const void *)message, code == BERTH_UNAVAILABLE ? &err : NULL);
    }
    protobuf_c_message_free_unpacked(message, NULL);
    if (goes_on && is_over)
        berth_call_finish(call, BERTH_OK, NULL);
    else if (goes_on && berth_call_can_send(call))
        berth_call_resume(call);
}

static void on_change(void *context)
{
    struct reflection *reflection = context;
    struct stream *stream = LIST_FIRST(&reflection->streams);

    forget_indexes(reflection);
    while (stream != NULL) {
        struct stream *next = LIST_NEXT(stream, link);

        if (stream->question != NULL)
            answer_parked(stream);
        stream = next;
    }
}

/* The older version has other names for the same bytes. */
static void on_older_message(struct berth_call *call,
                             const Grpc__Reflection__V1alpha__ServerReflectionRequest *older)
{
    size_t length = protobuf_c_message_get_packed_size(&older->base);
    uint8_t *bytes = malloc(length + 1);
    ProtobufCMessage *request;

    if (bytes == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "out of memory for the request");
        return;
    }
    protobuf_c_message_pack(&older->base, bytes);
    request =
        berth_call_unpack(call, &grpc__reflection__v1__server_reflection_request__descriptor, bytes, length);
    free(bytes);
    if (request == NULL)
        return;
    on_message(call, (const void *)request);
    protobuf_c_message_free_unpacked(request, NULL);
}

static void on_half_close(struct berth_call *call)
{
    struct stream *stream = call->state;

    stream->is_half_closed = true;
    if (stream->question == NULL)
        berth_call_finish(call, BERTH_OK, NULL);
}

static void on_writable(struct berth_call *call)
{
    berth_call_resume(call);
}

static void on_end(struct berth_call *call, enum berth_code code)
{
    struct stream *stream = call->state;

    if (stream == NULL)
        return;
    LIST_REMOVE(stream, link);
    free(stream->question);
    free(stream);
}

const struct grpc_reflection_v1_server_reflection_handlers
    reflection_grpc_reflection_v1_server_reflection_handlers = {
        .server_reflection_info = {.on_start = on_start,
                                   .on_message = on_message,
                                   .on_half_close = on_half_close,
                                   .on_writable = on_writable,
                                   .on_end = on_end},
};

const struct grpc_reflection_v1alpha_server_reflection_handlers
    reflection_grpc_reflection_v1alpha_server_reflection_handlers = {
        .server_reflection_info = {.on_start = on_start,
                                   .on_message = on_older_message,
                                   .on_half_close = on_half_close,
                                   .on_writable = on_writable,
                                   .on_end = on_end},
};

enum berth_code reflection_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                struct berth_error *err)
{
    struct reflection *reflection;

    if (!BERTH_HAS(host->inspect, watch))
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "this daemon is older than the reflection plugin and does not report changes; upgrade berthd");
    reflection = calloc(1, sizeof(*reflection));
    if (reflection == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the reflection service");
    reflection->host = host;
    reflection->changes = host->inspect->watch(host->inspect, on_change, reflection);
    if (reflection->changes == NULL) {
        free(reflection);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory to watch for changes");
    }
    *ret_instance = reflection;
    return BERTH_OK;
}

/* Streams do not end by themselves and would hold up a shutdown or an upgrade until the drain times out. */
enum berth_code reflection_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct reflection *reflection = instance;
    struct stream *stream = LIST_FIRST(&reflection->streams);

    while (stream != NULL) {
        struct stream *next = LIST_NEXT(stream, link);

        berth_call_end(host, stream->call, "the daemon is stopping");
        stream = next;
    }
    return BERTH_OK;
}

enum berth_code reflection_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct reflection *reflection = instance;

    host->inspect->unwatch(host->inspect, reflection->changes);
    forget_indexes(reflection);
    free(reflection);
    return BERTH_OK;
}
