/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.service.v1.containers-service: container metadata, by namespace. Values are serialised
 * containerd.services.containers.v1.Container messages with each singular field at most once, as every
 * protobuf library writes them. The rules are containerd's. On the loop's thread.
 */
#ifndef BERTH_TYPES_CONTAINERS_H
#define BERTH_TYPES_CONTAINERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types/store.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_CONTAINERS_URI "io.containerd.service.v1.containers-service"

/** Prefix of the bucket with a namespace's containers, which other plugins may read in their own changes. */
#define BERTH_CONTAINERS_BUCKET_PREFIX "containers/"

/**
 * The result of a change: exactly once, from the top level of the loop, never before the function has
 * returned.
 * @param message  the error message; NULL with BERTH_OK.
 * @param value    with BERTH_OK the container as changed, empty if it was removed. Lives until this returns,
 *                 as `message` does.
 */
typedef void berth_containers_done(void *context, enum berth_code code, const char *message,
                                   struct berth_store_bytes value);

/** Selects the containers of a list. Zero-initialise, set `size`. */
struct berth_containers_query {
    uint32_t size;
    const char *namespace_name;
    /**
     * At least one must match (<berth/filter.h>); none selects all. Fields: id, image, runtime.name,
     * labels.<key>.
     */
    const char *const *filters;
    size_t filter_count;
    /** Only containers whose id is greater; empty: all. */
    struct berth_store_bytes after;
    /**
     * Called with the visitor's context for each container that does not match, in the same order; ends the
     * visit with false, so that a caller can bound it. May be NULL.
     */
    bool (*on_other)(void *context, const struct berth_store_entry *container);
};

struct berth_containers {
    uint32_t size;

    /**
     * @param txn           NULL: a snapshot for the duration of this function.
     * @param on_container  gets the value, once, before this returns; the value lives as long.
     * @return BERTH_OK; BERTH_NOT_FOUND in containerd's wording; the store's errors.
     */
    enum berth_code (*get)(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                           const char *id,
                           void (*on_container)(void *context, struct berth_store_bytes value), void *context,
                           struct berth_error *err);
    /**
     * Visits containers in byte order of their ids until the visitor returns false. To continue later, copy
     * the last id and set `after`.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid filter; BERTH_DATA_LOSS if one is corrupt,
     *         which `err` names, after the others have been visited; the store's errors.
     */
    enum berth_code (*list)(void *instance, struct berth_store_txn *txn,
                            const struct berth_containers_query *query,
                            bool (*on_container)(void *context, const struct berth_store_entry *container),
                            void *context, struct berth_error *err);

    /**
     * The three changes. Arguments are copied.
     * @return BERTH_OK: `done` follows. Anything else, in containerd's wording: rejected, and `done` is not
     *         called. `done` gets BERTH_ALREADY_EXISTS, BERTH_NOT_FOUND, BERTH_INVALID_ARGUMENT if the
     *         container would become invalid, and the store's errors.
     */
    enum berth_code (*create)(void *instance, const char *namespace_name, struct berth_store_bytes value,
                              berth_containers_done *done, void *context, struct berth_error *err);
    /**
     * @param paths  of the field mask: labels, labels.<key>, spec, extensions, extensions.<key>, image,
     *               snapshotkey. None: all of these; the snapshotter and the runtime's name must then be
     *               unchanged.
     */
    enum berth_code (*update)(void *instance, const char *namespace_name, struct berth_store_bytes value,
                              const char *const *paths, size_t path_count, berth_containers_done *done,
                              void *context, struct berth_error *err);
    enum berth_code (*remove)(void *instance, const char *namespace_name, const char *id,
                              berth_containers_done *done, void *context, struct berth_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
