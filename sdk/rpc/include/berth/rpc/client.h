/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client for gRPC and ttrpc: a channel to one address, and calls of all four kinds on it.
 *
 *     const struct berth_rpc_channel_options where = {.size = sizeof(where), .address = "/run/x.sock"};
 *     const struct berth_rpc_call_options what = {.size = sizeof(what), .path = "/pkg.Service/Method"};
 *
 *     berth_rpc_channel_create(loop, &where, &channel, &err);
 *     berth_rpc_call_start(channel, &what, &handlers, self, &call, &err);
 *     berth_rpc_call_send(call, request, length);
 *     berth_rpc_call_half_close(call);
 *     …on_message(self, …), on_end(self, code, message, …)
 *
 * Everything is called on the thread of the loop. Any of it may be called from inside a callback. A program
 * that only wants one answer uses berth_rpc_unary_blocking and needs no loop. A callback may come just before
 * the loop sleeps, so whoever runs the loop until something has happened calls uv_stop in it.
 */
#ifndef BERTH_RPC_CLIENT_H
#define BERTH_RPC_CLIENT_H

#include <uv.h>

#include <berth/call.h>
#include <berth/error.h>
#include <berth/rpc/export.h>
#include <berth/rpc/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_rpc_channel;

/** One call as its caller holds it. Gone when on_end has returned. */
struct berth_rpc_call;

/** A member that is 0 (or that `size` does not reach) has its default. */
struct berth_rpc_channel_options {
    /** sizeof(struct berth_rpc_channel_options) as the caller compiled it. */
    uint32_t size;
    /** A path, with or without "unix:" before it, or "HOST:PORT", "[::1]:PORT", with or without "tcp:". What
     * has no slash but a colon is a host and a port. Copied. */
    const char *address;
    /**
     * How many times a connection is tried before the calls that wait for it fail, those with wait_for_ready
     * excepted; 1 by default. After that, calls fail at once until the next pause is over.
     */
    uint32_t connect_attempts;
    /**
     * From the beginning of a try that fails to that of the next one: 1.6 times as long each time, up to 5 s,
     * give or take a fifth; as at first again after a good connection. Default 50 ms.
     */
    uint32_t connect_backoff_ms;
    /** How long one try may take, its HTTP/2 settings included. Default 5 s. */
    uint32_t connect_timeout_ms;
    /** A response's headers or trailers, counted as RFC 9113 6.5.2 does. Default 16 KiB. */
    uint32_t max_header_list_bytes;
    /** The largest message taken; a larger one ends its call with RESOURCE_EXHAUSTED. Default 16 MiB. */
    uint64_t max_recv_message_bytes;
    /** The largest message sent; send refuses a larger one. Default 16 MiB. */
    uint64_t max_send_message_bytes;
    /** Of all messages waiting for the server to read; beyond that send refuses. Default 32 MiB. */
    uint64_t max_queued_bytes;
    /** The user-agent header; "berth-rpc/<version>" by default. Copied. */
    const char *user_agent;

    enum berth_rpc_protocol protocol;
    /** NULL: in clear. For a host and port only; read before create returns. */
    const struct berth_rpc_tls_options *tls;
    /**
     * Are messages sent compressed, with gzip, where that makes them smaller? A server that does not know
     * gzip ends such calls with UNIMPLEMENTED. What servers send compressed, with gzip or deflate, is always
     * read.
     */
    bool compress;
    /** A connection with calls on which nothing came for so long is pinged; 0: never. */
    uint32_t keepalive_time_ms;
    /** How long the answer may take before the connection is lost. Default 20 s. */
    uint32_t keepalive_timeout_ms;
    /**
     * How often a call that the server has not begun to work on (refused, or beyond its GOAWAY, or the
     * connection went before a byte of it was sent) is tried again without anybody being told. Default 3;
     * UINT32_MAX: never.
     */
    uint32_t max_transparent_retries;
};

/** What a caller wants to hear of its call; `context` is what it gave at the start. NULL: not interested. */
struct berth_rpc_call_handlers {
    uint32_t size;

    /** The server's initial metadata; `metadata` lives until the call has ended. At most once. */
    void (*on_headers)(void *context, struct berth_rpc_call *call, const struct berth_metadata *metadata,
                       size_t count);

    /** One message; its bytes live until this returns. Never while paused. */
    void (*on_message)(void *context, struct berth_rpc_call *call, const void *message, size_t length);

    /** After can_send said no: more may be sent. */
    void (*on_writable)(void *context, struct berth_rpc_call *call);

    /**
     * The call is over; comes exactly once, always from the loop and never from inside another function, and
     * `call` is gone when it returns. `message` is never NULL and never meant to be parsed; where the
     * server could not be reached it says why and which address was tried.
     */
    void (*on_end)(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count);
};

struct berth_rpc_call_options {
    uint32_t size;
    /** "/package.Service/Method". Copied. */
    const char *path;
    /** How long the call may take, connecting included; 0: for ever. Sent to the server and kept here too. */
    uint64_t timeout_ms;
    /** Initial metadata, copied. Keys in lower case; values of keys that end in "-bin" are raw bytes. */
    const struct berth_metadata *metadata;
    size_t metadata_count;
    /**
     * Waits for the server to be there, within the deadline or until it is cancelled, rather than fail when
     * it cannot be reached: tries go on for as long as such a call waits.
     */
    bool wait_for_ready;
    /** For wrappers: what berth_rpc_call_tag gives back. */
    const void *tag;
    /**
     * What the method is. ttrpc must know it, since there a call begins according to its kind: a request of
     * the unary and server-streaming kinds leaves when the caller has half closed. gRPC does without.
     */
    enum berth_method_kind kind;
};

