/* SPDX-License-Identifier: Apache-2.0 */
/* Tells of containers that came, changed and went, here and in other daemons of the same store. */
#include "service.h"

#include <string.h>

#include "container.h"

static const struct {
    const char *topic;
    const char *type_url;
    /* Which field of a container becomes which of the event; ended by 0. A Runtime is one in both. */
    struct {
        uint32_t from;
        uint32_t to;
    } fields[5];
} events[] = {
    [CONTAINER_CREATED] = {"/containers/create",
                           "containerd.events.ContainerCreate",
                           {{CONTAINER_ID, 1}, {CONTAINER_IMAGE, 2}, {CONTAINER_RUNTIME, 3}}},
    [CONTAINER_UPDATED] =
        {"/containers/update",
         "containerd.events.ContainerUpdate",
         {{CONTAINER_ID, 1}, {CONTAINER_IMAGE, 2}, {CONTAINER_LABELS, 3}, {CONTAINER_SNAPSHOT_KEY, 4}}},
    [CONTAINER_DELETED] = {"/containers/delete", "containerd.events.ContainerDelete", {{CONTAINER_ID, 1}}},
};

static void copy_field(enum container_event event, const struct berth_wire_field *field,
                       struct berth_wire_buffer *buffer)
{
    for (size_t i = 0; events[event].fields[i].from != 0; i++)
        if (events[event].fields[i].from == field->number && field->type == BERTH_WIRE_BYTES)
            berth_wire_put_bytes(buffer, events[event].fields[i].to, field->data, field->length);
}

void containers_publish(struct containers_service *service, enum container_event event,
                        const char *namespace_name, struct berth_store_bytes value)
{
    struct berth_wire wire = berth_wire_of(value.data, value.length);
    struct berth_wire_buffer buffer = {0};
    struct berth_wire_field field;
    struct berth_event told = {
        .size = sizeof(told),
        .namespace_name = namespace_name,
        .topic = events[event].topic,
        .type_url = events[event].type_url,
    };
    struct berth_error err = {"no memory"};

    while (berth_wire_next(&wire, &field))
        copy_field(event, &field, &buffer);
    told.value = buffer.bytes;
    told.value_length = buffer.length;
    if (buffer.failed || service->exchange->publish(service->exchange_instance, &told, &err) != BERTH_OK)
        berth_log(service->host, BERTH_LOG_WARN, "nobody heard of a change in namespace %s (%s): %s",
                  namespace_name, told.topic, err.message);
    berth_wire_finish(&buffer);
}

void containers_on_change(void *context, const struct berth_store_change *change)
{
    const char *namespace_name = change->bucket + strlen(BERTH_CONTAINERS_BUCKET_PREFIX);

    if (change->after.data == NULL)
        containers_publish(context, CONTAINER_DELETED, namespace_name, change->before);
    else if (change->before.data == NULL)
        containers_publish(context, CONTAINER_CREATED, namespace_name, change->after);
    else
        containers_publish(context, CONTAINER_UPDATED, namespace_name, change->after);
}
