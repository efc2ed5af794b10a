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
 *     berth_rpc_server_drain(server, on_drained, self);    what runs may finish
 *     berth_rpc_server_close(server, on_closed, self);     whatever still runs is cut; then the memory goes
 *
 * Everything is called on the thread of the loop. Any of it may be called from inside a handler.
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

enum berth_rpc_log_level {
    BERTH_RPC_LOG_ERROR = 0,
    BERTH_RPC_LOG_WARN = 1,
    BERTH_RPC_LOG_INFO = 2,
    BERTH_RPC_LOG_DEBUG = 3,
};

/** What a server does with the messages that its clients would take compressed. */
enum berth_rpc_compression {
    /** Sends them as they are, unless a handler asks for it. */
    BERTH_RPC_COMPRESS_ON_REQUEST = 0,
    BERTH_RPC_COMPRESS_ALWAYS = 1,
    /** Tells every client that it knows none, neither to send nor to take. */
    BERTH_RPC_COMPRESS_NEVER = 2,
};

/** Bounds on what a peer may cost. A member that is 0 (or that `size` does not reach) has its default. */
struct berth_rpc_server_options {
    /** sizeof(struct berth_rpc_server_options) as the caller compiled it. */
    uint32_t size;

    /** Connections at one time; further ones are closed at once. Default 4096. */
    uint32_t max_connections;
    /** Calls at one time on one connection; further ones are refused, which a client repeats. Default 256. */
    uint32_t max_concurrent_streams;
    /** A request's headers, counted as RFC 9113 6.5.2 does: bytes and 32 for each field. Default 16 KiB. */
    uint32_t max_header_list_bytes;
    /** From accepting a connection to its HTTP/2 preface and settings. Default 10 s. */
    uint32_t handshake_timeout_ms;
    /** How long a peer may read nothing while something is being written to it. Default 60 s. */
    uint32_t write_timeout_ms;

    /** The largest message taken; a larger one ends its call with RESOURCE_EXHAUSTED. Default 16 MiB. */
    uint64_t max_recv_message_bytes;
    /** The largest message sent; `send` refuses a larger one. Default 16 MiB. */
    uint64_t max_send_message_bytes;
    /** Of all unfinished messages that one connection is sending us. Default 4 × max_recv_message_bytes. */
    uint64_t max_unfinished_bytes;
    /**
     * Of all messages waiting for one peer to read. Beyond that `can_send` says no, and `send` refuses those
     * of a stream that has one waiting; the one reply of a unary call is always queued. Default 32 MiB.
     */
    uint64_t max_queued_bytes;

    /** What an operator should know, one sentence without a newline; at most one line a second a cause. */
    void (*on_log)(void *context, enum berth_rpc_log_level level, const char *message);
    void *context;

    /** What calls that came over gRPC have as `transport`: "grpc" by default. Copied. */
    const char *transport;
    enum berth_rpc_compression compression;
    /**
     * Of everything that the whole server keeps for its peers: unfinished messages, messages waiting to be
     * read. One connection has at most as much of it, each way, as is left for the others, so that a few
     * greedy ones never take all. Beyond that calls end with RESOURCE_EXHAUSTED. Default 256 MiB; at least
     * twice max_recv_message_bytes.
     */
    uint64_t max_buffered_bytes;

    /** A connection on which nothing came for so long is pinged; UINT32_MAX: never. Default 2 h. */
    uint32_t keepalive_time_ms;
    /** How long its answer may take before the connection is lost. Default 20 s. */
    uint32_t keepalive_timeout_ms;
    /**
     * How often a peer may ping, apart from pings behind what is sent to it; oftener ends its connection.
     * Default 5 min, and 2 h on a connection without calls.
     */
    uint32_t min_ping_interval_ms;
    /** A connection without calls for so long is drained; 0: never. */
    uint32_t max_idle_ms;
    /** A connection as old as this, give or take a tenth, is drained; 0: never. */
    uint32_t max_age_ms;
    /** What runs on a connection that is drained for its age may take so long; 0: for ever. */
    uint32_t max_age_grace_ms;
    /**
     * How long a gRPC peer may take over an HTTP/2 frame, or a header block, that it has begun to send; then
     * its connection is closed. 0: unlimited.
     */
    uint32_t frame_timeout_ms;
    /**
     * Connections of one network peer at one time: of an IPv4 address, or of the /64 of an IPv6 address.
     * Further ones are closed at once. Unix sockets are not counted. 0: unlimited.
     */
    uint32_t max_connections_per_peer;
};

/** What the server has done and holds. */
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

