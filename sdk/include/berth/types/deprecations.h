/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.warning.v1.deprecations: what this daemon was asked to do in a way that is to be given up,
 * for services that tell clients of it. Kept until the daemon ends. Called on the loop's thread.
 */
#ifndef BERTH_TYPES_DEPRECATIONS_H
#define BERTH_TYPES_DEPRECATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_DEPRECATIONS_TYPE "io.containerd.warning.v1"
#define BERTH_DEPRECATIONS_URI "io.containerd.warning.v1.deprecations"

/** Before the ids of what the configuration says; a plugin's own begin with its URI. */
#define BERTH_DEPRECATIONS_CONFIG "io.berth.deprecation/"

/** The longest id and message in bytes, and how many ids are kept. */
#define BERTH_DEPRECATIONS_ID_MAX 512
#define BERTH_DEPRECATIONS_MESSAGE_MAX 4096
#define BERTH_DEPRECATIONS_MAX 1024

struct berth_deprecation {
    uint32_t size;
    /** The same from start to start, for those who look for one. */
    const char *id;
    /** One line: what it is, where, and what to do instead. */
    const char *message;
    /** When it was last met: since 1970, in UTC. */
    int64_t last_seconds;
    int32_t last_nanoseconds;
};

struct berth_deprecations {
    uint32_t size;

    /**
     * Something deprecated was met, now. An id that is there already gets the message and the time. Copied.
     *
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for what is empty, too long or no line of UTF-8;
     *         BERTH_RESOURCE_EXHAUSTED past BERTH_DEPRECATIONS_MAX.
     */
    enum berth_code (*emit)(void *instance, const char *id, const char *message, struct berth_error *err);
    /** In the order in which the ids were first met, until the visitor returns false. What it is shown lives
     * until it returns. */
    void (*each)(void *instance,
                 bool (*on_deprecation)(void *context, const struct berth_deprecation *deprecation),
                 void *context);
};

#ifdef __cplusplus
}
#endif

#endif
