/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_SERVER_H
#define RPC_SERVER_SERVER_H

#include <sys/queue.h>
#include <time.h>

#include <berth/rpc/http.h>
#include <berth/rpc/server.h>

#include <sdk/base/unix_socket.h>
#include <sdk/rpc/socket/greeting.h>
#include <sdk/rpc/http2/http2.h>
#include <sdk/rpc/http2/http_message.h>
#include <sdk/rpc/message/inbox.h>
#include <sdk/rpc/message/outflow.h>
#include <sdk/rpc/socket/peer.h>
#include <sdk/rpc/base/pool.h>
#include <sdk/rpc/http2/request.h>
#include <sdk/rpc/tls/tls.h>

#include "tls_files.h"

/** The subject of a log line; each may log once a second. */
enum server_cause {
    SERVER_CAUSE_REFUSED,
    SERVER_CAUSE_ACCEPT,
    SERVER_CAUSE_LOST,
    SERVER_CAUSE_TLS,
    SERVER_CAUSE_ABUSE,
    SERVER_CAUSE_PROTOCOL,
    SERVER_CAUSE_MALFORMED,
    SERVER_CAUSE_DROPPED,
    SERVER_CAUSE_UNSENT,
    SERVER_CAUSE_FULL,
    SERVER_CAUSE_ODD,
    SERVER_CAUSE_FOREIGN,
    SERVER_CAUSES,
};

struct server_protocol;

/** A server's own copy of struct berth_rpc_connect_options. */
struct connect_settings {
    const struct berth_rpc_connect_json *json;
    char **origins;
    size_t origin_count;
    char **headers;
    size_t header_count;
    uint32_t max_age_s;
};

/** A server's own copy of struct berth_rpc_http_options. Zero-initialised: no handlers. */
struct http1_mounts {
    struct berth_rpc_http_mount *items;
    size_t count;
    char **hosts;
    size_t host_count;
    uint32_t head_timeout_ms;
    uint32_t body_timeout_ms;
    /** NULL: no calls. */
    struct connect_settings *connect;
};

void http1_mounts_finish(struct http1_mounts *mounts);

/** One address that is listened on. */
struct berth_rpc_listener {
    LIST_ENTRY(berth_rpc_listener) link;
    struct berth_rpc_server *server;
    const struct server_protocol *protocol;
    union socket_handle socket;
    /** Of a unix socket that the server has opened itself. */
    struct unix_socket place;
    bool has_place;
    /** NULL: no TLS. */
    struct tls_context *tls;
    /** For people. */
    char *name;
    bool is_closing;
    /** Its TLS files, if they are watched. */
    struct tls_files *files;
    /** Handles that are not closed. */
    unsigned open_handles;
    /** A connection that is closed at once, and whether a further one waits behind it. */
    union socket_handle refused;
    bool is_refusing;
    bool has_waiting;
};

#define SERVER_PEER_KEY 16
#define SERVER_PEER_BUCKETS 64

/** A network peer that has connections. */
struct server_peer {
    LIST_ENTRY(server_peer) link;
    /** Its IPv6 address, or an IPv4 address mapped into one. */
    unsigned char key[SERVER_PEER_KEY];
    uint32_t connections;
};

/** A rate limit for actions that cost a peer little: `burst` at once, and then this many per second. */
struct allowance {
    uint64_t last_ns;
    uint32_t left;
};

struct berth_rpc_server {
    const struct berth_router *router;
    struct berth_rpc_server_options limits;
    char *transport;
    nghttp2_session_callbacks *callbacks;
    /** For TCP; and for unix sockets, where requests are checked here. */
    nghttp2_option *option;
    nghttp2_option *unix_option;
    /**
     * The protocols spoken here: one for each address, the other for clients that connect to it by mistake.
     */
    const struct server_protocol *grpc;
    const struct server_protocol *ttrpc;
    struct http1_mounts http;
    /** The Date field of responses, and the second it was made for. */
    char date[40];
    time_t dated;
    LIST_HEAD(, server_connection) connections;
    LIST_HEAD(, berth_rpc_listener) listeners;
    LIST_HEAD(server_peers, server_peer) peers[SERVER_PEER_BUCKETS];
    struct berth_rpc_server_stats stats;
    /** All that is kept for peers: the parent of what each connection has. */
    struct budget buffered;
    uint64_t refusals_told;
    uint64_t logged_ns[SERVER_CAUSES];
    struct turn_task close_task;
    /** Of the newest connection. */
    uint64_t last_number;
    /** Ends the connections marked for closing. */
    struct turn_task end_task;
    /** Memory of calls that ended. */
    struct spares http2_calls;
    struct spares ttrpc_calls;
    struct spares connect_calls;
    bool is_draining;
    /** A successor takes the calls of those that leave. */
    bool is_retired;
    bool is_closing;
    bool is_engine_closing;
    /** A connection or a listener is gone: is that the end of the server? */
    void (*settle)(struct berth_rpc_server *server);
    void (*on_drained)(void *context);
    void *drained_context;
    void (*on_closed)(void *context);
    void *closed_context;
    struct engine engine;
};

