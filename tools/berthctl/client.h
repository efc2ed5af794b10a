/* SPDX-License-Identifier: Apache-2.0 */
/* The questions that berthctl asks a daemon, over its gRPC socket. */
#ifndef BERTHCTL_CLIENT_H
#define BERTHCTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/rpc/transport.h>
#include <containerd/services/introspection/v1/introspection.pb-c.h>
#include <containerd/services/version/v1/version.pb-c.h>

#include "plugin_list.h"

struct client {
    const char *address;
    uint64_t timeout_ms;
    /** NULL: in clear. */
    const struct berth_rpc_tls_options *tls;
};

/**
 * Everything about plugins.
 *
 * @param filters  in containerd's grammar; any of them.
 * @param all      also those that never could run, and refused files.
 * @return BERTH_OK; else how the call ended: BERTH_UNAVAILABLE where there is no daemon.
 */
enum berth_code client_plugins(const struct client *client, char *const *filters, size_t count, bool all,
                               struct plugin_list *ret_list, struct berth_error *err);

/** The rest are one call and one answer each, to be freed as protobuf-c has it. */
enum berth_code client_introspect(const struct client *client, char *const *filters, size_t count,
                                  Containerd__Services__Introspection__V1__PluginsResponse **ret_answer,
                                  struct berth_error *err);
enum berth_code client_server(const struct client *client,
                              Containerd__Services__Introspection__V1__ServerResponse **ret_answer,
                              struct berth_error *err);
enum berth_code client_version(const struct client *client,
                               Containerd__Services__Version__V1__VersionResponse **ret_answer,
                               struct berth_error *err);
enum berth_code client_daemon(const struct client *client, Berth__Inspect__V1__DaemonResponse **ret_answer,
                              struct berth_error *err);

#endif
