/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.service.v1.introspection-service: the daemon's identity and plugins, for services that show
 * them to clients. Called on the loop's thread; results live until the function or visitor returns.
 */
#ifndef BERTH_TYPES_INTROSPECTION_H
#define BERTH_TYPES_INTROSPECTION_H

#include <berth/inspect.h>
#include <berth/types/deprecations.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_INTROSPECTION_URI "io.containerd.service.v1.introspection-service"

struct berth_introspection_server {
    uint32_t size;
    /** Random, kept across restarts. Lives as long as the instance. */
    const char *uuid;
    uint64_t pid;
    /** Inode of the daemon's PID namespace; 0 if unknown. */
    uint64_t pid_namespace;
};

struct berth_introspection {
    uint32_t size;
    /** The results live as long as the instance. */
    const struct berth_introspection_server *(*server)(void *instance);
    const struct berth_daemon_info *(*daemon)(void *instance);

    /**
     * Visits the plugins that match at least one filter (<berth/filter.h>; none: all) in the plan's order,
     * then rejected files. Fields: type, id, uri, status (ok, skip or error), state, module, version, path,
     * condition. A filter on any other field never matches, as in containerd.
     *
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid filter, before anything was visited.
     */
    enum berth_code (*plugins)(void *instance, const char *const *filters, size_t filter_count,
                               bool (*on_plugin)(void *context, const struct berth_plugin_info *plugin),
                               void *context, struct berth_error *err);

    /** Visits the deprecations of berth/types/deprecations.h; none if no plugin collects them. */
    void (*deprecations)(void *instance,
                         bool (*on_deprecation)(void *context, const struct berth_deprecation *deprecation),
                         void *context);

    /**
     * Are these filters valid for `plugins`, and do they use only known fields?
     *
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT; for an unknown field, the message lists the known ones.
     */
    enum berth_code (*check_filters)(void *instance, const char *const *filters, size_t filter_count,
                                     struct berth_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
