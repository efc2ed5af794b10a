/* SPDX-License-Identifier: Apache-2.0 */
/* Answers containerd's version service with the daemon's own version. */
#include "version-plugin.h"

static void version(struct berth_call *call, const Google__Protobuf__Empty *request)
{
    const struct berth_inspect *inspect = call->instance;
    Containerd__Services__Version__V1__VersionResponse reply =
        CONTAINERD__SERVICES__VERSION__V1__VERSION_RESPONSE__INIT;

    reply.version = (char *)(uintptr_t)inspect->daemon->version;
    reply.revision = (char *)(uintptr_t)inspect->daemon->revision;
    containerd_services_version_v1_version_version_reply(call, &reply);
}

const struct containerd_services_version_v1_version_handlers version_version_handlers = {
    .version = {.on_message = version},
};

enum berth_code version_init(const struct berth_host *host, void *prepared, void **ret_instance,
                             struct berth_error *err)
{
    *ret_instance = (void *)(uintptr_t)host->inspect;
    return BERTH_OK;
}
