/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's containers service: calls in, the service's answers out, spliced from what is stored. */
#include "containers-plugin.h"

#include <stdlib.h>

#include <berth/answer.h>
#include <berth/namespace.h>
#include <berth/protobuf.h>

#include "lists.h"

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
    struct berth_call *call = berth_answer_take(context);
    struct berth_wire_buffer changed = {0};

    if (call == NULL)
        return;
    if (code == BERTH_OK)
        append(&changed, value);
    berth_call_answer_wire(call, &changed, code, message);
}

static void on_removed(void *context, enum berth_code code, const char *message,
                       struct berth_store_bytes value)
{
    berth_answer_finish(context, code, message);
}

/* One that is not there is one without fields. */
static enum berth_code pack(const SERVICE(Container) * message, struct berth_wire_buffer *buffer,
                            struct berth_error *err)
{
    berth_wire_put_message(buffer, message == NULL ? NULL : &message->base);
    if (buffer->failed)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the container");
    return BERTH_OK;
}

static void create(struct berth_call *call, const SERVICE(CreateContainerRequest) * request)
{
    const struct containers *containers = call->instance;
    struct berth_answer *answer = berth_answer_later(call);
    struct berth_wire_buffer asked = {0};
    const char *name;
    struct berth_error err;
    enum berth_code code;

    if (answer == NULL)
        return;
    code = berth_call_namespace(call, &name, &err);
    if (code == BERTH_OK)
        code = pack(request->container, &asked, &err);
    if (code == BERTH_OK)
        code = containers->service->create(containers->instance, name,
                                           (struct berth_store_bytes){asked.bytes, asked.length}, on_changed,
                                           answer, &err);
    berth_wire_finish(&asked);
    if (code != BERTH_OK)
        berth_answer_finish(answer, code, err.message);
}

/* That an id is there is asked before the namespace, as containerd does. */
static enum berth_code check_update(struct berth_call *call, const SERVICE(UpdateContainerRequest) * request,
                                    const char **ret_name, struct berth_error *err)
{
    if (request->container != NULL && *request->container->id != '\0')
        return berth_call_namespace(call, ret_name, err);
    berth_error_set(err, BERTH_INVALID_ARGUMENT, "Container.ID required");
    return BERTH_INVALID_ARGUMENT;
}

static void update(struct berth_call *call, const SERVICE(UpdateContainerRequest) * request)
{
    const struct containers *containers = call->instance;
    const Google__Protobuf__FieldMask *mask = request->update_mask;
    struct berth_answer *answer = berth_answer_later(call);
    struct berth_wire_buffer asked = {0};
    const char *name = NULL;
    struct berth_error err;
    enum berth_code code;

    if (answer == NULL)
        return;
    code = check_update(call, request, &name, &err);
    if (code == BERTH_OK)
        code = pack(request->container, &asked, &err);
    if (code == BERTH_OK)
        code = containers->service->update(containers->instance, name,
                                           (struct berth_store_bytes){asked.bytes, asked.length},
                                           mask == NULL ? NULL : (const char *const *)mask->paths,
                                           mask == NULL ? 0 : mask->n_paths, on_changed, answer, &err);
    berth_wire_finish(&asked);
    if (code != BERTH_OK)
        berth_answer_finish(answer, code, err.message);
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
    .create = {.on_message = create, .on_end = berth_answer_on_end},
    .update = {.on_message = update, .on_end = berth_answer_on_end},
    .delete_ = {.on_message = delete_, .on_end = berth_answer_on_end},
};
