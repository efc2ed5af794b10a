/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that a plugin makes to services of its own daemon, whether these run in the daemon, in a process of
 * their own, or behind a socket. They pass every interceptor, and are counted and traced like calls from
 * outside. <berth/plugin.h> has berth_outgoing_start, which begins one:
 *
 *     const struct berth_outgoing_options what = {.size = sizeof(what), .path = "/pkg.Service/Method",
 *                                                 .parent = call};
 *
 *     berth_outgoing_start(host, &what, &handlers, self, &outgoing, &err);
 *     berth_outgoing_send(outgoing, request, length);
 *     berth_outgoing_half_close(outgoing);
 *     …on_message(self, …), on_end(self, code, message, …)
 *
 * The shape is that of <berth/rpc/client.h>. protoc-gen-berth writes typed calls (--berth_opt=calls).
 *
 * Everything happens on the thread of the plugin's loop. No function here runs another plugin or a callback
 * before it returns: both follow from the top of the loop. Any function may be called inside any callback.
 */
#ifndef BERTH_OUTGOING_H
#define BERTH_OUTGOING_H

#include <berth/call.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Calls that one plugin may have open at once. */
#define BERTH_OUTGOING_CALLS_MAX 16384u
/** Largest message, in bytes. */
#define BERTH_OUTGOING_MESSAGE_MAX (16u * 1024 * 1024)
/** Maximum bytes queued in one direction of one call. Beyond it, sending fails. */
#define BERTH_OUTGOING_QUEUE_MAX (32u * 1024 * 1024)
/** Metadata of one call, in bytes: keys, values, and 32 for each. */
#define BERTH_OUTGOING_METADATA_MAX (64u * 1024)

/** The `transport` of such calls, and the beginning of the address of their peer: "plugin:" and a URI. */
#define BERTH_OUTGOING_TRANSPORT "plugin"

struct berth_outgoing;

/** Callbacks of a call; `context` is what berth_outgoing_start was given. Each may be NULL. */
struct berth_outgoing_handlers {
    uint32_t size;

    /** The service's initial metadata, which lives until the call has ended. At most once. */
    void (*on_headers)(void *context, struct berth_outgoing *call, const struct berth_metadata *metadata,
                       size_t count);

    /** One message; its bytes live until this returns. Never while paused. */
    void (*on_message)(void *context, struct berth_outgoing *call, const void *message, size_t length);

    /** After can_send returned false: there is room to send again. */
    void (*on_writable)(void *context, struct berth_outgoing *call);

    /**
     * The call has ended: exactly once, always last, and after all messages unless the caller cancelled it.
     * Do not touch `call` afterwards. `message` is never NULL. Details of an error, a serialised
     * google.rpc.Status, are the trailer grpc-status-details-bin.
     */
    void (*on_end)(void *context, struct berth_outgoing *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count);
};

/** Read before start returns. A member that is 0, or beyond `size`, has its default. */
struct berth_outgoing_options {
    uint32_t size;
    /** "/package.Service/Method". */
    const char *path;
    /** Deadline; 0: that of `parent`, or none. If both have one, the earlier counts. */
    uint64_t timeout_ms;
    /** Initial metadata. Keys in lower case; values of keys that end in "-bin" are raw bytes. */
    const struct berth_metadata *metadata;
    size_t metadata_count;
    /**
     * The call on whose behalf this one is made. This one inherits its deadline and, unless `metadata` has
     * them, namespace, trace, tracestate and baggage. The end of the parent does not end this call. NULL:
     * none.
     */
    const struct berth_call *parent;
    /** The span to propagate; NULL: that of `parent`. */
    const struct berth_trace *trace;
    /** For wrappers: `tag` of struct berth_outgoing. */
    const void *tag;
};

/** Use the inline functions below rather than the members. */
struct berth_outgoing_ops {
    uint32_t size;
    enum berth_code (*send)(struct berth_outgoing *call, const void *message, size_t length);
    bool (*can_send)(struct berth_outgoing *call);
    void (*half_close)(struct berth_outgoing *call);
    void (*end)(struct berth_outgoing *call, enum berth_code code, const char *message);
    void (*pause)(struct berth_outgoing *call);
    void (*resume)(struct berth_outgoing *call);
};

/** One call. The host allocates it; read only. */
struct berth_outgoing {
    uint32_t size;
    const struct berth_outgoing_ops *ops;
    const char *path;
    const void *tag;
};

/**
 * Sends one message. Copied.
 *
 * @return BERTH_OK, also if the call has ended but on_end has not been called yet; BERTH_RESOURCE_EXHAUSTED
 *         if it is over BERTH_OUTGOING_MESSAGE_MAX, too much is queued, or memory is out: nothing was sent,
 *         and the call continues. BERTH_FAILED_PRECONDITION after half_close, cancel or on_end.
 */
static inline enum berth_code berth_outgoing_send(struct berth_outgoing *call, const void *message,
                                                  size_t length)
{
    return call->ops->send(call, message, length);
}

/** Is there room to send? If not, on_writable is called once there is. */
static inline bool berth_outgoing_can_send(struct berth_outgoing *call)
{
    return call->ops->can_send(call);
}

/** No further message will be sent. Once. */
static inline void berth_outgoing_half_close(struct berth_outgoing *call)
{
    call->ops->half_close(call);
}

/** Cancels the call: only on_end follows, with CANCELLED. */
static inline void berth_outgoing_cancel(struct berth_outgoing *call)
{
    call->ops->end(call, BERTH_CANCELLED, "the caller cancelled the call");
}

/** Ends the call with another code, for a reply the caller cannot use. The service sees a cancelled call. */
static inline void berth_outgoing_fail(struct berth_outgoing *call, enum berth_code code, const char *message)
{
    call->ops->end(call, code, message);
}

/** Stops on_message until resumed. The service must wait once BERTH_OUTGOING_QUEUE_MAX bytes are queued. */
static inline void berth_outgoing_pause(struct berth_outgoing *call)
{
    call->ops->pause(call);
}

/** @see berth_outgoing_pause */
static inline void berth_outgoing_resume(struct berth_outgoing *call)
{
    call->ops->resume(call);
}

/** The `tag` that the call was started with. */
static inline const void *berth_outgoing_tag(const struct berth_outgoing *call)
{
    return call->tag;
}

#ifdef __cplusplus
}
#endif

#endif
