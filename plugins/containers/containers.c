/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's containers service: decodes requests, and builds replies from the stored bytes. */
#include "containers-plugin.h"

#include <stdlib.h>
#include <string.h>

#include <berth/answer.h>
#include <berth/namespace.h>
#include <berth/protobuf.h>

#include <berth/types/containers.h>
#include <berth/wire.h>
#include <containerd/services/containers/v1/containers.pb-c.h>

#define SERVICE(name) Containerd__Services__Containers__V1__##name

/* What the handlers find in `call->instance`. */
struct containers {
    const struct berth_containers *service;
    void *instance;
    /** Of List's reply. */
    size_t max_list_bytes;
};

enum berth_code containers_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                struct berth_error *err)
{
    struct containers_config config;
    struct containers *containers;
    struct berth_ref ref;
    enum berth_code code = berth_get(host, BERTH_CONTAINERS_URI, &ref, err);

    if (code == BERTH_OK)
        code = containers_config_init(&config, host->settings, err);
    if (code != BERTH_OK)
        return code;
    containers = malloc(sizeof(*containers));
    if (containers == NULL)
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the containers service");
    else
        *containers = (struct containers){
            .service = ref.interface,
            .instance = ref.instance,
            .max_list_bytes = (size_t)config.max_list_bytes,
        };
    containers_config_finish(&config);
    if (code == BERTH_OK)
        *ret_instance = containers;
    return code;
}

enum berth_code containers_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    free(instance);
    return BERTH_OK;
}

/* A container is field 1 of every reply. */
static void append(void *context, struct berth_store_bytes value)
{
    berth_wire_reserve(context, berth_wire_size_of_bytes(1, value.length));
    berth_wire_put_bytes(context, 1, value.data, value.length);
}

static void get(struct berth_call *call, const SERVICE(GetContainerRequest) * request)
{
    const struct containers *containers = call->instance;
    struct berth_wire_buffer found = {0};
    const char *name;
    struct berth_error err;
    enum berth_code code = berth_call_namespace(call, &name, &err);

    if (code == BERTH_OK)
        code = containers->service->get(containers->instance, NULL, name, request->id, append, &found, &err);
    berth_call_answer_wire(call, &found, code, err.message);
}

static void on_changed(void *context, enum berth_code code, const char *message,
                       struct berth_store_bytes value)
{
    berth_answer_finish_field(context, code, message, value.data, value.length);
}

static void on_removed(void *context, enum berth_code code, const char *message,
                       struct berth_store_bytes value)
{
    berth_answer_finish(context, code, message);
}

/* A refusal of filters in containerd's form: the sentence, then the class of the error once more. */
static void refuse_list(struct berth_call *call, enum berth_code code, const struct berth_error *err)
{
    char sentence[BERTH_ERROR_MAX + 32];

    snprintf(sentence, sizeof(sentence), "%s%s", err->message,
             strncmp(err->message, "filters: ", 9) == 0 ? ": invalid argument" : "");
    berth_call_finish(call, code, sentence);
}

static bool append_next(void *context, const struct berth_store_entry *container)
{
    return berth_list_reply_add(context, container->value.data, container->value.length);
}

static void reply_with_list(struct berth_call *call, struct berth_list_reply *list)
{
    char sentence[256];

    if (list->is_too_long) {
        snprintf(
            sentence, sizeof(sentence),
            "a list of more than %zu containers exceeds max_list_bytes (%zu): narrow the filters, or use "
            "ListStream, which sends each in a message of its own",
            list->count, list->max_bytes);
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, sentence);
    } else {
        berth_call_answer_wire(call, &list->wire, BERTH_OK, NULL);
    }
}

