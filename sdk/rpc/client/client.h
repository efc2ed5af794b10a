/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_CLIENT_CLIENT_H
#define RPC_CLIENT_CLIENT_H

#include <sys/queue.h>

#include <berth/address.h>
#include <berth/rpc/client.h>

#include <sdk/rpc/socket/dial.h>
#include <sdk/rpc/socket/greeting.h>
#include <sdk/rpc/http2/http2.h>
#include <sdk/rpc/http2/http_message.h>
#include <sdk/rpc/message/inbox.h>
#include <sdk/rpc/message/metadata.h>
#include <sdk/rpc/message/outflow.h>
#include <sdk/rpc/tls/tls.h>
#include <sdk/rpc/ttrpc/session.h>

struct client_connection;

/** How a client speaks one protocol. */
struct client_protocol {
    enum greeting_kind kind;

    /** The socket is connected: creates a session and starts the connection on it. @return 0 or a libuv
     * error. */
    int (*start)(struct client_connection *connection);

    /** No more bytes are moved; the calls are told next. */
    void (*lose)(struct client_connection *connection);

    /** Does the server take one more call on it? */
    bool (*has_room)(const struct client_connection *connection);

    /** Begins the call on a connection that is ready and has room. */
    void (*submit)(struct berth_rpc_call *call, struct client_connection *connection);

    /** There is more to send, or the caller has half closed. */
    void (*wake)(struct berth_rpc_call *call);

    /** The caller is no longer interested. client_call_forget follows, at once or later. */
    void (*reset)(struct berth_rpc_call *call);

    /** Gives out what waits in the inbox, which is not paused. */
    void (*give_held)(struct berth_rpc_call *call);

    /** Keeps what the caller sends ahead of its messages. @return as metadata_prepare. */
    enum berth_code (*add_metadata)(struct berth_rpc_call *call, const struct berth_metadata *item);

    /** @return BERTH_OK, or why this message cannot be sent. */
    enum berth_code (*may_send)(const struct berth_rpc_call *call, size_t length);
};

extern const struct client_protocol client_http2;
extern const struct client_protocol client_ttrpc;

/** The channel's reactions to events below it. All from the top level. */
struct client_events {
    /** Processes every queued call. */
    void (*process)(struct berth_rpc_channel *channel);

    /** The current connection is lost, and took no call. */
    void (*on_connect_failed)(struct berth_rpc_channel *channel, const char *reason);

    /** A connection or a call is gone: is that the end of the channel? */
    void (*settle)(struct berth_rpc_channel *channel);
};

/** Calls in the order in which they joined. */
TAILQ_HEAD(call_list, berth_rpc_call);

/** How long to wait between two tries to connect (gRPC, Connection Backoff Protocol). */
struct backoff {
    uint64_t first_ns;
    uint64_t longest_ns;
    /** The next pause, before chance has its part; 0: the first. */
    uint64_t next_ns;
};

/** After a good connection: the next pause is the first again. */
void backoff_reset(struct backoff *backoff);

/** @param random  Any 32 bits: they spread the pause by a fifth each way. @return the pause after one more
 * failure.
 */
uint64_t backoff_next(struct backoff *backoff, uint32_t random);

/** What was sent on a call and may have to be sent again. Empty: all zero except for `budget`. */
struct replay {
    struct message_block *first;
    struct message_block *last;
    size_t length;
    struct budget *budget;
    /** Something is missing, or it is needed no more. */
    bool is_over;
};

struct berth_rpc_channel {
    struct engine engine;
    const struct client_protocol *protocol;
    const struct client_events *events;
    struct berth_rpc_channel_options limits;
    /** Of its unix socket; of TCP the whole address, for people. */
    char *path;
    bool is_tcp;
    char host[BERTH_HOST_MAX];
    uint16_t port;
    /** NULL: no TLS. */
    struct tls_context *tls;
    /** The value of :authority in calls (RFC 9113 8.3.1). */
    const char *authority;
    char *user_agent;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;

    /** Every connection that is not closed; `current` takes new calls. */
    LIST_HEAD(, client_connection) connections;
    struct client_connection *current;
    /** Of the tries that began with a call, and why the last of them failed. */
    uint32_t failed_attempts;
    char failure[160];
    /** They are used up: until there is a connection, only calls with wait_for_ready are kept. */
    bool is_failing;
    struct backoff backoff;
    uint64_t try_started_ns;
    struct deadline backoff_deadline;

    /** Calls that no connection has. */
    struct call_list waiting;
    /** Messages that may have to be sent again, and those of calls that wait for a connection. */
    struct budget kept;
    /** Calls that have something to do. */
    TAILQ_HEAD(, berth_rpc_call) ready;
    struct turn_task task;
    struct budget unfinished;
    bool is_closing;
    bool is_engine_closing;
    void (*on_closed)(void *context);
    void *closed_context;
};

