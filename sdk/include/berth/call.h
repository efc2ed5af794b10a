/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services and their calls as a handler sees them: bytes in, bytes out, over any transport.
 *
 * Everything here happens on the thread of the instance's loop. A handler's callbacks are called from the top
 * level of that loop, or from inside the handler's own operation on the same call. It may use every operation
 * inside every callback. Only finish, reply and resume can cause on_end before they return, and only if no
 * callback of the call is running.
 */
#ifndef BERTH_CALL_H
#define BERTH_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_call;
struct berth_trace;

/** How many messages are sent each way. */
enum berth_method_kind {
    BERTH_METHOD_UNARY = 0,
    BERTH_METHOD_SERVER_STREAM = 1,
    BERTH_METHOD_CLIENT_STREAM = 2,
    BERTH_METHOD_BIDI_STREAM = 3,
};

/**
 * One method of a service. Callbacks may be NULL, except `on_message` of unary and server-streaming methods.
 *
 * For these two kinds the request is validated before the handler sees it: `on_message` is called exactly
 * once, with the whole request, after the caller has half-closed.
 */
struct berth_method {
    /** As in the .proto: "SayHello". */
    const char *name;
    enum berth_method_kind kind;

    /** The call begins. `call->instance` is set; `call->state` is NULL and belongs to the handler. */
    void (*on_start)(struct berth_call *call);

    /** A message was received. `message` lives until the callback returns; its bytes are untrusted. */
    void (*on_message)(struct berth_call *call, const void *message, size_t length);

    /** The caller will send no more. Client-streaming and bidirectional methods only. */
    void (*on_half_close)(struct berth_call *call);

    /** There is room to send again after `can_send` returned false. */
    void (*on_writable)(struct berth_call *call);

    /**
     * The call has ended, for whatever reason, and `call` is freed when this returns: free `call->state`
     * here. Called exactly once for each on_start, even after the handler's own finish, and always last.
     * `code` is the handler's own, BERTH_CANCELLED or BERTH_DEADLINE_EXCEEDED.
     */
    void (*on_end)(struct berth_call *call, enum berth_code code);
};

/**
 * The methods that a plugin exports under one name. Static and constant.
 *
 * For plugins that the configuration declares (`makes` in plugin.yaml): a service named "*" serves each
 * service that an entry names, and a method named "*", of the kind BERTH_METHOD_BIDI_STREAM, any method. A
 * call then shows the path that it was made by.
 */
struct berth_service {
    /** sizeof(struct berth_service) when the module was compiled. */
    uint32_t size;
    /** sizeof(struct berth_method) when the module was compiled: the stride of `methods`. */
    uint32_t method_size;
    /** Full name including the package: "helloworld.Greeter". */
    const char *name;
    const struct berth_method *methods;
    size_t method_count;
    /** A serialised google.protobuf.FileDescriptorSet for reflection, or NULL. */
    const void *descriptors;
    size_t descriptors_length;
    /** Passed to the callbacks of `methods` as `call->handlers`; defined by them. May be NULL. */
    const void *handlers;
};

/** The `handlers` of a service that may have been compiled with an older header. */
#define BERTH_SERVICE_HANDLERS(service)                                                                      \
    ((service)->size > offsetof(struct berth_service, handlers) ? (service)->handlers : NULL)

/** One header or trailer. `key` is lower case; the value of a key ending in "-bin" is raw bytes. */
struct berth_metadata {
    const char *key;
    const char *value;
    /** Length of `value` in bytes, not counting the NUL after it. */
    size_t value_length;
};

/** The caller. Lives as long as the call. */
struct berth_peer {
    uint32_t size;
    /** For people: "unix:pid=412,uid=0", "127.0.0.1:41822" or "plugin:io.example.v1.heron". */
    const char *address;
    /** From SO_PEERCRED; -1 if the transport does not provide them. */
    int64_t pid;
    int64_t uid;
    int64_t gid;
    /** Subject of the verified client certificate, in RFC 2253 notation; NULL without one. */
    const char *tls_subject;
    /**
     * Its subject alternative names with their kinds: "DNS:a.example", "URI:spiffe://a/b", "IP:127.0.0.1".
     */
    const char *const *tls_names;
    size_t tls_name_count;
};