static void list_all(struct berth_call *call, const SERVICE(ListContainersRequest) * request)
{
    const struct containers *containers = call->instance;
    struct berth_containers_query query = {
        .size = sizeof(query),
        .filters = (const char *const *)request->filters,
        .filter_count = request->n_filters,
    };
    struct berth_list_reply found = {.max_bytes = containers->max_list_bytes};
    struct berth_error err;
    enum berth_code code = berth_call_namespace(call, &query.namespace_name, &err);

    if (code == BERTH_OK)
        code = containers->service->list(containers->instance, NULL, &query, append_next, &found, &err);
    if (code == BERTH_OK)
        reply_with_list(call, &found);
    else
        refuse_list(call, code, &err);
    berth_wire_finish(&found.wire);
}

/* The state of a ListStream call: its filters and the last id sent, independent of how slowly the caller
 * reads. */
struct stream {
    struct berth_call *call;
    size_t filter_count;
    char **filters;
    char last[BERTH_IDENTIFIER_MAX + 1];
    bool is_full;
    enum berth_code code;
    /* What the store said of the first damaged container; the others are sent before the caller hears of it.
     */
    bool met_damage;
    char *damage;
    /* Only while messages are sent. */
    struct berth_wire_buffer message;
};

static void destroy_stream(struct stream *stream)
{
    for (size_t i = 0; stream->filters != NULL && i < stream->filter_count; i++)
        free(stream->filters[i]);
    free(stream->filters);
    free(stream->damage);
    free(stream);
}

/* One empty filter is enough, so the memory kept is bounded by the limits on filters. */
static size_t count_filters(const SERVICE(ListContainersRequest) * request)
{
    size_t count = 0;

    for (size_t i = 0; i < request->n_filters; i++)
        count += *request->filters[i] != '\0';
    return count + (count < request->n_filters);
}

static bool keep_filters(struct stream *stream, const SERVICE(ListContainersRequest) * request)
{
    size_t count = count_filters(request);
    bool has_empty = false;

    stream->filters = calloc(count + 1, sizeof(*stream->filters));
    if (stream->filters == NULL)
        return false;
    for (size_t i = 0; i < request->n_filters; i++) {
        bool is_empty = *request->filters[i] == '\0';

        if (is_empty && has_empty)
            continue;
        has_empty = has_empty || is_empty;
        stream->filters[stream->filter_count] = strdup(request->filters[i]);
        if (stream->filters[stream->filter_count++] == NULL)
            return false;
    }
    return true;
}

static struct stream *make_stream(struct berth_call *call, const SERVICE(ListContainersRequest) * request)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL)
        return NULL;
    stream->call = call;
    if (keep_filters(stream, request))
        return stream;
    destroy_stream(stream);
    return NULL;
}

static bool send_next(void *context, const struct berth_store_entry *container)
{
    struct stream *stream = context;

    stream->is_full = !berth_call_can_send(stream->call);
    if (stream->is_full)
        return false;
    stream->message.length = 0;
    berth_wire_put_bytes(&stream->message, 1, container->value.data, container->value.length);
    stream->code = stream->message.failed
                       ? BERTH_RESOURCE_EXHAUSTED
                       : berth_call_send(stream->call, stream->message.bytes, stream->message.length);
    snprintf(stream->last, sizeof(stream->last), "%.*s", (int)container->key.length,
             (const char *)container->key.data);
    return stream->code == BERTH_OK;
}

static void keep_damage(struct stream *stream, const struct berth_error *err)
{
    if (stream->met_damage)
        return;
    stream->met_damage = true;
    stream->damage = strdup(err->message);
}

static void end_stream(struct stream *stream)
{
    if (stream->met_damage)
        berth_call_finish(stream->call, BERTH_DATA_LOSS,
                          stream->damage != NULL ? stream->damage : "a container is damaged in the store");
    else
        berth_call_finish(stream->call, BERTH_OK, NULL);
}

