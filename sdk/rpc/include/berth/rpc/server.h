/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC and ttrpc server on a libuv loop. It speaks HTTP/2 or ttrpc to its peers and opens each call at a
 * `struct berth_router`: the host's own, or a `struct berth_rpc_services` in a program without a host.
 *
 *     const struct berth_rpc_unix_options where = {.size = sizeof(where), .path = "/run/x.sock"};
 *
 *     berth_rpc_server_create(loop, NULL, router, &server, &err);
 *     berth_rpc_server_listen_unix(server, &where, &err);
 *     …
 *     berth_rpc_server_drain(server, on_drained, self);    calls in flight may finish
 *     berth_rpc_server_close(server, on_closed, self);     cancels the rest and frees the server
 *
 * Call everything on the thread of the loop; any of it may be called inside a handler.
 */
#ifndef BERTH_RPC_SERVER_H
#define BERTH_RPC_SERVER_H

#include <sys/types.h>

#include <uv.h>

#include <berth/error.h>
#include <berth/router.h>
#include <berth/rpc/export.h>
#include <berth/rpc/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_rpc_server;
/** One address that a server listens on; ends with berth_rpc_listener_close, or with its server. */
struct berth_rpc_listener;

enum berth_rpc_log_level {
    BERTH_RPC_LOG_ERROR = 0,
    BERTH_RPC_LOG_WARN = 1,
    BERTH_RPC_LOG_INFO = 2,
    BERTH_RPC_LOG_DEBUG = 3,
};

/** When a server compresses messages for clients that accept it. */
enum berth_rpc_compression {
    /** Where a handler asks for it. */
    BERTH_RPC_COMPRESS_ON_REQUEST = 0,
    BERTH_RPC_COMPRESS_ALWAYS = 1,
    /** Never; compressed requests are refused too. */
    BERTH_RPC_COMPRESS_NEVER = 2,
};

/** Limits on what peers can consume. A member that is 0, or beyond `size`, has its default. */
struct berth_rpc_server_options {
    /** sizeof(struct berth_rpc_server_options) as the caller compiled it. */
    uint32_t size;

    /** Concurrent connections; further ones are closed at once. Default 4096. */
    uint32_t max_connections;
    /** Concurrent calls of one connection; further ones get REFUSED_STREAM, which clients retry. Default 256.
     */
    uint32_t max_concurrent_streams;
    /** A request's headers, counted as RFC 9113 6.5.2 does: bytes and 32 for each field. Default 16 KiB. */
    uint32_t max_header_list_bytes;
    /** Time from accept to the HTTP/2 preface and SETTINGS. Default 10 s. */
    uint32_t handshake_timeout_ms;
    /** Time in which a peer must read some of the data being written to it. Default 60 s. */
    uint32_t write_timeout_ms;

    /** Largest message accepted; a larger one ends its call with RESOURCE_EXHAUSTED. Default 16 MiB. */
    uint64_t max_recv_message_bytes;
    /** Largest message sent; `send` refuses a larger one. Default 16 MiB. */
    uint64_t max_send_message_bytes;
    /** Incomplete messages of one connection, together. Default 4 × max_recv_message_bytes. */
    uint64_t max_unfinished_bytes;
    /**
     * Messages waiting for one peer to read. Beyond that `can_send` says no, and `send` refuses messages of a
     * stream that already has one waiting; the one reply of a unary call is always queued. Default 32 MiB.
     */
    uint64_t max_queued_bytes;

    /** Log line without a newline; at most one per second and cause. */
    void (*on_log)(void *context, enum berth_rpc_log_level level, const char *message);
    void *context;

    /** `transport` of calls over gRPC. Default "grpc". Copied. */
    const char *transport;
    enum berth_rpc_compression compression;
    /**
     * Everything the server buffers for its peers: incomplete messages, and messages waiting to be read. One
     * connection gets at most as much, each way, as is left for the others, so that a few greedy ones never
     * take it all. Beyond that calls end with RESOURCE_EXHAUSTED. Default 256 MiB; at least
     * twice max_recv_message_bytes.
     */
    uint64_t max_buffered_bytes;

    /** Silence after which a connection is pinged; UINT32_MAX: never. Default 2 h. */
    uint32_t keepalive_time_ms;
    /** Time to respond before the connection is closed. Default 20 s. */
    uint32_t keepalive_timeout_ms;
    /**
     * Shortest interval of a peer's pings, not counting those that follow data sent to it; clients that ping
     * more often are disconnected. Default 5 min, and 2 h on a connection without calls.
     */
    uint32_t min_ping_interval_ms;
    /** Idle time (no calls) before a connection is drained; 0: unlimited. */
    uint32_t max_idle_ms;
    /** Age (±10 %) at which a connection is drained; 0: unlimited. */
    uint32_t max_age_ms;
    /** Time for the calls of a connection that is drained for its age; 0: unlimited. */
    uint32_t max_age_grace_ms;
    /**
     * Time for a gRPC peer to complete an HTTP/2 frame, header block or TLS record once begun, before its
     * connection is closed. 0: unlimited.
     */
    uint32_t frame_timeout_ms;
    /**
     * Concurrent connections of one network peer: an IPv4 address, or the /64 of an IPv6 address. Further
     * ones are closed at once. Unix sockets are not counted. 0: unlimited.
     */
    uint32_t max_connections_per_peer;
};

