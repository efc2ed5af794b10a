/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List. One turn of the loop visits a bounded part of a namespace, so that a filter that matches nothing in a
 * large one does not block the loop; the next turn continues after the last id, in a new snapshot. A lease
 * that exists throughout is listed once, whatever changes meanwhile.
 */
#ifndef LEASES_LISTING_H
#define LEASES_LISTING_H

#include <stddef.h>

#include <berth/call.h>
#include <berth/plugin.h>

#include <berth/types/leases.h>
#include <containerd/services/leases/v1/leases.pb-c.h>

/** What the handlers find in `call->instance`. */
struct leases {
    const struct berth_host *host;
    const struct berth_leases *service;
    void *instance;
    /** Of a list's reply. */
    size_t max_list_bytes;
};

/** The handlers. On the loop's thread; they use `call->state`. */
void listing_begin(struct berth_call *call, const Containerd__Services__Leases__V1__ListRequest *request);
void listing_on_end(struct berth_call *call, enum berth_code code);

#endif
