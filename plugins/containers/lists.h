/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers find in `call->instance`, and the handlers of List and ListStream. */
#ifndef CONTAINERS_LISTS_H
#define CONTAINERS_LISTS_H

#include <berth/protobuf.h>
#include <berth/types/containers.h>
#include <containerd/services/containers/v1/containers.pb-c.h>

struct containers {
    const struct berth_containers *service;
    void *instance;
    /** Of List's reply. */
    size_t max_list_bytes;
};

void list_all(struct berth_call *call,
              const Containerd__Services__Containers__V1__ListContainersRequest *request);
void stream_all(struct berth_call *call,
                const Containerd__Services__Containers__V1__ListContainersRequest *request);
void stream_go_on(struct berth_call *call);
void stream_end(struct berth_call *call, enum berth_code code);

#endif