/**
 * Reads the files as a channel would, and says what is wrong with them. On any thread.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT or BERTH_PERMISSION_DENIED with the file and what is wrong with
 * it; BERTH_UNAVAILABLE where TLS is not installed; BERTH_RESOURCE_EXHAUSTED.
 */
BERTH_RPC_API enum berth_code berth_rpc_channel_check_tls(const struct berth_rpc_tls_options *options,
                                                          struct berth_error *err);

/**
 * Makes a channel; connects with the first call and again whenever a call finds no connection.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an address that cannot be one; BERTH_RESOURCE_EXHAUSTED.
 */
BERTH_RPC_API enum berth_code berth_rpc_channel_create(uv_loop_t *loop,
                                                       const struct berth_rpc_channel_options *options,
                                                       struct berth_rpc_channel **ret_channel,
                                                       struct berth_error *err);

/**
 * Cancels what still runs (each call has its on_end first) and ends the channel, which must not be used after
 * this. `on_closed` is called once, from the loop, when every handle is closed; it may be NULL.
 */
BERTH_RPC_API void berth_rpc_channel_close(struct berth_rpc_channel *channel,
                                           void (*on_closed)(void *context), void *context);

/**
 * Starts a call. Messages may be sent at once; they leave when the connection stands.
 *
 * @param handlers  Borrowed until on_end has returned; usually static.
 * @return BERTH_OK: exactly one on_end follows; BERTH_INVALID_ARGUMENT for a path or metadata that
 *         cannot be sent, BERTH_RESOURCE_EXHAUSTED: none follows.
 */
BERTH_RPC_API enum berth_code berth_rpc_call_start(struct berth_rpc_channel *channel,
                                                   const struct berth_rpc_call_options *options,
                                                   const struct berth_rpc_call_handlers *handlers,
                                                   void *context, struct berth_rpc_call **ret_call,
                                                   struct berth_error *err);

/**
 * Sends one message; copies.
 *
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED where it is over the limit or too much is queued (nothing was
 *         sent, and the call goes on); BERTH_FAILED_PRECONDITION after half_close or cancel.
 */
BERTH_RPC_API enum berth_code berth_rpc_call_send(struct berth_rpc_call *call, const void *message,
                                                  size_t length);

/** May more be sent without piling up? After a no, on_writable comes once there is room. */
BERTH_RPC_API bool berth_rpc_call_can_send(struct berth_rpc_call *call);

/** No further message will be sent. Once. */
BERTH_RPC_API void berth_rpc_call_half_close(struct berth_rpc_call *call);

/** Gives the call up: on_end follows with CANCELLED, and nothing else does. */
BERTH_RPC_API void berth_rpc_call_cancel(struct berth_rpc_call *call);

/** The same with a code of the caller's: for who cannot use what the server sends. */
BERTH_RPC_API void berth_rpc_call_fail(struct berth_rpc_call *call, enum berth_code code,
                                       const char *message);

/** What the call was started with as `tag`. */
BERTH_RPC_API const void *berth_rpc_call_tag(const struct berth_rpc_call *call);

/**
 * As berth_call_compress, for this call only; meant before the first message. FAILED_PRECONDITION where it is
 * wanted and the request left without it, or the call is over; UNIMPLEMENTED on ttrpc.
 */
BERTH_RPC_API enum berth_code berth_rpc_call_compress(struct berth_rpc_call *call, bool wanted);
/** As berth_call_came_compressed: inside on_message. */
BERTH_RPC_API bool berth_rpc_call_came_compressed(const struct berth_rpc_call *call);

/** No on_message until resumed; the server is stopped once its window is full. */
BERTH_RPC_API void berth_rpc_call_pause(struct berth_rpc_call *call);
BERTH_RPC_API void berth_rpc_call_resume(struct berth_rpc_call *call);

/** One call from start to end, for a program without a loop. */
struct berth_rpc_unary_options {
    uint32_t size;
    /** As in struct berth_rpc_channel_options. */
    const char *address;
    const char *path;
    /** Connecting included; 0: for ever. */
    uint64_t timeout_ms;
    const struct berth_metadata *metadata;
    size_t metadata_count;
    const void *request;
    size_t request_length;
    enum berth_rpc_protocol protocol;
    const struct berth_rpc_tls_options *tls;
    bool wait_for_ready;
};

/**
 * Makes one unary call and waits for its end, on a loop of its own.
 *
 * @param ret_response  Freed by the caller with free(); has a NUL behind it. Never NULL on success.
 * @return BERTH_OK, or how the call ended with its message in `err`; BERTH_UNAVAILABLE where the server could
 *         not be reached, BERTH_INTERNAL where it sent no answer or several.
 */
BERTH_RPC_API enum berth_code berth_rpc_unary_blocking(const struct berth_rpc_unary_options *options,
                                                       void **ret_response, size_t *ret_length,
                                                       struct berth_error *err);

#ifdef __cplusplus
}
#endif

#endif