/* Sends for as long as the caller keeps up; on_writable goes on where it was left, in a new snapshot. */
static void stream_go_on(struct berth_call *call)
{
    const struct containers *containers = call->instance;
    struct stream *stream = call->state;
    struct berth_containers_query query = {
        .size = sizeof(query),
        .filters = (const char *const *)stream->filters,
        .filter_count = stream->filter_count,
        .after = berth_store_text(stream->last),
    };
    struct berth_error err;
    enum berth_code code = berth_call_namespace(call, &query.namespace_name, &err);

    stream->is_full = false;
    if (code == BERTH_OK)
        code = containers->service->list(containers->instance, NULL, &query, send_next, stream, &err);
    berth_wire_finish(&stream->message);
    if (code == BERTH_DATA_LOSS)
        keep_damage(stream, &err);
    if (code != BERTH_OK && code != BERTH_DATA_LOSS)
        refuse_list(call, code, &err);
    else if (stream->code != BERTH_OK)
        berth_call_finish_sent(call, stream->code);
    else if (!stream->is_full)
        end_stream(stream);
}

static void stream_all(struct berth_call *call, const SERVICE(ListContainersRequest) * request)
{
    struct stream *stream = make_stream(call, request);

    call->state = stream;
    if (stream == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of containers");
    else
        stream_go_on(call);
}

static void stream_end(struct berth_call *call, enum berth_code code)
{
    if (call->state != NULL)
        destroy_stream(call->state);
}

/* A CreateContainerRequest or UpdateContainerRequest, of which the container is passed on as it came. */
struct asked {
    struct berth_store_bytes container;
    struct berth_store_bytes mask;
    /** Fields that came in several pieces, joined. */
    struct berth_wire_buffer joined_container, joined_mask;
};

static void join(struct berth_store_bytes *bytes, struct berth_wire_buffer *joined,
                 const struct berth_wire_field *field)
{
    if (bytes->data == NULL) {
        *bytes = (struct berth_store_bytes){field->data, field->length};
        return;
    }
    if (joined->length == 0)
        berth_wire_put(joined, bytes->data, bytes->length);
    berth_wire_put(joined, field->data, field->length);
    *bytes = (struct berth_store_bytes){joined->bytes, joined->length};
}

/* @return BERTH_OK; BERTH_INTERNAL where it is no message, BERTH_RESOURCE_EXHAUSTED. */
static enum berth_code asked_read(struct asked *asked, const void *request, size_t length)
{
    struct berth_wire wire = berth_wire_of(request, length);
    struct berth_wire_field field;

    while (berth_wire_next(&wire, &field)) {
        if (field.type != BERTH_WIRE_BYTES)
            continue;
        if (field.number == 1)
            join(&asked->container, &asked->joined_container, &field);
        else if (field.number == 2)
            join(&asked->mask, &asked->joined_mask, &field);
    }
    if (!berth_wire_is_whole(&wire))
        return BERTH_INTERNAL;
    return asked->joined_container.failed || asked->joined_mask.failed ? BERTH_RESOURCE_EXHAUSTED : BERTH_OK;
}

static void asked_finish(struct asked *asked)
{
    berth_wire_finish(&asked->joined_container);
    berth_wire_finish(&asked->joined_mask);
}

static void refuse(struct berth_call *call, enum berth_code code,
                   const ProtobufCMessageDescriptor *descriptor)
{
    if (code == BERTH_INTERNAL)
        berth_call_refuse_bytes(call, descriptor);
    else
        berth_call_finish(call, code, "no memory for the container");
}

static enum berth_code ask_to_create(struct berth_call *call, const struct asked *asked,
                                     struct berth_answer *answer, struct berth_error *err)
{
    const struct containers *containers = call->instance;
    const char *name;
    enum berth_code code = berth_call_namespace(call, &name, err);

    if (code == BERTH_OK)
        code = containers->service->create(containers->instance, name, asked->container, on_changed, answer,
                                           err);
    return code;
}

static enum berth_code ask_to_update(struct berth_call *call, const struct asked *asked, const char *name,
                                     struct berth_answer *answer, struct berth_error *err)
{
    const struct containers *containers = call->instance;
    const ProtobufCMessageDescriptor *descriptor = &google__protobuf__field_mask__descriptor;
    Google__Protobuf__FieldMask *mask =
        (Google__Protobuf__FieldMask *)berth_unpack(descriptor, asked->mask.data, asked->mask.length, err);
    enum berth_code code = mask == NULL
                               ? BERTH_INTERNAL
                               : berth_text_check(descriptor, asked->mask.data, asked->mask.length, err);

    if (code == BERTH_OK)
        code = containers->service->update(containers->instance, name, asked->container,
                                           (const char *const *)mask->paths, mask->n_paths, on_changed,
                                           answer, err);
    if (mask != NULL)
        protobuf_c_message_free_unpacked(&mask->base, NULL);
    return code;
}

/* Checks for an id before the namespace, as containerd does. */
static enum berth_code check_update(struct berth_call *call, const struct asked *asked, const char **ret_name,
                                    struct berth_error *err)
{
    struct berth_wire wire = berth_wire_of(asked->container.data, asked->container.length);
    struct berth_wire_field field;
    bool has_id = false;

    while (berth_wire_next(&wire, &field))
        if (field.number == 1 && field.type == BERTH_WIRE_BYTES)
            has_id = field.length > 0;
    if (has_id)
        return berth_call_namespace(call, ret_name, err);
    return berth_error_set(err, BERTH_INVALID_ARGUMENT, "Container.ID required");
}

static void create(struct berth_call *call, const void *request, size_t length)
{
    struct asked asked = {0};
    enum berth_code code = asked_read(&asked, request, length);
    struct berth_answer *answer;
    struct berth_error err;

    if (code != BERTH_OK) {
        refuse(call, code, &containerd__services__containers__v1__create_container_request__descriptor);
    } else if ((answer = berth_answer_later(call)) != NULL) {
        code = ask_to_create(call, &asked, answer, &err);
        if (code != BERTH_OK)
            berth_answer_finish(answer, code, err.message);
    }
    asked_finish(&asked);
}

static void update(struct berth_call *call, const void *request, size_t length)
{
    struct asked asked = {0};
    enum berth_code code = asked_read(&asked, request, length);
    struct berth_answer *answer;
    struct berth_error err;
    const char *name = NULL;

    if (code != BERTH_OK) {
        refuse(call, code, &containerd__services__containers__v1__update_container_request__descriptor);
    } else if ((answer = berth_answer_later(call)) != NULL) {
        code = check_update(call, &asked, &name, &err);
        if (code == BERTH_OK)
            code = ask_to_update(call, &asked, name, answer, &err);
        if (code != BERTH_OK)
            berth_answer_finish(answer, code, err.message);
    }
    asked_finish(&asked);
}

static void delete_(struct berth_call *call, const SERVICE(DeleteContainerRequest) * request)
{
    const struct containers *containers = call->instance;
    struct berth_answer *answer = berth_answer_later(call);
    const char *name;
    struct berth_error err;
    enum berth_code code;

    if (answer == NULL)
        return;
    code = berth_call_namespace(call, &name, &err);
    if (code == BERTH_OK)
        code = containers->service->remove(containers->instance, name, request->id, on_removed, answer, &err);
    if (code != BERTH_OK)
        berth_answer_finish(answer, code, err.message);
}

const struct containerd_services_containers_v1_containers_handlers containers_containers_handlers = {
    .get = {.on_message = get},
    .list = {.on_message = list_all},
    .list_stream = {.on_message = stream_all, .on_writable = stream_go_on, .on_end = stream_end},
    .create = {.on_bytes = create, .on_end = berth_answer_on_end},
    .update = {.on_bytes = update, .on_end = berth_answer_on_end},
    .delete_ = {.on_message = delete_, .on_end = berth_answer_on_end},
};