/** Where to listen. */
struct berth_rpc_unix_options {
    uint32_t size;
    /** Absolute or relative; at most 107 bytes, as the kernel has it. Copied. */
    const char *path;
    /** Permission bits of the socket; 0: 0660. */
    mode_t mode;
    /** Owner and group of the socket; (uid_t)-1 and (gid_t)-1 leave them. Only read where `set_owner`. */
    bool set_owner;
    uid_t uid;
    gid_t gid;
    /**
     * What is spoken here; one server may listen for both. Calls over ttrpc say "ttrpc" as their transport.
     * The protocol has no headers, no trailers, no compression and no message above 4 MiB: metadata that a
     * handler adds is dropped. It has no flow control either: of a call that takes nothing 64 messages or 4
     * MiB wait, then its connection is not read for a second, then the call ends with RESOURCE_EXHAUSTED.
     */
    enum berth_rpc_protocol protocol;
};

struct berth_rpc_tcp_options {
    uint32_t size;
    /** "127.0.0.1:50051", "[::1]:50051"; port 0: any that is free. No names. Copied. */
    const char *address;
    /** NULL: in clear. Read before listen returns; what the files hold is kept. TLS 1.2 or newer, ALPN "h2".
     */
    const struct berth_rpc_tls_options *tls;
};

/**
 * Makes a server that listens nowhere yet.
 *
 * @param options  NULL for all defaults; copied.
 * @param router   Opens the calls; must outlive the server.
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED without memory; BERTH_INVALID_ARGUMENT for a bound that is
 *         out of its range.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_create(uv_loop_t *loop,
                                                      const struct berth_rpc_server_options *options,
                                                      const struct berth_router *router,
                                                      struct berth_rpc_server **ret_server,
                                                      struct berth_error *err);

/**
 * Listens on a unix socket; may be called for several paths. The socket appears under its name only
 * when it is listening, with its mode and owner. A socket that nobody answers is replaced. The file goes when
 * the server closes, if it is still ours. Beside it lies `<path>.lock`, which is held as long as we listen
 * and left behind.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a path that is empty or too long; BERTH_ALREADY_EXISTS where
 *         a live process listens there (its pid is in `err`) or the path is no socket;
 *         BERTH_PERMISSION_DENIED, BERTH_NOT_FOUND (no such folder) or BERTH_UNAVAILABLE with the reason.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_listen_unix(struct berth_rpc_server *server,
                                                           const struct berth_rpc_unix_options *options,
                                                           struct berth_error *err);

/**
 * Reads the files as listening would, and says what is wrong with them. Needs no server; on any thread.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT or BERTH_PERMISSION_DENIED with the file and what is wrong with
 * it; BERTH_UNAVAILABLE where TLS is not installed; BERTH_RESOURCE_EXHAUSTED.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_check_tls(const struct berth_rpc_tls_options *options,
                                                         struct berth_error *err);

/**
 * Listens for gRPC on a TCP address; may be called for several.
 *
 * @param ret_port  The port that is listened on, of interest where the address says 0. May be NULL.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an address or a certificate that is none, with its file and
 *         what is wrong with it; BERTH_ALREADY_EXISTS where the address is taken; BERTH_PERMISSION_DENIED;
 *         BERTH_UNAVAILABLE with the reason.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_listen_tcp(struct berth_rpc_server *server,
                                                          const struct berth_rpc_tcp_options *options,
                                                          uint16_t *ret_port, struct berth_error *err);

/**
 * Serves one connected stream socket that somebody else accepted, such as an end of a socketpair.
 * The descriptor belongs to the server from BERTH_OK on; otherwise it stays the caller's.
 */
BERTH_RPC_API enum berth_code berth_rpc_server_adopt(struct berth_rpc_server *server, int fd,
                                                     struct berth_error *err);

/**
 * Takes no further connections, tells the peers to go elsewhere (GOAWAY twice) and lets what runs finish.
 * Has no deadline of its own: the owner calls close when it has waited enough.
 *
 * @param on_drained  Called once, when no connection is left, possibly before this returns; not called
 *                    where close comes first. May be NULL.
 */
BERTH_RPC_API void berth_rpc_server_drain(struct berth_rpc_server *server, void (*on_drained)(void *context),
                                          void *context);

/**
 * Ends everything: calls still running are cancelled, their peers told UNAVAILABLE. The server must not be
 * used after this.
 *
 * @param on_closed  Called once, from the loop, when every handle is closed and the memory is gone.
 *                   May be NULL.
 */
BERTH_RPC_API void berth_rpc_server_close(struct berth_rpc_server *server, void (*on_closed)(void *context),
                                          void *context);

/** Fills the members that `stats->size` reaches. */
BERTH_RPC_API void berth_rpc_server_get_stats(const struct berth_rpc_server *server,
                                              struct berth_rpc_server_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
