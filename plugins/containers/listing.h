/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List and ListStream. One turn of the loop visits a bounded part of a namespace, so that a filter that
 * matches nothing in a large one does not block the loop; the next turn continues after the last id, in a new
 * snapshot. A container that exists throughout is listed once, whatever changes meanwhile.
 */
#ifndef CONTAINERS_LISTING_H
#define CONTAINERS_LISTING_H

#include <stddef.h>

#include <berth/call.h>
#include <berth/plugin.h>

#include <berth/types/containers.h>
#include <containerd/services/containers/v1/containers.pb-c.h>

/** What the handlers find in `call->instance`. */
struct containers {
    const struct berth_host *host;
    const struct berth_containers *service;
    void *instance;
    /** Maximum size of a reply of List. */
    size_t max_list_bytes;
};

/** The handlers. On the loop's thread; they use `call->state`. */
void listing_begin(struct berth_call *call,
                   const Containerd__Services__Containers__V1__ListContainersRequest *request);
void listing_begin_stream(struct berth_call *call,
                          const Containerd__Services__Containers__V1__ListContainersRequest *request);
void listing_go_on(struct berth_call *call);
void listing_on_end(struct berth_call *call, enum berth_code code);

#endif