struct client_connection {
    struct connection base;
    struct berth_rpc_channel *channel;
    LIST_ENTRY(client_connection) link;
    struct call_list calls;
    /** Of the calls, those that HTTP/2 knows. */
    uint32_t open_streams;
    union {
        uv_connect_t request;
        struct dial dial;
    } connecting;
    bool is_dialling;
    struct deadline connect_deadline;
    struct keepalive keepalive;
    /** The server's settings came. */
    bool is_ready;
    /** It took a call. */
    bool is_used;

    struct greeting greeting;
    struct http2 http2;
    /** Why this side ends it, where the server breaks HTTP/2. */
    char goaway_reason[128];
    /** The ttrpc session, if ttrpc is spoken; freed with the connection's. */
    struct client_ttrpc *ttrpc;
};

/** The server's response. */
struct response {
    size_t header_bytes;
    unsigned http_status;
    bool is_grpc;
    bool has_headers;
    bool has_status;
    bool is_too_large;
    bool is_malformed;
    enum coding coding;
    enum berth_code code;
    const char *message;
    struct metadata_list headers;
    struct metadata_list trailers;
};

struct berth_rpc_call {
    struct berth_rpc_channel *channel;
    struct client_connection *connection;
    /** The list it waits in, its own or its connection's; NULL: none. */
    struct call_list *list;
    TAILQ_ENTRY(berth_rpc_call) link;
    TAILQ_ENTRY(berth_rpc_call) ready;
    const struct berth_rpc_call_handlers *handlers;
    void *context;
    const void *tag;
    enum berth_method_kind kind;
    int32_t id;
    struct ttrpc_stream stream;
    /** The first of the connection's batches that may hold a byte of the request. */
    uint64_t batch_number;
    uint32_t retries;

    bool is_ready;
    bool waits_for_ready;
    bool is_headers_told;
    bool is_writable_due;
    bool is_remote_ended;
    /** The caller sent a message. */
    bool is_message_sent;
    /** Of ttrpc: what begins the call has left. */
    bool is_request_sent;
    /** The protocol does not know it: it never did, or no longer does. */
    bool is_unknown;
    uint32_t stream_error;
    bool is_over;
    bool is_end_told;
    enum berth_code code;
    const char *message;

    const char *path;
    struct metadata_list metadata;
    struct response response;
    struct inbox inbox;
    struct outflow outflow;
    struct replay replay;
    uint64_t deadline_ns;
    struct deadline deadline;
    struct berth_arena arena;
    _Alignas(max_align_t) unsigned char first[1024];
};

/** Why there is no connection: "ADDRESS: REASON". */
void client_describe_failure(const struct berth_rpc_channel *channel, char *text, size_t size);

/** Calls may begin on it. */
void client_connection_ready(struct client_connection *connection);
/** It accepts no more calls. `reason` is reported if it never accepted any. */
void client_connection_leave(struct client_connection *connection, const char *reason);
/**
 * Connects on its own; what fails comes as on_connect_failed.
 *
 * @return NULL if it cannot even begin, and why.
 */
struct client_connection *client_connection_open(struct berth_rpc_channel *channel, const char **ret_reason);

/** Sets up what HTTP/2 needs once for a channel. @return 0 or an nghttp2 error. */
int client_http2_create(struct berth_rpc_channel *channel);
void client_http2_destroy(struct berth_rpc_channel *channel);

/** Takes one field of a response. */
void response_add(struct response *response, struct berth_arena *arena, bool is_trailer, const char *name,
                  size_t name_length, const char *value, size_t value_length, size_t max_header_bytes);
/** Did its headers come from something that does not speak gRPC? Then what follows is not read. */
bool response_is_foreign(const struct response *response);
/** How the call ended, from what came and how the stream was closed. @param ret_message  Never NULL. */
enum berth_code response_result(const struct response *response, uint32_t stream_error,
                                const char **ret_message);

/** Forgets all messages that were kept to be sent again, and keeps none from here on. */
void replay_finish(struct replay *replay);

void client_call_ready(struct berth_rpc_call *call);
/** Does pending work. From the top level; may free the call. */
void client_call_process(struct berth_rpc_call *call);
void client_call_take(struct berth_rpc_call *call, const uint8_t *bytes, size_t length);
/** An inbox_deliver; `context` is the call. */
bool client_call_deliver(void *context, const void *message, size_t length);
/** Decides how it ends; on_end follows. `message` is copied. */
void client_call_end(struct berth_rpc_call *call, enum berth_code code, const char *message);
/** A connection takes it. @param batch_number  The first batch that may hold a byte of the request. */
void client_call_enter(struct berth_rpc_call *call, struct client_connection *connection, int32_t id,
                       uint64_t batch_number);
/** The protocol knows it no more, or never will. */
void client_call_forget(struct berth_rpc_call *call);
/** Takes it from its connection, which is gone or has forgotten it. */
void client_call_detach(struct berth_rpc_call *call);
/** Queues it for a connection again where no server can have processed it. @return false if it ends.
 */
bool client_call_retry(struct berth_rpc_call *call);

#endif