/** Counters and gauges of a server. */
struct berth_rpc_server_stats {
    uint32_t size;
    uint32_t connections;
    uint32_t calls;
    uint64_t connections_accepted;
    uint64_t connections_refused;
    uint64_t calls_opened;
    /** By grpc-status as sent; cancelled calls count as CANCELLED. */
    uint64_t calls_ended[17];
    uint64_t bytes_received;
    uint64_t bytes_sent;
};

/** One open connection. */
struct berth_rpc_connection_info {
    uint32_t size;
    /** From 1, in the order of accept; never used twice by one server. */
    uint64_t number;
    /** As in struct berth_call. Lives until the visitor returns. */
    const char *transport;
    const struct berth_peer *peer;
    /** When it was accepted, on the clock of uv_hrtime(). */
    uint64_t since_ns;
    /** In flight. */
    uint32_t calls;
};

/** Where to listen. */
struct berth_rpc_unix_options {
    uint32_t size;
    /** Absolute or relative; at most 107 bytes. Copied. */
    const char *path;
    /** Permission bits of the socket; 0: 0660. */
    mode_t mode;
    /** Owner and group of the socket; (uid_t)-1 and (gid_t)-1 leave them. Only used with `set_owner`. */
    bool set_owner;
    uid_t uid;
    gid_t gid;
    /**
     * Protocol of this socket; one server may listen for both. Calls over ttrpc have the transport "ttrpc".
     * ttrpc has no headers, trailers or compression, and no messages above 4 MiB: metadata that a handler
     * adds is dropped. Nor has it flow control: once 64 messages or 4 MiB wait for a paused call, its
     * connection is not read for a second, and then the call ends with RESOURCE_EXHAUSTED.
     */
    enum berth_rpc_protocol protocol;
};

struct berth_rpc_tcp_options {
    uint32_t size;
    /** "127.0.0.1:50051", "[::1]:50051"; port 0: any free port. No host names. Copied. */
    const char *address;
    /** NULL: no TLS. Files are read before listen returns. TLS 1.2 or newer, ALPN "h2" or "http/1.1". */
    const struct berth_rpc_tls_options *tls;
    /** gRPC or HTTP/1.1. */
    enum berth_rpc_protocol protocol;
};

/**
 * Creates a server that does not listen yet.
 *
 * @param options  NULL: defaults. Copied.
 * @param router   Opens the calls; must outlive the server.
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED without memory; BERTH_INVALID_ARGUMENT for a limit that is
 *         out of range.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_create(uv_loop_t *loop,
                                                      const struct berth_rpc_server_options *options,
                                                      const struct berth_router *router,
                                                      struct berth_rpc_server **ret_server,
                                                      struct berth_error *err);

/**
 * Listens on a unix socket; may be called for several paths. The socket appears under its name once it is
 * listening, with its mode and owner. A stale socket is replaced. The file is removed when the server closes,
 * if it is still ours. `<path>.lock` beside it is locked while we listen, and left behind.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a path that is empty or too long; BERTH_ALREADY_EXISTS if
 *         a live process is listening there (its pid is in `err`) or the path is not a socket;
 *         BERTH_PERMISSION_DENIED, BERTH_NOT_FOUND (no such folder) or BERTH_UNAVAILABLE with the reason.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_listen_unix(struct berth_rpc_server *server,
                                                           const struct berth_rpc_unix_options *options,
                                                           struct berth_error *err);

/**
 * Checks the files as listening would. Needs no server; from any thread.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT or BERTH_PERMISSION_DENIED with the file and what is wrong with
 * it; BERTH_UNAVAILABLE if TLS is not installed; BERTH_RESOURCE_EXHAUSTED.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_check_tls(const struct berth_rpc_tls_options *options,
                                                         struct berth_error *err);

/**
 * Listens on a TCP address; may be called for several.
 *
 * @param ret_port  The actual port, for an address with port 0. May be NULL.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid address or protocol, or with the file that cannot
 *         be used and why; BERTH_ALREADY_EXISTS if the address is in use; BERTH_PERMISSION_DENIED;
 *         BERTH_UNAVAILABLE with the reason.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_listen_tcp(struct berth_rpc_server *server,
                                                          const struct berth_rpc_tcp_options *options,
                                                          uint16_t *ret_port, struct berth_error *err);

/** A socket that listens already. */
struct berth_rpc_socket_options {
    uint32_t size;
    /** For people: the address. NULL: as the kernel names it. Copied. */
    const char *name;
    enum berth_rpc_protocol protocol;
    /** As in struct berth_rpc_tcp_options; for TCP. */
    const struct berth_rpc_tls_options *tls;
    /** Connections that may wait to be accepted; 0: 1024. */
    uint32_t backlog;
    /**
     * Watch the files of `tls`: connections accepted after a change get the new ones. Files that cannot be
     * used leave those in use, with a warning that says why.
     */
    bool follows_tls;
};

