/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface between servers and services. A server knows paths and bytes and opens each call here; the
 * router finds the service, runs the interceptors and passes the call to a handler. Only servers and
 * interceptors need this header.
 *
 *     bytes ─server─▶ berth_router (open, deliver, half_close, writable, cancel) ─▶ handler
 *     bytes ◀─server─ berth_stream_ops (send, finish, …)                         ◀─ handler
 */
#ifndef BERTH_ROUTER_H
#define BERTH_ROUTER_H

#include <berth/call.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The server's side of one call, as passed to `open`. Opaque to everyone else. */
struct berth_stream;

/**
 * What the router calls in a server, for one call. `finish` is last: neither side uses the other's side of
 * that call afterwards. Any of these may be called from inside the router's functions.
 */
struct berth_stream_ops {
    uint32_t size;

    /** Sends one message. Copied. BERTH_OK or BERTH_RESOURCE_EXHAUSTED (over a limit; nothing was sent). */
    enum berth_code (*send)(struct berth_stream *stream, const void *message, size_t length);

    /** Is there room to send? If not, the server calls router->writable once there is. */
    bool (*can_send)(struct berth_stream *stream);

    enum berth_code (*add_header)(struct berth_stream *stream, const char *key, const void *value,
                                  size_t length);
    enum berth_code (*add_trailer)(struct berth_stream *stream, const char *key, const void *value,
                                   size_t length);
    enum berth_code (*send_headers)(struct berth_stream *stream);

    /** Ends the call. `message` may be NULL; everything is copied. */
    void (*finish)(struct berth_stream *stream, enum berth_code code, const char *message,
                   const void *details, size_t details_length);

    /** Stop delivering until resumed. May be called before router->open has returned. */
    void (*pause)(struct berth_stream *stream);
    /** Deliver again; the server may do so before this returns. */
    void (*resume)(struct berth_stream *stream);

    /** As berth_call_compress and berth_call_came_compressed; NULL if the transport has no compression. */
    enum berth_code (*compress)(struct berth_stream *stream, bool wanted);
    bool (*came_compressed)(struct berth_stream *stream);

    /**
     * The method exists and is of this kind. Called from inside open, before any other operation of the call,
     * unless open fails because of a missing service, a missing method or lack of memory. NULL if the server
     * need not know.
     */
    void (*found)(struct berth_stream *stream, enum berth_method_kind kind);

    /** As berth_call_refusal. NULL if the server gives no reason. */
    const char *(*refusal)(struct berth_stream *stream);
};

/** Does the server provide this operation? It may be older than the header. */
#define BERTH_STREAM_OPS_HAVE(ops, member)                                                                   \
    ((ops)->size > offsetof(struct berth_stream_ops, member) && (ops)->member != NULL)

/**
 * What a server knows about a call when it opens it. `stream_ops` must be constant for the server's whole
 * life and `stream` must live until the call has ended; open copies the rest. Handlers see the first 64
 * transports of a host by their names, further ones as "other".
 */
struct berth_call_request {
    uint32_t size;
    const char *path;
    const char *transport;
    const struct berth_peer *peer;
    /** On the clock of uv_hrtime(); 0: none. The server enforces it, by calling `cancel`. */
    uint64_t deadline_ns;
    const struct berth_metadata *metadata;
    size_t metadata_count;
    struct berth_stream *stream;
    const struct berth_stream_ops *stream_ops;
};

/** One service known to the router, live or not. */
struct berth_route_info {
    uint32_t size;
    const char *service;
    /** The URI of the plugin that exports it. */
    const char *plugin;
    /** Do calls reach an instance? */
    bool live;
    const void *descriptors;
    size_t descriptors_length;
    /** The transports that may carry it, from its plugin's manifest; NULL: all. */
    const char *const *transports;
    size_t transport_count;
};

/** One method of a service, and its calls since the daemon's start, over all transports and generations. */
struct berth_method_info {
    uint32_t size;
    enum berth_method_kind kind;
    /** The URI of the plugin that exports it. */
    const char *plugin;
    /** The same pointers as in every struct berth_call of the method. */
    const char *path, *service, *method;
    /** Calls that found the method, those that were refused before its handler among them. */
    uint64_t opened;
    uint64_t in_flight;
    /** By code, BERTH_OK to BERTH_UNAUTHENTICATED. */
    const uint64_t *ended;
    size_t ended_count;
    /** Those of ended[BERTH_CANCELLED] that the caller ended while the handler had them. */
    uint64_t abandoned;
    /** What handlers were given and what they sent: messages, and their bytes before compression. */
    uint64_t messages_received, bytes_received;
    uint64_t messages_sent, bytes_sent;
};

