/* SPDX-License-Identifier: Apache-2.0 */
/* The questions that berthctl asks a daemon, over its gRPC socket. */
#ifndef BERTHCTL_DAEMON_CLIENT_H
#define BERTHCTL_DAEMON_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/rpc/transport.h>
#include <containerd/services/introspection/v1/introspection.pb-c.h>
#include <containerd/services/version/v1/version.pb-c.h>

#include <tools/berthctl/plugin/list.h>

struct client {
    const char *address;
    uint64_t timeout_ms;
    /** NULL: in clear. */
    const struct berth_rpc_tls_options *tls;
};

/** A call with many answers. */
struct client_stream {
    const char *path;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *answer;
    /** Takes the message over. */
    void (*on_message)(void *context, ProtobufCMessage *message);
    void *context;
    /** The time limit is for the daemon to begin; SIGINT and SIGTERM end the call well. */
    bool is_endless;
    /** Set if the call ended because another generation of the plugin takes over: it may be made again at
     * once. May be NULL. */
    bool *ret_is_replaced;
};

/** @return BERTH_OK; else how the call ended: BERTH_UNAVAILABLE if there is no daemon. */
enum berth_code client_stream(const struct client *client, const struct client_stream *what,
                              struct berth_error *err);

/** One call and one answer, to be freed as protobuf-c has it. @param ret_answer  a pointer to a message. */
enum berth_code client_ask(const struct client *client, const char *path, const ProtobufCMessage *request,
                           const ProtobufCMessageDescriptor *answer, void *ret_answer,
                           struct berth_error *err);

/**
 * Everything about plugins.
 *
 * @param filters  in containerd's grammar; any of them.
 * @param all      also those that never could run, and refused files.
 * @return BERTH_OK; else how the call ended: BERTH_UNAVAILABLE if there is no daemon.
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
enum berth_code client_costs(const struct client *client, Berth__Inspect__V1__CostsResponse **ret_answer,
                             struct berth_error *err);
enum berth_code client_settings(const struct client *client, const char *uri,
                                Berth__Inspect__V1__SettingsResponse **ret_answer, struct berth_error *err);
enum berth_code client_daemon(const struct client *client, Berth__Inspect__V1__DaemonResponse **ret_answer,
                              struct berth_error *err);

#endif
