/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces whose functions can be called from another process. Such an interface has functions that start
 * something and call back once, requests and replies that can be written as bytes, and a struct berth_remote,
 * which says how: usually generated from a service of a .proto by protoc-gen-berth (--berth_opt=interface).
 *
 *     interface: example_v1_thumbnails_interface                               # in the provider's
 * plugin.yaml remote: [example_v1_thumbnails_interface]
 *
 *     wants: [io.example.thumbnails.v1]                                        # in that of a plugin that
 * uses it remote: [example_v1_thumbnails_interface]
 *
 * Both use the interface as any other, with berth_get. In one process, a call is a direct call, and nothing
 * is written as bytes. If one of the two is isolated, the host hands the user the stub of its own module, and
 * the functions of the provider are called through the skeleton of the provider's module.
 *
 * A call then ends with
 *   - UNAVAILABLE and the reason, if the process of the provider ends; while it restarts, a start is refused
 *     with the same code. The stub stays valid, and works again once the provider runs again;
 *   - RESOURCE_EXHAUSTED, for a request or a reply longer than BERTH_REMOTE_MAX, or beyond
 *     BERTH_REMOTE_CALLS_MAX calls at once;
 *   - DEADLINE_EXCEEDED, after the time that the stub allows;
 *   - CANCELLED, if it was cancelled, or when the user closes.
 *
 * Authors need no more than this comment: what follows is for generated code, and for stubs by hand.
 */
#ifndef BERTH_REMOTE_H
#define BERTH_REMOTE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of a request, and of a reply. */
#define BERTH_REMOTE_MAX (1u << 20)
/** Calls in flight, to and from one process each. */
#define BERTH_REMOTE_CALLS_MAX 1024u
/** Bytes that a stub keeps for a call. */
#define BERTH_REMOTE_CONTEXT_MAX 64u
/** Time that generated stubs allow for a call. */
#ifndef BERTH_REMOTE_TIMEOUT_MS
#define BERTH_REMOTE_TIMEOUT_MS (5u * 60 * 1000)
#endif

/** A call that a stub has started. Opaque. */
struct berth_remote_call;

/**
 * The end of a call: exactly once, from the top level of the loop, never before `start` has returned.
 *
 * @param context  the stub's copy of what `start` was passed; until this returns, like all that follows.
 * @param reply    packed, untrusted; 0 bytes unless `code` is BERTH_OK.
 * @param message  a reason for any other code; "" or text.
 */
typedef void berth_remote_ended(const void *context, enum berth_code code, const void *reply, size_t length,
                                const char *message);

/** One call; see berth_remote_peer_start. All but `size` and `on_end` may be 0. */
struct berth_remote_request {
    uint32_t size;
    /** Its place in the interface, from 0. */
    uint32_t method;
    /** 0: BERTH_REMOTE_TIMEOUT_MS. */
    uint32_t timeout_ms;
    const void *bytes;
    size_t length;
    berth_remote_ended *on_end;
    /** Copied. */
    const void *context;
    size_t context_length;
};

/** Whoever takes the calls of a stub: the instance that its functions are called with. The host's. */
struct berth_remote_peer {
    uint32_t size;
    /**
     * @param ret_call  for `cancel`, until on_end is called; may be NULL.
     * @return BERTH_OK; BERTH_UNAVAILABLE with the reason, while the provider does not run or the user
     *         closes; BERTH_RESOURCE_EXHAUSTED beyond the limits above: on_end is not called.
     */
    enum berth_code (*start)(struct berth_remote_peer *peer, const struct berth_remote_request *request,
                             struct berth_remote_call **ret_call, struct berth_error *err);
    /** on_end is called soon: with BERTH_CANCELLED, unless the call has ended otherwise meanwhile. */
    void (*cancel)(struct berth_remote_peer *peer, struct berth_remote_call *call);
};

/** Where a skeleton sends the end of a call. The host's. */
struct berth_remote_reply {
    uint32_t size;
    /**
     * Exactly once for a call that `serve` has accepted. The reply is gone afterwards.
     * @param bytes    packed; only used with BERTH_OK. Copied, as is the message, which may be NULL.
     */
    void (*end)(struct berth_remote_reply *reply, enum berth_code code, const void *bytes, size_t length,
                const char *message);
};

/** How an interface is used across processes. Static and constant. */
struct berth_remote {
    uint32_t size;
    /** As under `interface` and `remote` in the manifests. */
    const char *interface;
    /** The stub: a table of the interface whose functions take a struct berth_remote_peer for the instance.
     */
    const void *stub;
    /**
     * The skeleton: unpacks a request, and calls the function of a provider.
     *
     * @param table       the provider's, with its instance.
     * @param bytes       untrusted; until this returns.
     * @param reply       to be ended later, if this returns BERTH_OK.
     * @param ret_handle  for `cancel`; may be left as it is.
     * @return BERTH_OK; what the provider returned; BERTH_UNIMPLEMENTED for a method that it does not have;
     *         BERTH_INVALID_ARGUMENT for bytes that are not a valid request.
     */
    enum berth_code (*serve)(const void *table, void *instance, uint32_t method, const void *bytes,
                             size_t length, struct berth_remote_reply *reply, void **ret_handle,
                             struct berth_error *err);
    /** The call is to be ended soon. `handle` is what `serve` has set. */
    void (*cancel)(const void *table, void *instance, void *handle);
};

/** @see struct berth_remote_peer; for stubs. */
static inline enum berth_code berth_remote_peer_start(void *peer, const struct berth_remote_request *request,
                                                      struct berth_remote_call **ret_call,
                                                      struct berth_error *err)
{
    return ((struct berth_remote_peer *)peer)
        ->start((struct berth_remote_peer *)peer, request, ret_call, err);
}

/** @see struct berth_remote_peer; for stubs. */
static inline void berth_remote_peer_cancel(void *peer, struct berth_remote_call *call)
{
    ((struct berth_remote_peer *)peer)->cancel((struct berth_remote_peer *)peer, call);
}

/** The one of this interface among the `remote` of a plugin, which may be NULL. @return NULL: there is none.
 */
static inline const struct berth_remote *berth_remote_find(const struct berth_remote *const *remotes,
                                                           const char *interface)
{
    for (; remotes != NULL && interface != NULL && *remotes != NULL; remotes++)
        if (strcmp((*remotes)->interface, interface) == 0)
            return *remotes;
    return NULL;
}

#ifdef __cplusplus
}
#endif

#endif
