/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.service.v1.namespaces-service: the namespaces that clients divide their objects by. One comes
 * into being with its first object or by name, and goes by name once nothing is in it. Values are serialised
 * containerd.services.namespaces.v1.Namespace messages. On the loop's thread.
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
 * Objects that keep a namespace from being removed, or go with it. Lives as long as the plugin that says so.
 */
struct berth_namespace_occupant {
    uint32_t size;
    /**
     * For the sentence `namespace "x" must be empty, but it still has containers`. NULL: they do not keep it,
     * they go with it.
     */
    const char *kind;
    /** Before the namespace's name in the name of the bucket that holds them: "containers/". */
    const char *bucket_prefix;
};

/**
 * How a change ended: exactly once, from the top level of the loop, never before the function returned.
 * @param message  the sentence; NULL with BERTH_OK.
 * @param value    with BERTH_OK the namespace as it is then, no bytes where it was removed. Lives until this
 *                 returns, as `message` does.
 */
typedef void berth_namespaces_done(void *context, enum berth_code code, const char *message,
                                   struct berth_store_bytes value);

struct berth_namespaces {
    uint32_t size;

    /**
     * For a change of another plugin that puts an object into `name`: makes the namespace where it is not
     * there yet, in the same transaction. No event tells of it.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a name that is no identifier; the store's.
     */
    enum berth_code (*ensure)(void *instance, struct berth_store_txn *txn, const char *name,
                              struct berth_error *err);
    /**
     * During the init of whoever occupies; until `leave`, before its close has ended.
     * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED without memory.
     */
    enum berth_code (*occupy)(void *instance, const struct berth_namespace_occupant *occupant,
                              struct berth_error *err);
    void (*leave)(void *instance, const struct berth_namespace_occupant *occupant);

    /**
     * One that is not there is one without labels, as containerd has it.
     * @param txn           NULL: a snapshot that is open as long as this runs.
     * @param on_namespace  is told the value, once, before this returns; it lives as long.
     * @return BERTH_OK; the store's.
     */
    enum berth_code (*get)(void *instance, struct berth_store_txn *txn, const char *name,
                           void (*on_namespace)(void *context, struct berth_store_bytes value), void *context,
                           struct berth_error *err);
    /** All, in byte order of their names, until the visitor returns false. Else as `get`. */
    enum berth_code (*list)(void *instance, struct berth_store_txn *txn,
                            bool (*on_namespace)(void *context, struct berth_store_bytes value),
                            void *context, struct berth_error *err);

    /**
     * The three changes. What they are given is copied. Labels keep containerd's rules (<berth/labels.h>).
     * @return BERTH_OK: `done` follows. Anything else, with containerd's sentence: refused, `done` does not
     *         come. Through `done` come BERTH_ALREADY_EXISTS, BERTH_NOT_FOUND, BERTH_FAILED_PRECONDITION for
     *         one that is not empty, and the store's.
     */
    enum berth_code (*create)(void *instance, struct berth_store_bytes value, berth_namespaces_done *done,
                              void *context, struct berth_error *err);
    /** `paths` are those of the field mask: "labels.<key>"; none: all labels are replaced. Makes it where it
     * is not there. */
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