enum server_drain_step {
    SERVER_DRAIN_NONE,
    /** The notice has been sent, followed by a ping. */
    SERVER_DRAIN_NOTICED,
    /** The peer knows which of its calls are served. */
    SERVER_DRAIN_FINAL,
};

struct server_connection;

/** How the server speaks one protocol. */
struct server_protocol {
    enum greeting_kind kind;
    /** Is there something that a peer must say before its first call, in time? */
    bool has_handshake;
    /**
     * Size of what is allocated for each call, which begins with a struct berth_stream; 0: there are no
     * calls.
     */
    size_t call_size;
    /** The router's operations on a call. */
    const struct berth_stream_ops *stream_ops;

    /** Makes a session and starts the connection on it. @return 0 or a libuv error. */
    int (*start)(struct server_connection *connection);

    /** From the top level: processes every call in line. */
    void (*process)(struct server_connection *connection);

    /** Gives out what waits in the inbox of a call, which is not paused. */
    void (*give_held)(struct berth_stream *stream);

    /** Drops what a call has waiting for its peer: its deadline has passed. */
    void (*drop_output)(struct berth_stream *stream);

    /** Has the peer begun to say something that is not whole? NULL: that holds no idle connection open. */
    bool (*is_receiving)(const struct server_connection *connection);

    /** Sends GOAWAY or its equivalent; called again when a step of it was acknowledged or timed out. */
    void (*drain)(struct server_connection *connection);

    /** Cancels every call with UNAVAILABLE, and sends the last GOAWAY. */
    void (*end)(struct server_connection *connection, const char *reason);

    /** The connection is lost, or never started: cancels every call and frees its resources. */
    void (*lose)(struct server_connection *connection);
};

struct server_connection {
    struct connection base;
    const struct server_protocol *protocol;
    struct berth_rpc_server *server;
    LIST_ENTRY(server_connection) link;
    struct peer peer;
    uint64_t number;
    uint64_t since_ns;
    /** By its owner's wish, at the end of the turn. */
    bool is_to_end;
    /** The list in which it is counted; NULL: none. */
    struct server_peer *counted;
    struct budget unfinished;

    /** NULL: no TLS. */
    struct tls *tls;
    struct greeting greeting;
    /** Inside TLS. */
    struct greeting covered_greeting;
    /** Why every call is refused: the peer speaks the wrong protocol. NULL: calls are accepted. */
    const char *refusal;
    struct deadline handshake_deadline;
    struct deadline drain_deadline;
    enum server_drain_step drain_step;

    /** Calls that have something to do. */
    TAILQ_HEAD(, berth_stream) ready;
    /** Calls in flight, and since when there have been none. */
    uint32_t calls;
    uint64_t idle_since_ns;
    /** It was found to be idle for too long. */
    bool is_idle;
    struct deadline idle_deadline;
    struct deadline age_deadline;

    /** The peer's side of ttrpc, or of HTTP/1.1, if it speaks that; goes with the session. */
    struct server_ttrpc *ttrpc;
    struct server_http1 *http1;

    /** The members below are HTTP/2's. */
    struct http2 http2;
    struct framer framer;
    /** By http_message.h rather than by nghttp2. */
    bool checks_messages;
    /** The size of the header block that is being received (RFC 9113 6.5.2). */
    size_t block_bytes;
    /** Waits for the end of a frame; one that began later moves it when it is due. */
    struct deadline frame_deadline;
    uint64_t frame_began_ns;
    struct keepalive keepalive;
    LIST_HEAD(, server_http2_call) http2_calls;
    /** Streams that HTTP/2 has not closed, those that were refused among them. */
    uint32_t open_streams;
    uint64_t last_ping_ns;
    uint32_t ping_strikes;
    /** Streams that the peer resets, and that it makes us reset. */
    struct allowance peer_resets;
    struct allowance resets;
    struct allowance empty_frames;
    struct allowance dropped_frames;
    bool is_drop_told;
};

/** Logs unless the cause spoke within the last second. */
BERTH_PRINTF(4, 5)
void server_log(struct berth_rpc_server *server, enum server_cause cause, enum berth_rpc_log_level level,
                const char *format, ...);

/** Logs in any case: for what happens seldom. */
BERTH_PRINTF(3, 4)
void server_tell(struct berth_rpc_server *server, enum berth_rpc_log_level level, const char *format, ...);

/** Takes no further connections; `settle` follows when they are closed. */
void server_close_listeners(struct berth_rpc_server *server);

extern const struct server_protocol server_http2;
extern const struct server_protocol server_ttrpc;
extern const struct server_protocol server_http1;

/** Writes which limit leaves no room for what a peer has begun to send. @return `text`. */
const char *server_describe_no_room(const struct server_connection *connection, char *text, size_t size);

/** Takes over a socket, for gRPC. @return 0 or a libuv error; then the socket is still the caller's. */
int server_connection_open(struct berth_rpc_server *server, int fd,
                           struct server_connection **ret_connection);
/** Makes one without a socket. @return NULL without memory. */
struct server_connection *server_connection_create(struct berth_rpc_server *server, uv_handle_type type,
                                                   const struct server_protocol *protocol);