/** The operations of a call. Use the inline functions below rather than the members. */
struct berth_call_ops {
    uint32_t size;
    enum berth_code (*send)(struct berth_call *call, const void *message, size_t length);
    bool (*can_send)(struct berth_call *call);
    void (*finish)(struct berth_call *call, enum berth_code code, const char *message, const void *details,
                   size_t details_length);
    enum berth_code (*add_header)(struct berth_call *call, const char *key, const void *value, size_t length);
    enum berth_code (*add_trailer)(struct berth_call *call, const char *key, const void *value,
                                   size_t length);
    enum berth_code (*send_headers)(struct berth_call *call);
    void (*pause)(struct berth_call *call);
    void (*resume)(struct berth_call *call);
    enum berth_code (*annotate)(struct berth_call *call, const char *key, const char *value);
    const char *(*annotation)(struct berth_call *call, const char *key);
    enum berth_code (*compress)(struct berth_call *call, bool wanted);
    bool (*came_compressed)(struct berth_call *call);
    const char *(*refusal)(struct berth_call *call);
    enum berth_code (*set_trace)(struct berth_call *call, const struct berth_trace *trace);
};

/**
 * One call. The host allocates it; a handler may read the data members and write only `state`. Everything it
 * points to lives until on_end has returned.
 */
struct berth_call {
    uint32_t size;
    const struct berth_call_ops *ops;

    /** "/helloworld.Greeter/SayHello", and its two parts. */
    const char *path;
    const char *service;
    const char *method;
    enum berth_method_kind kind;

    /**
     * The transport: "grpc" (a unix socket), "tcp" (gRPC over TCP), "ttrpc", "http" (Connect), "plugin"
     * (another plugin of this daemon, see <berth/outgoing.h>) or "test".
     */
    const char *transport;
    const struct berth_peer *peer;

    /** The caller's deadline in nanoseconds on the clock of uv_hrtime(); 0: none. */
    uint64_t deadline_ns;

    /** The caller's initial metadata, in order, without the transport's own headers. */
    const struct berth_metadata *metadata;
    size_t metadata_count;

    /** The instance whose service this is, as created by the plugin's init. */
    void *instance;
    /** For the handler's use. */
    void *state;
    /** As in struct berth_service. */
    const void *handlers;

    /**
     * The span of this call, under which a handler records its own and makes its outgoing calls: see
     * <berth/trace.h>. NULL without tracing. Set by an interceptor with berth_call_set_trace.
     */
    const struct berth_trace *trace;
};

/** Does the host provide this member? It may be older than the header. */
#define BERTH_CALL_HAS(call, member)                                                                         \
    ((call)->size >= offsetof(struct berth_call, member) + sizeof((call)->member))

/** Does the host provide this operation? It may be older than the header. */
#define BERTH_CALL_OPS_HAVE(call, member)                                                                    \
    ((call)->ops->size > offsetof(struct berth_call_ops, member) && (call)->ops->member != NULL)

/**
 * Sends one message. Copied.
 *
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED if it is over the transport's limit or too much is queued:
 *         nothing was sent, the call continues, and berth_call_refusal has the reason. Once
 *         berth_call_can_send has returned true, messages queued for other calls do not count.
 *         BERTH_FAILED_PRECONDITION if a unary method sends twice or the call has ended.
 */
static inline enum berth_code berth_call_send(struct berth_call *call, const void *message, size_t length)
{
    return call->ops->send(call, message, length);
}

/** Is there room to send? If not, on_writable is called once there is. */
static inline bool berth_call_can_send(struct berth_call *call)
{
    return call->ops->can_send(call);
}

/**
 * Ends the call. on_end follows when the running callback has returned at the latest, possibly before this
 * returns: do not touch the call or its state afterwards. `message` may be NULL.
 */
static inline void berth_call_finish(struct berth_call *call, enum berth_code code, const char *message)
{
    call->ops->finish(call, code, message, NULL, 0);
}

/** The same with a serialised google.rpc.Status for the caller (grpc-status-details-bin). Copied. */
static inline void berth_call_finish_with_details(struct berth_call *call, enum berth_code code,
                                                  const char *message, const void *details, size_t length)
{
    call->ops->finish(call, code, message, details, length);
}

/**
 * Why the last berth_call_send failed, as a message for the caller: names the limit and its value.
 *
 * @return never NULL; lives until the next berth_call_send or the end of the call.
 */
