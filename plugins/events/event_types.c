/* SPDX-License-Identifier: Apache-2.0 */
/* The types of events whose fields filters can ask for. */
#include "event_types.h"

#include <string.h>

#include <containerd/events/container.pb-c.h>
#include <containerd/events/container.pb-c.h>
#include <containerd/events/content.pb-c.h>
#include <containerd/events/image.pb-c.h>
#include <containerd/events/namespace.pb-c.h>
#include <containerd/events/namespace.pb-c.h>
#include <containerd/events/sandbox.pb-c.h>
#include <containerd/events/snapshot.pb-c.h>
#include <containerd/events/task.pb-c.h>

static const char any_prefix[] = "type.googleapis.com/";

static const ProtobufCMessageDescriptor *const event_types[] = {
    &containerd__events__container_create__descriptor,
    &containerd__events__container_delete__descriptor,
    &containerd__events__container_update__descriptor,
    &containerd__events__container_create__descriptor,
    &containerd__events__container_delete__descriptor,
    &containerd__events__container_update__descriptor,
    &containerd__events__content_create__descriptor,
    &containerd__events__content_delete__descriptor,
    &containerd__events__namespace_create__descriptor,
    &containerd__events__namespace_delete__descriptor,
    &containerd__events__namespace_update__descriptor,
    &containerd__events__namespace_create__descriptor,
    &containerd__events__namespace_delete__descriptor,
    &containerd__events__namespace_update__descriptor,
    &containerd__events__sandbox_create__descriptor,
    &containerd__events__sandbox_exit__descriptor,
    &containerd__events__sandbox_start__descriptor,
    &containerd__events__snapshot_commit__descriptor,
    &containerd__events__snapshot_prepare__descriptor,
    &containerd__events__snapshot_remove__descriptor,
    &containerd__events__task_checkpointed__descriptor,
    &containerd__events__task_create__descriptor,
    &containerd__events__task_delete__descriptor,
    &containerd__events__task_exec_added__descriptor,
    &containerd__events__task_exec_started__descriptor,
    &containerd__events__task_exit__descriptor,
    &containerd__events__task_oom__descriptor,
    &containerd__events__task_paused__descriptor,
    &containerd__events__task_resumed__descriptor,
    &containerd__events__task_start__descriptor,
    &containerd__services__images__v1__image_create__descriptor,
    &containerd__services__images__v1__image_delete__descriptor,
    &containerd__services__images__v1__image_update__descriptor,
};

const ProtobufCMessageDescriptor *event_types_find(const char *type_url)
{
    size_t prefix_length = sizeof(any_prefix) - 1;
    const char *name =
        strncmp(type_url, any_prefix, prefix_length) == 0 ? type_url + prefix_length : type_url;

    for (size_t i = 0; i < sizeof(event_types) / sizeof(event_types[0]); i++)
        if (strcmp(event_types[i]->name, name) == 0)
            return event_types[i];
    return NULL;
}
