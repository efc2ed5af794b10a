/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between servers and services. A server knows paths and bytes and opens each call here; the
 * router finds the service, runs the interceptors and hands the call to a handler. Only servers and
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

/** The server's own end of one call: whatever it gave to `open`, which nobody but the server looks into. */
struct berth_stream;

/**
 * What the router asks of a server, for one call. `finish` is the last: neither side touches the other's
 * end of that call afterwards. All of it may be called from inside the router's functions.
 */
struct berth_stream_ops {
    uint32_t size;

    /** Sends one message; copies. BERTH_OK or BERTH_RESOURCE_EXHAUSTED (over a limit, nothing sent). */
    enum berth_code (*send)(struct berth_stream *stream, const void *message, size_t length);

    /** May more be sent without piling up? After a no, the server calls router->writable once there is room.
     */
    bool (*can_send)(struct berth_stream *stream);

    enum berth_code (*add_header)(struct berth_stream *stream, const char *key, const void *value,
                                  size_t length);
    enum berth_code (*add_trailer)(struct berth_stream *stream, const char *key, const void *value,
                                   size_t length);
    enum berth_code (*send_headers)(struct berth_stream *stream);

    /** Ends the call. `message` may be NULL; all is copied. */
    void (*finish)(struct berth_stream *stream, enum berth_code code, const char *message,
                   const void *details, size_t details_length);

    /** Deliver nothing until resumed. May come before router->open has returned. */
    void (*pause)(struct berth_stream *stream);
    /** Deliver again; the server may do so before this returns. */
    void (*resume)(struct berth_stream *stream);

    /** As berth_call_compress and berth_call_came_compressed; NULL where the transport has no compression. */
    enum berth_code (*compress)(struct berth_stream *stream, bool wanted);
    bool (*came_compressed)(struct berth_stream *stream);

    /**
     * The method is there, and of this kind: comes from inside open, before any other operation of the call;
     * not where open refuses the call for want of a service, a method or memory. NULL: the server need not
     * know.
     */
    void (*found)(struct berth_stream *stream, enum berth_method_kind kind);

    /** As berth_call_refusal. NULL: the server does not tell. */
    const char *(*refusal)(struct berth_stream *stream);
};

/** Is this operation there? A server may be older than the header. */
#define BERTH_STREAM_OPS_HAVE(ops, member)                                                                   \
    ((ops)->size > offsetof(struct berth_stream_ops, member) && (ops)->member != NULL)

/**
 * What a server knows of a call when it opens it. `transport` and `stream_ops` are constant for the server's
 * whole life, `stream` lives until the call has ended; the rest is copied by open.
 */
struct berth_call_request {
    uint32_t size;
    const char *path;
    const char *transport;
    const struct berth_peer *peer;
    /** On the clock of uv_hrtime(); 0: none. The server keeps it: at that time it calls `cancel`. */
    uint64_t deadline_ns;
    const struct berth_metadata *metadata;
    size_t metadata_count;
    struct berth_stream *stream;
    const struct berth_stream_ops *stream_ops;
};

/** One service as the router knows it, live or not. */
struct berth_route_info {
    uint32_t size;
    const char *service;
    /** The URI of the plugin that exports it. */
    const char *plugin;
    /** Do calls reach an instance? */
    bool live;
    const void *descriptors;
    size_t descriptors_length;
    /** The transports that may carry it, as its plugin's manifest names them; NULL: all. */
    const char *const *transports;
    size_t transport_count;
};

/** Does a call that came over this transport find the service? */
static inline bool berth_route_takes(const struct berth_route_info *route, const char *transport)
{
    static const char test[] = "test";
    const char *const *names = route->transports;

    if (route->size <= offsetof(struct berth_route_info, transport_count) || names == NULL)
        return true;
    for (size_t i = 0; i <= route->transport_count; i++) {
        const char *a = i < route->transport_count ? names[i] : test;
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
 * server calls `cancel`. Any of open, deliver, half_close and writable may bring `finish` about before it
 * returns, so a server looks at its own stream before it goes on with the call.
 *
 * A server does not call `cancel` from inside its stream_ops: it notes what went wrong and cancels once the
 * loop comes round, since the handler may be in the middle of its own use of the call. Only inside `resume`
 * may it deliver.
 */
struct berth_router {
    uint32_t size;

    /**
     * Opens a call. @return NULL where it has been finished already (no such service or method:
     * UNIMPLEMENTED; refused by an interceptor; its plugin gone: UNAVAILABLE).
     */
    struct berth_call *(*open)(const struct berth_router *router, const struct berth_call_request *request);

    /** One whole message, never while paused. The bytes are borrowed until this returns. */
    void (*deliver)(struct berth_call *call, const void *message, size_t length);
    /** The caller's side has ended. Where one request is due, none or several end the call as INTERNAL. */
    void (*half_close)(struct berth_call *call);
    void (*writable)(struct berth_call *call);
    /** The call is over for the server: reset, lost, or past its deadline. `stream_ops` is not used again. */
    void (*cancel)(struct berth_call *call, enum berth_code code);

    /** Tells of each service, in the plan's order, until the visitor returns false. */
    void (*each)(const struct berth_router *router,
                 bool (*on_route)(void *context, const struct berth_route_info *route), void *context);

    /**
     * `deliver` and `half_close` in one, for a server that knows that this message is the last: a unary
     * request then reaches its handler without a copy.
     */
    void (*deliver_last)(struct berth_call *call, const void *message, size_t length);
};

/**
 * Hooks around every call of every transport, in the plan's order of the plugins that add them; on_reply and
 * on_finish in reverse. `self` is what was given with it. A hook may annotate the call, add headers and
 * trailers, and end the call with a code; it sends no messages.
 */
struct berth_interceptor {
    uint32_t size;
    const char *name;

    /**
     * A call begins. `*ret_state` is this interceptor's own for this call.
     * @return BERTH_OK: go on; BERTH_PENDING: the host's `admit` follows exactly once (unless on_finish comes
     *         first); anything else, also given to `admit`, refuses the call with it, and this interceptor
     *         hears no more of the call.
     */
    enum berth_code (*on_start)(void *self, struct berth_call *call, void **ret_state,
                                struct berth_error *err);
    void (*on_message)(void *self, struct berth_call *call, void *state, const void *message, size_t length);
    /**
     * How the call ends, before the caller hears of it: trailers may be added, unless it was cancelled. Also
     * where the interceptor's own plugin goes while the call runs (then UNAVAILABLE, and the call goes on).
     * `message` may be NULL.
     */
    void (*on_finish)(void *self, struct berth_call *call, void *state, enum berth_code code,
                      const char *message);
    /**
     * A message that the handler sends, before it goes to the server, which may still refuse it as too large.
     * Where the hook ends the call the message does not leave.
     */
    void (*on_reply)(void *self, struct berth_call *call, void *state, const void *message, size_t length);
};

#ifdef __cplusplus
}
#endif

#endif
