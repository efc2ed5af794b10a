/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.service.v1.introspection-service: who this daemon is and what it found, for services that
 * tell clients of it. Called on the loop's thread; what is handed out lives until the function or visitor
 * returns.
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
    /** The inode of the daemon's PID namespace; 0 where it cannot be known. */
    uint64_t pid_namespace;
};

struct berth_introspection {
    uint32_t size;
    /** What is handed out lives as long as the instance. */
    const struct berth_introspection_server *(*server)(void *instance);
    const struct berth_daemon_info *(*daemon)(void *instance);

    /**
     * Visits the plugins that one of the filters lets through (<berth/filter.h>; none: all), in the plan's
     * order, and files that were refused last. Fields: type, id, uri, status (ok, skip or error), state,
     * module, version, path, condition. One that is not among them is never there, as in containerd.
     *
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a filter that is none, and then nothing was visited.
     */
    enum berth_code (*plugins)(void *instance, const char *const *filters, size_t filter_count,
                               bool (*on_plugin)(void *context, const struct berth_plugin_info *plugin),
                               void *context, struct berth_error *err);

    /** Visits what berth/types/deprecations.h tells of; nothing where no plugin does. */
    void (*deprecations)(void *instance,
                         bool (*on_deprecation)(void *context, const struct berth_deprecation *deprecation),
                         void *context);

    /**
     * Would `plugins` take these filters, and do they ask only for fields that are there?
     *
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT, for an unknown field with those that are known.
     */
    enum berth_code (*check_filters)(void *instance, const char *const *filters, size_t filter_count,
                                     struct berth_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
