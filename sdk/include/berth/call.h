/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service and its calls as a handler sees them: bytes in, bytes out, whatever carries them.
 *
 * Everything here happens on the thread of the loop that the instance was given. A handler gets its
 * callbacks from the top level of that loop or from inside an operation of its own on the same call;
 * it may use every operation from inside every callback. Of the operations only finish, reply and resume
 * can bring on_end about before they return, and only where no callback of the call is running.
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

/** How many messages travel each way. */
enum berth_method_kind {
    BERTH_METHOD_UNARY = 0,
    BERTH_METHOD_SERVER_STREAM = 1,
    BERTH_METHOD_CLIENT_STREAM = 2,
    BERTH_METHOD_BIDI_STREAM = 3,
};

/**
 * One method of a service. Where a callback is NULL the event is of no interest, except that
 * `on_message` must be there for the unary and server-streaming kinds.
 *
 * For these two kinds the caller's side is checked before the handler is troubled: `on_message` comes
 * exactly once, with the whole request, after the caller has ended its side.
 */
struct berth_method {
    /** As the .proto spells it: "SayHello". */
    const char *name;
    enum berth_method_kind kind;

    /** The call begins. `call->instance` is set; `call->state` is NULL and the handler's to use. */
    void (*on_start)(struct berth_call *call);

    /** A message came. `message` lives until the callback returns; its bytes are not yet trusted. */
    void (*on_message)(struct berth_call *call, const void *message, size_t length);

    /** The caller will send no more. Only for client-streaming and bidirectional methods. */
    void (*on_half_close)(struct berth_call *call);

    /** After `can_send` said no: more may be sent. */
    void (*on_writable)(struct berth_call *call);

    /**
     * The call is over, for whatever reason, and `call` is gone when this returns: free `call->state`
     * here. Comes exactly once for each on_start, also after the handler's own finish, and nothing
     * comes after it. `code` is how the call ended: the handler's own code, BERTH_CANCELLED or
     * BERTH_DEADLINE_EXCEEDED.
     */
    void (*on_end)(struct berth_call *call, enum berth_code code);
};

/** The methods that a plugin exports under one name. Static and constant. */
struct berth_service {
    /** sizeof(struct berth_service) as the author compiled it. */
    uint32_t size;
    /** sizeof(struct berth_method) as the author compiled it: the stride of `methods`. */
    uint32_t method_size;
    /** Full name with its package: "helloworld.Greeter". */
    const char *name;
    const struct berth_method *methods;
    size_t method_count;
    /** A serialised google.protobuf.FileDescriptorSet for reflection, or NULL. */
    const void *descriptors;
    size_t descriptors_length;
    /** What the callbacks of `methods` find in `call->handlers`: theirs to define. May be NULL. */
    const void *handlers;
};

/** The `handlers` of a service whose author's header may be older. */
#define BERTH_SERVICE_HANDLERS(service)                                                                      \
    ((service)->size > offsetof(struct berth_service, handlers) ? (service)->handlers : NULL)

/** One header or trailer. `key` is lower case; the value of a key that ends in "-bin" is raw bytes. */
struct berth_metadata {
    const char *key;
    const char *value;
    /** Bytes of `value`, which has a NUL behind them that is not counted. */
    size_t value_length;
};

/** Who calls. Lives as long as the call. */
struct berth_peer {
    uint32_t size;
    /** For people: "unix:pid=412,uid=0" or "127.0.0.1:41822". */
    const char *address;
    /** From SO_PEERCRED; -1 where the transport cannot tell. */
    int64_t pid;
    int64_t uid;
    int64_t gid;
    /** Of the client's certificate, which was verified: its subject as RFC 2253 writes it; NULL without one.
     */
    const char *tls_subject;
    /** Its subject alternative names, each with its kind: "DNS:a.example", "URI:spiffe://a/b",
     * "IP:127.0.0.1". */
    const char *const *tls_names;
    size_t tls_name_count;
};

/** What a handler can do with a call. Use the inline functions below rather than the members. */
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
};

/**
 * One call. The host allocates it; a handler reads the data members and may write `state` only.
 * All that it points to lives until on_end has returned.
 */
struct berth_call {
    uint32_t size;
    const struct berth_call_ops *ops;

    /** "/helloworld.Greeter/SayHello", and its two parts. */
    const char *path;
    const char *service;
    const char *method;
    enum berth_method_kind kind;

    /** What carries the call: "grpc" (a unix socket), "tcp" (gRPC over TCP), "ttrpc", "test". */
    const char *transport;
    const struct berth_peer *peer;

    /** When the caller gives up, on the clock of uv_hrtime(), in nanoseconds; 0: never. */
    uint64_t deadline_ns;

    /** What the caller sent ahead of its messages, in order; the transport's own headers are left out. */
    const struct berth_metadata *metadata;
    size_t metadata_count;

    /** The instance whose service this is: what the plugin's init made. */
    void *instance;
    /** The handler's own. */
    void *state;
    /** As its struct berth_service has it. */
    const void *handlers;
};

