/* SPDX-License-Identifier: Apache-2.0 */
/* A server of libberth-rpc as a plugin: how its settings become its options, and how it ends. */
#ifndef SERVERS_SERVER_H
#define SERVERS_SERVER_H

#include <berth/plugin.h>
#include <berth/rpc/server.h>

/** First member of an instance. */
struct server {
    const struct berth_host *host;
    /** The unix socket, or the TCP address with the port that is listened on. Owned. */
    char *address;
    struct berth_rpc_server *rpc;
    /** Frees the instance, this struct included. */
    void (*destroy)(struct server *self);
    /** The host waits for the end of a drain. */
    bool drain_is_pending;
    bool drained;
};

/** Rounded up, so that a short time does not become the 0 that means another thing. */
static inline uint32_t server_milliseconds(int64_t nanoseconds)
{
    return (uint32_t)((nanoseconds + 999999) / 1000000);
}

/** What the settings of every server say, as members of struct berth_rpc_server_options. */
#define SERVER_OPTIONS(config)                                                                               \
    .size = sizeof(struct berth_rpc_server_options), .max_connections = (uint32_t)(config)->max_connections, \
    .max_concurrent_streams = (uint32_t)(config)->max_concurrent_streams,                                    \
    .max_header_list_bytes = (uint32_t)(config)->max_header_list_bytes,                                      \
    .write_timeout_ms = server_milliseconds((config)->write_timeout),                                        \
    .max_recv_message_bytes = (uint64_t)(config)->max_recv_message_bytes,                                    \
    .max_send_message_bytes = (uint64_t)(config)->max_send_message_bytes,                                    \
    .max_unfinished_bytes =                                                                                  \
        (config)->has_max_unfinished_bytes ? (uint64_t)(config)->max_unfinished_bytes : 0,                   \
    .max_queued_bytes = (uint64_t)(config)->max_queued_bytes,                                                \
    .max_buffered_bytes = (uint64_t)(config)->max_buffered_bytes,                                            \
    .max_idle_ms = server_milliseconds((config)->max_idle),                                                  \
    .max_age_ms = server_milliseconds((config)->max_age),                                                    \
    .max_age_grace_ms = server_milliseconds((config)->max_age_grace)

/** What those that speak HTTP/2 have besides. */
#define SERVER_HTTP2_OPTIONS(config)                                                                         \
    .handshake_timeout_ms = server_milliseconds((config)->handshake_timeout),                                \
    .frame_timeout_ms = server_milliseconds((config)->frame_timeout),                                        \
    .compression = (enum berth_rpc_compression)(config)->compression,                                        \
    .keepalive_time_ms =                                                                                     \
        (config)->keepalive_time == 0 ? UINT32_MAX : server_milliseconds((config)->keepalive_time),          \
    .keepalive_timeout_ms = server_milliseconds((config)->keepalive_timeout),                                \
    .min_ping_interval_ms =                                                                                  \
        (config)->has_min_ping_interval ? server_milliseconds((config)->min_ping_interval) : 0

/** What the settings of those on unix sockets say, as members of struct berth_rpc_unix_options. */
#define SERVER_UNIX_OPTIONS(config)                                                                          \
    .size = sizeof(struct berth_rpc_unix_options), .mode = (mode_t)strtoul((config)->mode, NULL, 8),         \
    .set_owner = (config)->has_uid || (config)->has_gid,                                                     \
    .uid = (config)->has_uid ? (uid_t)(config)->uid : (uid_t)-1,                                             \
    .gid = (config)->has_gid ? (gid_t)(config)->gid : (gid_t)-1

/**
 * Makes the server, with its log in the host's.
 * @param options  `on_log` and `context` are set here.
 */
enum berth_code server_init(struct server *self, struct berth_rpc_server_options *options,
                            struct berth_error *err);
/** The same for one on a unix socket, whose address is known and exported from then on: the configured one,
 * or `name` in the daemon's state folder. */
enum berth_code server_init_unix(struct server *self, const char *configured, const char *name,
                                 struct berth_rpc_server_options *options, struct berth_error *err);
/** Takes `address` over, which may be NULL where memory is out, and has others see it. */
enum berth_code server_export(struct server *self, char *address, struct berth_error *err);
/** Listens at `self->address`; `path` is set here. */
enum berth_code server_listen_unix(struct server *self, struct berth_rpc_unix_options *options,
                                   struct berth_error *err);
/** The callbacks `drain` and `close` of a plugin. */
enum berth_code server_drain(struct server *self);
enum berth_code server_close(struct server *self);
/** For `destroy`: what is in this struct. */
void server_finish(struct server *self);

#endif
