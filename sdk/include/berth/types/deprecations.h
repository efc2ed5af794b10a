/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.warning.v1.deprecations: the deprecated settings and API uses met by this daemon, for
 * services that list them. Kept until the daemon exits. Called on the loop's thread.
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

/** Prefix of ids that come from the configuration; a plugin's own ids begin with its URI. */
#define BERTH_DEPRECATIONS_CONFIG "io.berth.deprecation/"

/** Maximum length of an id and of a message in bytes, and maximum number of ids. */
#define BERTH_DEPRECATIONS_ID_MAX 512
#define BERTH_DEPRECATIONS_MESSAGE_MAX 4096
#define BERTH_DEPRECATIONS_MAX 1024

struct berth_deprecation {
    uint32_t size;
    /** Identifies it across restarts. */
    const char *id;
    /** One line: what it is, where, and what to use instead. */
    const char *message;
    /** When it was last met: seconds since 1970, UTC. */
    int64_t last_seconds;
    int32_t last_nanoseconds;
};

struct berth_deprecations {
    uint32_t size;

    /**
     * Reports that something deprecated was met just now. A known id gets the new message and time. Copied.
     *
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT if the id or message is empty, too long or not one line of
     *         UTF-8; BERTH_RESOURCE_EXHAUSTED beyond BERTH_DEPRECATIONS_MAX.
     */
    enum berth_code (*emit)(void *instance, const char *id, const char *message, struct berth_error *err);
    /**
     * Visits them in the order in which their ids were first met, until the visitor returns false. The
     * argument lives until the visitor returns.
     */
    void (*each)(void *instance,
                 bool (*on_deprecation)(void *context, const struct berth_deprecation *deprecation),
                 void *context);
};

#ifdef __cplusplus
}
#endif

#endif