/** Is the service available over this transport? Tests and calls from inside the daemon reach every service.
 */
static inline bool berth_route_takes(const struct berth_route_info *route, const char *transport)
{
    static const char *const everywhere[] = {"test", "plugin"};
    const char *const *names = route->transports;

    if (route->size <= offsetof(struct berth_route_info, transport_count) || names == NULL)
        return true;
    for (size_t i = 0; i < route->transport_count + 2; i++) {
        const char *a = i < route->transport_count ? names[i] : everywhere[i - route->transport_count];
        const char *b = transport;

        while (*a != '\0' && *a == *b)
            a++, b++;
        if (*a == *b)
            return true;
    }
    return false;
}

/**
 * The router, as a server sees it. Every function is called on the loop's thread.
 *
 * A call that was opened ends in exactly one of two ways: the router calls `stream_ops->finish`, or the
 * server calls `cancel`. Each of open, deliver, half_close and writable may cause `finish` before it returns,
 * so a server checks its own stream before it continues with the call.
 *
 * A server must not call `cancel` from inside its stream_ops, since the handler may be in the middle of its
 * own use of the call: it records the failure and cancels in the loop's next turn. Of its stream_ops, only
 * `resume` may deliver.
 */
struct berth_router {
    uint32_t size;

    /**
     * Opens a call. @return NULL if it has already been finished (UNIMPLEMENTED: no such service or method;
     * UNAVAILABLE: its plugin is gone; or an interceptor's code).
     */
    struct berth_call *(*open)(const struct berth_router *router, const struct berth_call_request *request);

    /** One whole message, never while paused. The bytes are borrowed until this returns. */
    void (*deliver)(struct berth_call *call, const void *message, size_t length);
    /**
     * The caller has half-closed. If the method takes one request and there was none, or several, the call
     * ends with INTERNAL.
     */
    void (*half_close)(struct berth_call *call);
    void (*writable)(struct berth_call *call);
    /** The call is over for the server: reset, lost, or past its deadline. `stream_ops` is not used again. */
    void (*cancel)(struct berth_call *call, enum berth_code code);

    /** Visits the services in the plan's order until the visitor returns false. */
    void (*each)(const struct berth_router *router,
                 bool (*on_route)(void *context, const struct berth_route_info *route), void *context);

    /**
     * `deliver` and `half_close` in one, for a server that knows that this message is the last. A unary
     * request then reaches its handler without being copied.
     */
    void (*deliver_last)(struct berth_call *call, const void *message, size_t length);

    /** Visits the methods, service by service in the order of `each`, until the visitor returns false. */
    void (*each_method)(const struct berth_router *router,
                        bool (*on_method)(void *context, const struct berth_method_info *method),
                        void *context);

    /**
     * Finds a method by its path, with the service it belongs to.
     *
     * @return false if there is none, or if `transport` may not carry its service; nothing was written.
     */
    bool (*find)(const struct berth_router *router, const char *path, const char *transport,
                 struct berth_method_info *ret_method, struct berth_route_info *ret_route);
};

/**
 * Hooks around every call of every transport. They run in the plan's order of the plugins that add them,
 * on_reply and on_finish in reverse. `self` is the pointer passed when the interceptor was added. A hook may
 * annotate the call, add headers and trailers, and end the call with a code; it sends no messages.
 */
struct berth_interceptor {
    uint32_t size;
    const char *name;

    /**
     * A call begins. `*ret_state` is this interceptor's state for this call.
     * @return BERTH_OK: continue; BERTH_PENDING: the host's `admit` must be called exactly once (unless
     *         on_finish comes first). Any other code, here or passed to `admit`, rejects the call with that
     *         code, and this interceptor gets no further callback for it.
     */
    enum berth_code (*on_start)(void *self, struct berth_call *call, void **ret_state,
                                struct berth_error *err);
    void (*on_message)(void *self, struct berth_call *call, void *state, const void *message, size_t length);
    /**
     * The call ends; called before the caller is told. Trailers may be added, unless the call was cancelled.
     * Also called with UNAVAILABLE if the interceptor's own plugin stops during the call; the call itself
     * then continues. `message` may be NULL.
     */
    void (*on_finish)(void *self, struct berth_call *call, void *state, enum berth_code code,
                      const char *message);
    /**
     * A message that the handler sends, before the server gets it, which may still refuse it as too large. If
     * the hook ends the call, the message is not sent.
     */
    void (*on_reply)(void *self, struct berth_call *call, void *state, const void *message, size_t length);
};

#ifdef __cplusplus
}
#endif

#endif
