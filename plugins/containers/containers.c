/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's containers service: decodes requests, and builds replies from the stored bytes. */
#include "containers-plugin.h"
#include "listing.h"

#include <stdlib.h>

#include <berth/answer.h>
#include <berth/namespace.h>
#include <berth/protobuf.h>

#include <berth/wire.h>
#include <containerd/services/containers/v1/containers.pb-c.h>

#define SERVICE(name) Containerd__Services__Containers__V1__##name

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
            .host = host,
            .service = ref.interface,
            .instance = ref.instance,
            .max_list_bytes = (size_t)config.max_list_bytes,
        };
    containers_config_finish(&config);
    if (code == BERTH_OK)
        *ret_instance = containers;
    return code;
}

enum berth_code containers_reconfigure(const struct berth_host *host, void *instance,
                                       const struct berth_settings *before, struct berth_error *err)
{
    struct containers *containers = instance;
    struct containers_config config;
    enum berth_code code = containers_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    containers->max_list_bytes = (size_t)config.max_list_bytes;
    containers_config_finish(&config);
    return BERTH_OK;
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
    .list = {.on_message = listing_begin, .on_end = listing_on_end},
    .list_stream = {.on_message = listing_begin_stream,
                    .on_writable = listing_go_on,
                    .on_end = listing_on_end},
    .create = {.on_bytes = create, .on_end = berth_answer_on_end},
    .update = {.on_bytes = update, .on_end = berth_answer_on_end},
    .delete_ = {.on_message = delete_, .on_end = berth_answer_on_end},
};
