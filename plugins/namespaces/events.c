/* SPDX-License-Identifier: Apache-2.0 */
/* Tells of namespaces that came, changed and went, here and in other daemons of the same store. */
#include "service.h"

#include <string.h>

#include <berth/wire.h>

static const struct {
    const char *topic;
    const char *type_url;
} events[] = {
    [NAMESPACE_CREATED] = {"/namespaces/create", "containerd.events.NamespaceCreate"},
    [NAMESPACE_UPDATED] = {"/namespaces/update", "containerd.events.NamespaceUpdate"},
    [NAMESPACE_DELETED] = {"/namespaces/delete", "containerd.events.NamespaceDelete"},
};

/* Namespace, NamespaceCreate and NamespaceUpdate are one shape; NamespaceDelete is its name. */
void namespaces_publish(struct namespaces_service *service, enum namespace_event event, const char *name,
                        struct berth_store_bytes value)
{
    const struct berth_event told = {
        .size = sizeof(told),
        .namespace_name = name,
        .topic = events[event].topic,
        .type_url = events[event].type_url,
        .value = value.data,
        .value_length = value.length,
    };
    struct berth_error err;

    if (service->exchange->publish(service->exchange_instance, &told, &err) != BERTH_OK)
        berth_log(service->host, BERTH_LOG_WARN, "nobody heard of it that namespace %s changed (%s): %s",
                  name, told.topic, err.message);
}

void namespaces_on_change(void *context, const struct berth_store_change *change)
{
    struct namespaces_service *service = context;
    uint8_t bytes[8 + BERTH_STORE_NAME_MAX];
    char name[BERTH_STORE_NAME_MAX + 1];
    size_t length = change->key.length;

    if (strcmp(change->bucket, NAMESPACES_BUCKET) != 0 || length > BERTH_STORE_NAME_MAX)
        return;
    snprintf(name, sizeof(name), "%.*s", (int)length, (const char *)change->key.data);
    if (change->after.data == NULL) {
        size_t head = 1 + berth_wire_varint(length, bytes + 1);

        bytes[0] = 1 << 3 | BERTH_WIRE_BYTES;
        memcpy(bytes + head, change->key.data, length);
        namespaces_publish(service, NAMESPACE_DELETED, name,
                           (struct berth_store_bytes){bytes, head + length});
    } else {
        namespaces_publish(service, change->before.data == NULL ? NAMESPACE_CREATED : NAMESPACE_UPDATED, name,
                           change->after);
    }
}