/** Its socket is connected: serves it. @param tls  NULL: in clear. @return 0 or a libuv error. */
int server_connection_start(struct server_connection *connection, struct tls_context *tls);
/** The server's limits have changed. */
void server_connection_set_limits(struct server_connection *connection);
void server_connection_drain(struct server_connection *connection);
/** Cancels every call, says so to the peer as far as it listens, and closes. From the top level. */
void server_connection_end(struct server_connection *connection, const char *reason);

/** What counts as one network peer: an IPv4 address, an IPv6 /64; the whole address where hosts share a /64
 * (link-local, NAT64). @return false for other families, which are not counted. */
bool server_peer_key(const struct sockaddr *address, unsigned char ret_key[SERVER_PEER_KEY]);
/** Counts a connection of the network peer of `fd`. @return false if it is one too many, or
 * without memory. */
bool server_peer_join(struct server_connection *connection, int fd);

/** One call on the server, whatever its protocol. The first member of the protocol's own; all zero, then
 * server_stream_init. */
struct berth_stream {
    struct server_connection *connection;
    TAILQ_ENTRY(berth_stream) ready;
    /** NULL before it is opened and once it has ended. */
    struct berth_call *call;
    bool is_ready;
    bool is_remote_ended;
    bool is_half_close_told;
    bool is_writable_due;
    bool is_ended;
    struct inbox inbox;
    struct outflow outflow;
    /** Why the last message could not be queued; NULL or empty: it was. */
    char *refusal;
    struct deadline deadline;
    struct berth_arena arena;
};

/** @param first  The first `size` bytes of its arena. */
void server_stream_init(struct berth_stream *stream, struct server_connection *connection, void *first,
                        size_t size);
/** From the top level, or without a call. @return how many bytes were held. */
size_t server_stream_finish(struct berth_stream *stream);

/** It has something to do, at the top level. */
void server_stream_ready(struct berth_stream *stream);
/** The next in line. @return NULL if there is none. */
struct berth_stream *server_stream_next(struct server_connection *connection);
/** Passes pending events to the router. */
void server_stream_process(struct berth_stream *stream);

/**
 * Opens the router's call and starts its deadline; what is refused has ended through `finish` of the ops.
 *
 * @param timeout_ns  UINT64_MAX: none; 0: it is over.
 * @return Is there a call?
 */
bool server_stream_open(struct berth_stream *stream, const char *path, const char *transport,
                        const struct metadata_list *metadata, uint64_t timeout_ns);
/** Does its method take one message? It has a call. */
bool server_stream_takes_one(const struct berth_stream *stream);
/** An inbox_deliver; `context` is the stream. */
bool server_stream_deliver(void *context, const void *message, size_t length);
/** The same for the only message, behind which nothing follows. */
bool server_stream_deliver_last(struct berth_stream *stream, const void *message, size_t length);
/** Nothing follows what is held: the router is told once all of it has been delivered. */
void server_stream_half_close(struct berth_stream *stream);

/** Ends the router's side: no event follows. @return false if that has been done already. */
bool server_stream_end(struct berth_stream *stream, enum berth_code code);
/** Ends the call on both sides. */
void server_stream_abort(struct berth_stream *stream, enum berth_code code, const char *message);

/** How a protocol reports requests that break its framing. */
struct server_framing_words {
    /** For requests that break the protocol. */
    enum berth_code code;
    /** Before the sentences that the protocols share. */
    const char *prefix;
    const char *compressed;
    const char *bad_flag;
};

/** Ends the call if the inbox found something wrong with `message`. */
void server_stream_complain(struct berth_stream *stream, enum framing_state state, const struct span *message,
                            const struct server_framing_words *words);

/** How much of the sentence of a status is sent; it is cut where a character begins. */
size_t server_message_length(const char *message);

/** Queues a message. @param most  The limit on one: `max_send_message_bytes`, or what the protocol carries.
 */
enum berth_code server_stream_send(struct berth_stream *stream, const void *message, size_t length,
                                   uint64_t most);
/** The longest reason of a refusal, with its NUL. */
#define SERVER_REFUSAL_MAX 256

/** Logs why a message could not be queued, and keeps that for server_stream_refusal. */
void server_stream_refuse(struct berth_stream *stream, enum outflow_result why, size_t length, uint64_t most);
/** The same for any other reason, without a log line. */
void server_stream_refuse_because(struct berth_stream *stream, const char *reason);
/** A message was sent: the refusal of the one before is forgotten. */
void server_stream_sent(struct berth_stream *stream);

/** Of `struct berth_stream_ops`, for any protocol. */
bool server_stream_can_send(struct berth_stream *stream);
const char *server_stream_refusal(struct berth_stream *stream);
void server_stream_pause(struct berth_stream *stream);
void server_stream_resume(struct berth_stream *stream);

/** Sets up what HTTP/2 needs once for a server. @return 0 or an nghttp2 error. */
/** A peer without calls may take less time over its answer to the notice than when the drain began. */
void server_http2_hasten(struct server_connection *connection);
int server_http2_create(struct berth_rpc_server *server);
void server_http2_destroy(struct berth_rpc_server *server);

#endif
