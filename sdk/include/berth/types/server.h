/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every server of type io.containerd.server.v1 that says `interface: berth_server`: who is connected to it.
 * The host asks it on behalf of berth_inspect; no plugin requires it, so that services can show connections
 * without waiting for the servers that wait for them. Called on the loop's thread.
 */
#ifndef BERTH_TYPES_SERVER_H
#define BERTH_TYPES_SERVER_H

#include <berth/inspect.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The value of `interface` in the manifest of a plugin that provides a struct berth_server. */
#define BERTH_SERVER_INTERFACE "berth_server"

struct berth_server {
    uint32_t size;
    /**
     * Visits the open connections until the visitor returns false. `server` may be NULL, because the host
     * fills it in; `number` is the server's own, never used twice.
     */
    void (*each_connection)(void *instance,
                            bool (*on_connection)(void *context, const struct berth_connection *connection),
                            void *context);
    /**
     * Closes a connection soon: its calls end as UNAVAILABLE.
     * @return BERTH_OK; BERTH_NOT_FOUND if no open connection has the number.
     */
    enum berth_code (*close_connection)(void *instance, uint64_t number, struct berth_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
