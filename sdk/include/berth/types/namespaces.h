/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.service.v1.namespaces-service: the namespaces by which clients separate their objects. A
 * namespace is created explicitly or with its first object, and can be removed once it is empty. Values are
 * serialised containerd.services.namespaces.v1.Namespace messages. On the loop's thread.
 */
#ifndef BERTH_TYPES_NAMESPACES_H
#define BERTH_TYPES_NAMESPACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types/store.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_NAMESPACES_URI "io.containerd.service.v1.namespaces-service"

/**
 * A kind of object that keeps a namespace from being removed, or is removed with it. Lives as long as the
 * plugin that declares it.
 */
struct berth_namespace_occupant {
    uint32_t size;
    /**
     * Used in the message `namespace "x" must be empty, but it still has containers`. NULL: these objects do
     * not prevent removal; they are removed with the namespace.
     */
    const char *kind;
    /** Prefix of the bucket with a namespace's objects: "containers/". */
    const char *bucket_prefix;
};

/**
 * The result of a change: exactly once, from the top level of the loop, never before the function has
 * returned.
 * @param message  the error message; NULL with BERTH_OK.
 * @param value    with BERTH_OK the namespace as changed, empty if it was removed. Lives until this returns,
 *                 as `message` does.
 */
typedef void berth_namespaces_done(void *context, enum berth_code code, const char *message,
                                   struct berth_store_bytes value);

struct berth_namespaces {
    uint32_t size;

    /**
     * Creates the namespace if it does not exist, within the transaction of another plugin that puts an
     * object into it. Publishes no event.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid name; the store's errors.
     */
    enum berth_code (*ensure)(void *instance, struct berth_store_txn *txn, const char *name,
                              struct berth_error *err);
    /**
     * Declares an occupant during the init of its plugin, until `leave`, before the plugin's close has
     * completed.
     * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED without memory.
     */
    enum berth_code (*occupy)(void *instance, const struct berth_namespace_occupant *occupant,
                              struct berth_error *err);
    void (*leave)(void *instance, const struct berth_namespace_occupant *occupant);

    /**
     * Gets a namespace; one that does not exist appears as one without labels, as in containerd.
     * @param txn           NULL: a snapshot for the duration of this function.
     * @param on_namespace  gets the value, once, before this returns; the value lives as long.
     * @return BERTH_OK; the store's errors.
     */
    enum berth_code (*get)(void *instance, struct berth_store_txn *txn, const char *name,
                           void (*on_namespace)(void *context, struct berth_store_bytes value), void *context,
                           struct berth_error *err);
    /**
     * Visits all namespaces in byte order of their names until the visitor returns false. Otherwise as `get`.
     */
    enum berth_code (*list)(void *instance, struct berth_store_txn *txn,
                            bool (*on_namespace)(void *context, struct berth_store_bytes value),
                            void *context, struct berth_error *err);

    /**
     * The three changes. Arguments are copied. Labels follow containerd's rules (<berth/labels.h>).
     * @return BERTH_OK: `done` follows. Anything else, in containerd's wording: rejected, and `done` is not
     *         called. `done` gets BERTH_ALREADY_EXISTS, BERTH_NOT_FOUND, BERTH_FAILED_PRECONDITION if the
     *         namespace is not empty, and the store's errors.
     */
    enum berth_code (*create)(void *instance, struct berth_store_bytes value, berth_namespaces_done *done,
                              void *context, struct berth_error *err);
    /**
     * `paths` are those of the field mask: "labels.<key>"; none: all labels are replaced. Creates the
     * namespace if it does not exist.
     */
    enum berth_code (*update)(void *instance, struct berth_store_bytes value, const char *const *paths,
                              size_t path_count, berth_namespaces_done *done, void *context,
                              struct berth_error *err);
    enum berth_code (*remove)(void *instance, const char *name, berth_namespaces_done *done, void *context,
                              struct berth_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
