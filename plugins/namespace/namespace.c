/* SPDX-License-Identifier: Apache-2.0 */
/* Attaches the caller's namespace to a call. The handler decides whether one is required and valid. */
#include "namespace-plugin.h"

#include <string.h>

#include <berth/namespace.h>

static const char *header_of(const struct berth_call *call)
{
    return strcmp(call->transport, "ttrpc") == 0 ? "containerd-namespace-ttrpc" : "containerd-namespace";
}

/* As in containerd, the first of several headers counts, and an empty one counts as absent. */
static enum berth_code on_start(void *self, struct berth_call *call, void **ret_state,
                                struct berth_error *err)
{
    const struct berth_metadata *header = berth_call_metadata(call, header_of(call));

    if (header == NULL || header->value_length == 0)
        return BERTH_OK;
    if (berth_call_annotate(call, BERTH_NAMESPACE_ANNOTATION, header->value) != BERTH_OK)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the namespace of a call");
    return BERTH_OK;
}

static const struct berth_interceptor interceptor = {
    .size = sizeof(interceptor),
    .name = "namespace",
    .on_start = on_start,
};

enum berth_code namespace__init(const struct berth_host *host, void *prepared, void **ret_instance,
                                struct berth_error *err)
{
    return berth_intercept(host, &interceptor, NULL, err);
}