/**
 * Accepts connections from a listening unix or TCP socket that somebody else has opened, such as a plugin's
 * host. The descriptor belongs to the server on BERTH_OK; otherwise it stays the caller's. The file of a unix
 * socket is the caller's in any case.
 *
 * @param ret_listener  May be NULL.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT if it is not a listening stream socket, or with the file of `tls`
 *         that cannot be used and why; BERTH_UNAVAILABLE with the reason; BERTH_RESOURCE_EXHAUSTED.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_listen_socket(struct berth_rpc_server *server, int fd,
                                                             const struct berth_rpc_socket_options *options,
                                                             struct berth_rpc_listener **ret_listener,
                                                             struct berth_error *err);

/**
 * Replaces the limits and times of a running server; its transport and its log stay. Connections keep what
 * was agreed with their peers when they were accepted: the number of concurrent calls, the size of headers,
 * and the intervals of keepalive pings.
 *
 * @param options  NULL: defaults.
 * @return as berth_rpc_server_create; on an error nothing has changed.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_set_options(struct berth_rpc_server *server,
                                                           const struct berth_rpc_server_options *options,
                                                           struct berth_error *err);

/**
 * Reads the files of `tls` and uses them for connections accepted from now on; others keep what they have.
 *
 * @return BERTH_OK; as berth_rpc_server_check_tls, and then the listener goes on with what it had;
 *         BERTH_FAILED_PRECONDITION for a listener without TLS, or for NULL on one with TLS.
 */
BERTH_RPC_API enum berth_code berth_rpc_listener_set_tls(struct berth_rpc_listener *listener,
                                                         const struct berth_rpc_tls_options *tls,
                                                         struct berth_error *err);

/** Accepts nothing further there. Connections stay. The listener must not be used afterwards. */
BERTH_RPC_API void berth_rpc_listener_close(struct berth_rpc_listener *listener);

/**
 * Serves a connected stream socket, such as one end of a socketpair. On BERTH_OK the descriptor belongs to
 * the server; otherwise it stays the caller's.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_adopt(struct berth_rpc_server *server, int fd,
                                                     struct berth_error *err);

/**
 * Accepts no further connections, sends GOAWAY to the peers (twice) and lets calls in flight finish. A peer
 * without calls has a few round trips to answer in between, since an idle one may not read. Has no
 * deadline: the owner calls close when it has waited long enough.
 *
 * @param on_drained  Called once, when no connection is left, possibly before this returns; not called
 *                    if close is called first, or the server listens again. May be NULL.
 */
BERTH_RPC_API void berth_rpc_server_drain(struct berth_rpc_server *server, void (*on_drained)(void *context),
                                          void *context);

/**
 * As berth_rpc_server_drain, for a server whose successor listens already: peers that cannot be asked to
 * leave, because ttrpc has no message for it, stay until they close their connections. berth_rpc_server_drain
 * may follow.
 */
BERTH_RPC_API void berth_rpc_server_retire(struct berth_rpc_server *server, void (*on_drained)(void *context),
                                           void *context);

/**
 * Closes everything: calls in flight are cancelled, and their callers get UNAVAILABLE. The server must not be
 * used afterwards.
 *
 * @param on_closed  Called once, from the loop, when every handle is closed and the server is freed.
 *                   May be NULL.
 */
BERTH_RPC_API void berth_rpc_server_close(struct berth_rpc_server *server, void (*on_closed)(void *context),
                                          void *context);

/** Fills the members that `stats->size` reaches. */
BERTH_RPC_API void berth_rpc_server_get_stats(const struct berth_rpc_server *server,
                                              struct berth_rpc_server_stats *stats);

/** Visits the open connections, the newest first, until the visitor returns false. */
BERTH_RPC_API void berth_rpc_server_each_connection(
    const struct berth_rpc_server *server,
    bool (*on_connection)(void *context, const struct berth_rpc_connection_info *connection), void *context);

/**
 * Closes a connection at the end of this turn of the loop: calls in flight are cancelled, and their caller
 * gets UNAVAILABLE.
 *
 * @return BERTH_OK; BERTH_NOT_FOUND if no open connection has the number.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_close_connection(struct berth_rpc_server *server,
                                                                uint64_t number, struct berth_error *err);

#ifdef __cplusplus
}
#endif

#endif