static inline const char *berth_call_refusal(struct berth_call *call)
{
    const char *why = BERTH_CALL_OPS_HAVE(call, refusal) ? call->ops->refusal(call) : NULL;

    return why != NULL ? why : "the server cannot send the message";
}

/** Ends the call with the result of its last berth_call_send: BERTH_OK, or its code and the reason. */
static inline void berth_call_finish_sent(struct berth_call *call, enum berth_code code)
{
    call->ops->finish(call, code, code == BERTH_OK ? NULL : berth_call_refusal(call), NULL, 0);
}

/**
 * Sends the single response of a unary method and ends the call with OK, or with the error if it cannot be
 * sent.
 */
static inline void berth_call_reply(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish_sent(call, call->ops->send(call, message, length));
}

/**
 * Adds initial metadata, sent with the first message or by berth_call_send_headers. A key may be repeated.
 * Copied.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a key that is not `[0-9a-z_.-]+` or is reserved ("grpc-…"), or
 *         a value that the transport cannot carry; BERTH_FAILED_PRECONDITION if the headers have been sent.
 */
static inline enum berth_code berth_call_add_header(struct berth_call *call, const char *key,
                                                    const void *value, size_t length)
{
    return call->ops->add_header(call, key, value, length);
}

/** Adds trailing metadata until the call is finished. As berth_call_add_header. */
static inline enum berth_code berth_call_add_trailer(struct berth_call *call, const char *key,
                                                     const void *value, size_t length)
{
    return call->ops->add_trailer(call, key, value, length);
}

/** Sends the initial metadata immediately rather than with the first message. */
static inline enum berth_code berth_call_send_headers(struct berth_call *call)
{
    return call->ops->send_headers(call);
}

/** Stops on_message until berth_call_resume; the transport stops the caller once its window is full. */
static inline void berth_call_pause(struct berth_call *call)
{
    call->ops->pause(call);
}

/**
 * Resumes on_message. Messages received meanwhile are delivered, the first possibly before this returns, so
 * the call may then have ended if on_message ends it.
 */
static inline void berth_call_resume(struct berth_call *call)
{
    call->ops->resume(call);
}

/** A value that an interceptor attached to the call, such as the namespace; NULL if none did. */
static inline const char *berth_call_annotation(struct berth_call *call, const char *key)
{
    return call->ops->annotation(call, key);
}

/** Attaches a value to the call for the handler and later interceptors; replaces an earlier one. Copied. */
static inline enum berth_code berth_call_annotate(struct berth_call *call, const char *key, const char *value)
{
    return call->ops->annotate(call, key, value);
}

/**
 * Sets whether messages sent from here on are compressed, if the caller accepts that. The default is the
 * server's configuration. A message that would not get smaller is sent uncompressed.
 *
 * @return BERTH_OK, even if the caller accepts no compression; BERTH_FAILED_PRECONDITION if the headers were
 *         already sent without it; BERTH_UNIMPLEMENTED if the transport has no compression.
 */
static inline enum berth_code berth_call_compress(struct berth_call *call, bool wanted)
{
    return BERTH_CALL_OPS_HAVE(call, compress) ? call->ops->compress(call, wanted) : BERTH_UNIMPLEMENTED;
}

/** Was the message passed to on_message compressed? Valid only inside on_message. */
static inline bool berth_call_came_compressed(struct berth_call *call)
{
    return BERTH_CALL_OPS_HAVE(call, came_compressed) && call->ops->came_compressed(call);
}

/**
 * Sets the span of the call, as `call->trace`; replaces an earlier one. For interceptors. Copied.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if the call has ended; BERTH_UNIMPLEMENTED by an older host.
 */
static inline enum berth_code berth_call_set_trace(struct berth_call *call, const struct berth_trace *trace)
{
    return BERTH_CALL_OPS_HAVE(call, set_trace) ? call->ops->set_trace(call, trace) : BERTH_UNIMPLEMENTED;
}

/** The first value of a key, or NULL; `key` is lower case. */
static inline const struct berth_metadata *berth_call_metadata(const struct berth_call *call, const char *key)
{
    for (size_t i = 0; i < call->metadata_count; i++) {
        const char *a = call->metadata[i].key;
        const char *b = key;

        while (*a != '\0' && *a == *b)
            a++, b++;
        if (*a == *b)
            return &call->metadata[i];
    }
    return NULL;
}

#ifdef __cplusplus
}
#endif

#endif