/** Is this operation there? A host may be older than the header. */
#define BERTH_CALL_OPS_HAVE(call, member)                                                                    \
    ((call)->ops->size > offsetof(struct berth_call_ops, member) && (call)->ops->member != NULL)

/**
 * Sends one message; the bytes are copied before this returns.
 *
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED where it is over the transport's limit or too much is
 *         queued (nothing was sent, and the call goes on; berth_call_refusal has the reason). After a yes
 * from berth_call_can_send what others have queued does not count; BERTH_FAILED_PRECONDITION where a unary
 * method sends twice or the call has ended.
 */
static inline enum berth_code berth_call_send(struct berth_call *call, const void *message, size_t length)
{
    return call->ops->send(call, message, length);
}

/** May more be sent without piling up? After a no, on_writable comes once there is room. */
static inline bool berth_call_can_send(struct berth_call *call)
{
    return call->ops->can_send(call);
}

/**
 * Ends the call. on_end follows, at the latest when the running callback has returned, possibly before
 * this returns: touch neither the call nor its state afterwards. `message` may be NULL.
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
 * Why the last berth_call_send was refused, for the caller to read: names the limit that was hit and its
 * value.
 *
 * @return never NULL; lives until the next berth_call_send or the end of the call.
 */
static inline const char *berth_call_refusal(struct berth_call *call)
{
    const char *why = BERTH_CALL_OPS_HAVE(call, refusal) ? call->ops->refusal(call) : NULL;

    return why != NULL ? why : "the server cannot send the message";
}

/** Ends the call as its last berth_call_send did: with BERTH_OK, or with its code and the reason for it. */
static inline void berth_call_finish_sent(struct berth_call *call, enum berth_code code)
{
    call->ops->finish(call, code, code == BERTH_OK ? NULL : berth_call_refusal(call), NULL, 0);
}

/** Sends the one answer of a unary method and ends the call well. What cannot be sent ends it with a code. */
static inline void berth_call_reply(struct berth_call *call, const void *message, size_t length)
{
    berth_call_finish_sent(call, call->ops->send(call, message, length));
}

/**
 * Adds initial metadata, which leaves with the first message or with berth_call_send_headers. The same
 * key may come several times. Copied.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a key that is not `[0-9a-z_.-]+`, is reserved ("grpc-…"), or
 *         a value that its transport cannot carry; BERTH_FAILED_PRECONDITION where the headers are gone.
 */
static inline enum berth_code berth_call_add_header(struct berth_call *call, const char *key,
                                                    const void *value, size_t length)
{
    return call->ops->add_header(call, key, value, length);
}

/** Adds trailing metadata; as berth_call_add_header, until the call is finished. */
static inline enum berth_code berth_call_add_trailer(struct berth_call *call, const char *key,
                                                     const void *value, size_t length)
{
    return call->ops->add_trailer(call, key, value, length);
}

/** Sends the initial metadata at once rather than with the first message. */
static inline enum berth_code berth_call_send_headers(struct berth_call *call)
{
    return call->ops->send_headers(call);
}

/** No on_message until resumed; the transport stops the caller once its window is full. */
static inline void berth_call_pause(struct berth_call *call)
{
    call->ops->pause(call);
}

/**
 * Takes messages again; what had come meanwhile is delivered, the first perhaps before this returns: so the
 * call may have ended then, if the handler ends it in on_message.
 */
static inline void berth_call_resume(struct berth_call *call)
{
    call->ops->resume(call);
}

/** What an interceptor noted on the call, such as the namespace; NULL where nobody did. */
static inline const char *berth_call_annotation(struct berth_call *call, const char *key)
{
    return call->ops->annotation(call, key);
}

/** Notes a value on the call for the handler and later interceptors; replaces an earlier one. Copied. */
static inline enum berth_code berth_call_annotate(struct berth_call *call, const char *key, const char *value)
{
    return call->ops->annotate(call, key, value);
}

/**
 * Are the messages sent from here on compressed, where the caller takes that? Where this is not called the
 * server's configuration decides. A message is sent as it is where compressing does not make it smaller.
 *
 * @return BERTH_OK, also where the caller takes no compression; BERTH_FAILED_PRECONDITION where it is wanted
 *         and the headers left without it; BERTH_UNIMPLEMENTED on a transport that has none.
 */
static inline enum berth_code berth_call_compress(struct berth_call *call, bool wanted)
{
    return BERTH_CALL_OPS_HAVE(call, compress) ? call->ops->compress(call, wanted) : BERTH_UNIMPLEMENTED;
}

/** Had the caller compressed the message that on_message was given? Only meant inside on_message. */
static inline bool berth_call_came_compressed(struct berth_call *call)
{
    return BERTH_CALL_OPS_HAVE(call, came_compressed) && call->ops->came_compressed(call);
}

/** The first value of a key, or NULL; `key` in lower case. */
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
