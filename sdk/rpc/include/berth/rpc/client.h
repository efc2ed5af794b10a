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
 * Call everything on the thread of the loop; any of it may be called inside a callback. A program that needs
 * one response only uses berth_rpc_unary_blocking and no loop. A callback may run just before the loop
 * sleeps: to run the loop until something has happened, call uv_stop in the callback.
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

/** One call. Freed when on_end returns. */
struct berth_rpc_call;

/** A member that is 0, or beyond `size`, has its default. */
struct berth_rpc_channel_options {
    /** sizeof(struct berth_rpc_channel_options) as the caller compiled it. */
    uint32_t size;
    /** "PATH" or "unix:PATH"; "HOST:PORT", "[::1]:PORT" or "tcp:HOST:PORT". An address with a colon and no
     * slash is a host and a port. Copied. */
    const char *address;
    /**
     * Attempts to connect before waiting calls fail, except those with wait_for_ready. Default 1. Further
     * calls then fail at once until the back-off is over.
     */
    uint32_t connect_attempts;
    /**
     * Back-off, from the start of a failed attempt to the start of the next: grows by 1.6 each time, up to
     * 5 s, ±20 %; reset by a successful connection. Default 50 ms.
     */
    uint32_t connect_backoff_ms;
    /** Timeout of one attempt, including the HTTP/2 SETTINGS. Default 5 s. */
    uint32_t connect_timeout_ms;
    /** A response's headers or trailers, counted as RFC 9113 6.5.2 does. Default 16 KiB. */
    uint32_t max_header_list_bytes;
    /** Largest message accepted; a larger one ends its call with RESOURCE_EXHAUSTED. Default 16 MiB. */
    uint64_t max_recv_message_bytes;
    /** Largest message sent; send refuses a larger one. Default 16 MiB. */
    uint64_t max_send_message_bytes;
    /** All messages waiting for the server to read; send refuses more. Default 32 MiB. */
    uint64_t max_queued_bytes;
    /** The user-agent header; "berth-rpc/<version>" by default. Copied. */
    const char *user_agent;

    enum berth_rpc_protocol protocol;
    /** NULL: no TLS. For a host and port only; read before create returns. */
    const struct berth_rpc_tls_options *tls;
    /**
     * Compress messages with gzip if that makes them smaller. A server without gzip ends such calls with
     * UNIMPLEMENTED. Responses compressed with gzip or deflate are always accepted.
     */
    bool compress;
    /** Silence after which a connection with calls in flight is pinged; 0: never. */
    uint32_t keepalive_time_ms;
    /** Time to respond before the connection is closed. Default 20 s. */
    uint32_t keepalive_timeout_ms;
    /**
     * Transparent retries of a call that the server has not processed: it was refused, or is beyond the last
     * stream of a GOAWAY, or the connection broke before a byte of it was sent. Default 3; UINT32_MAX: none.
     */
    uint32_t max_transparent_retries;
};

/** Callbacks of a call; `context` is what berth_rpc_call_start was given. Each may be NULL. */
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
     * The call has ended. Exactly once, always from the loop and never inside another function; `call` is
     * freed when it returns. `message` is for people and never NULL; if the server could not be reached it
     * has the address and the reason.
     */
    void (*on_end)(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count);
};

struct berth_rpc_call_options {
    uint32_t size;
    /** "/package.Service/Method". Copied. */
    const char *path;
    /** Deadline, including connecting; 0: none. Sent to the server and enforced here too. */
    uint64_t timeout_ms;
    /** Initial metadata, copied. Keys in lower case; values of keys that end in "-bin" are raw bytes. */
    const struct berth_metadata *metadata;
    size_t metadata_count;
    /**
     * Waits for a connection, until its deadline or until it is cancelled, instead of failing when the server
     * cannot be reached. Attempts continue while such a call waits.
     */
    bool wait_for_ready;
    /** For wrappers: returned by berth_rpc_call_tag. */
    const void *tag;
    /**
     * The method's kind. ttrpc needs it: a unary or server-streaming request is sent when the caller
     * half-closes. gRPC ignores it.
     */
    enum berth_method_kind kind;
    /**
     * The call that this one is made for: its trace, its tracestate and its baggage go along
     * (<berth/trace.h>), unless `metadata` has a traceparent itself. Read before start returns; NULL: none.
     */
    const struct berth_call *parent;
    /** The span to go along instead of that of `parent`, such as berth_span_trace; NULL: that of `parent`. */
    const struct berth_trace *trace;
};

