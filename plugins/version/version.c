/* SPDX-License-Identifier: Apache-2.0 */
/* Answers containerd's version service with the daemon's own version. */
#include "version-plugin.h"

#include <berth/protobuf.h>
#include <containerd/services/version/v1/version.pb-c.h>

static void version(struct berth_call *call, const void *request, size_t length)
{
    const struct berth_inspect *inspect = call->instance;
    Containerd__Services__Version__V1__VersionResponse reply =
        CONTAINERD__SERVICES__VERSION__V1__VERSION_RESPONSE__INIT;

    reply.version = (char *)(uintptr_t)inspect->daemon->version;
    reply.revision = (char *)(uintptr_t)inspect->daemon->revision;
    berth_call_reply_message(call, &reply.base);
}

const struct berth_handler version_version = {
    .on_message = version,
};

enum berth_code version_init(const struct berth_host *host, void *prepared, void **ret_instance,
                             struct berth_error *err)
{
    *ret_instance = (void *)(uintptr_t)host->inspect;
    return BERTH_OK;
}
