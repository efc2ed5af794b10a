/* SPDX-License-Identifier: Apache-2.0 */
/* Deprecations as containerd's messages. */
#ifndef INTROSPECTION_WARNINGS_H
#define INTROSPECTION_WARNINGS_H

#include <berth/types/deprecations.h>
#include <containerd/services/introspection/v1/introspection.pb-c.h>

/** Zero-initialise. They borrow the ids and messages. */
struct warnings {
    Containerd__Services__Introspection__V1__DeprecationWarning **items;
    size_t count;
    bool failed;
};

/** A visitor: adds one; `context` is a struct warnings. False where memory is out, and `failed` says so. */
bool warnings_add(void *context, const struct berth_deprecation *deprecation);
void warnings_finish(struct warnings *warnings);

#endif