/**
 * Checks the files as a channel would. From any thread.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT or BERTH_PERMISSION_DENIED with the file and what is wrong with
 * it; BERTH_UNAVAILABLE if TLS is not installed; BERTH_RESOURCE_EXHAUSTED.
 */
BERTH_RPC_API enum berth_code berth_rpc_channel_check_tls(const struct berth_rpc_tls_options *options,
                                                          struct berth_error *err);

/**
 * Creates a channel. It connects with the first call, and again whenever a call finds no connection.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid address; BERTH_RESOURCE_EXHAUSTED.
 */
BERTH_RPC_API enum berth_code berth_rpc_channel_create(uv_loop_t *loop,
                                                       const struct berth_rpc_channel_options *options,
                                                       struct berth_rpc_channel **ret_channel,
                                                       struct berth_error *err);

/**
 * Cancels all calls (each gets its on_end) and closes the channel, which must not be used afterwards.
 * `on_closed` is called once, from the loop, when every handle is closed; it may be NULL.
 */
BERTH_RPC_API void berth_rpc_channel_close(struct berth_rpc_channel *channel,
                                           void (*on_closed)(void *context), void *context);

/**
 * Starts a call. Messages may be sent at once; they are queued until there is a connection.
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
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED if it is over the limit or too much is queued (nothing was
 *         sent, and the call continues); BERTH_FAILED_PRECONDITION after half_close or cancel.
 */
BERTH_RPC_API enum berth_code berth_rpc_call_send(struct berth_rpc_call *call, const void *message,
                                                  size_t length);

/** Is there room to send more? If not, on_writable follows once there is. */
BERTH_RPC_API bool berth_rpc_call_can_send(struct berth_rpc_call *call);

/** No further message will be sent. Once. */
BERTH_RPC_API void berth_rpc_call_half_close(struct berth_rpc_call *call);

/** Cancels the call: only on_end follows, with CANCELLED. */
BERTH_RPC_API void berth_rpc_call_cancel(struct berth_rpc_call *call);

/** The same with another code, for a response that the caller cannot use. */
BERTH_RPC_API void berth_rpc_call_fail(struct berth_rpc_call *call, enum berth_code code,
                                       const char *message);

/** The `tag` that the call was started with. */
BERTH_RPC_API const void *berth_rpc_call_tag(const struct berth_rpc_call *call);

/**
 * As berth_call_compress, for this call only; call it before the first message. FAILED_PRECONDITION if the
 * request was already sent without it, or the call has ended; UNIMPLEMENTED on ttrpc.
 */
BERTH_RPC_API enum berth_code berth_rpc_call_compress(struct berth_rpc_call *call, bool wanted);
/** As berth_call_came_compressed: inside on_message. */
BERTH_RPC_API bool berth_rpc_call_came_compressed(const struct berth_rpc_call *call);

/** No on_message until resumed; the server has to stop once its window is full. */
BERTH_RPC_API void berth_rpc_call_pause(struct berth_rpc_call *call);
BERTH_RPC_API void berth_rpc_call_resume(struct berth_rpc_call *call);

/** One call from start to end, for a program without a loop. */
struct berth_rpc_unary_options {
    uint32_t size;
    /** As in struct berth_rpc_channel_options. */
    const char *address;
    const char *path;
    /** Deadline, including connecting; 0: none. */
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
 * Makes one unary call on a private loop and blocks until it ends.
 *
 * @param ret_response  Freed by the caller with free(); has a NUL behind it. Never NULL on success.
 * @return BERTH_OK, or how the call ended with its message in `err`; BERTH_UNAVAILABLE if the server could
 *         not be reached, BERTH_INTERNAL if it sent no response or several.
 */
BERTH_RPC_API enum berth_code berth_rpc_unary_blocking(const struct berth_rpc_unary_options *options,
                                                       void **ret_response, size_t *ret_length,
                                                       struct berth_error *err);

#ifdef __cplusplus
}
#endif

#endif
