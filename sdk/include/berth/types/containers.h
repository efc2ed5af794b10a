/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.service.v1.containers-service: what containers are to be, in each namespace. Values are
 * serialised containerd.services.containers.v1.Container messages, each singular field at most once, as any
 * protobuf library packs them. The rules are containerd's. On the loop's thread.
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

/** Before the namespace's name in the name of the bucket where other plugins' changes may look them up. */
#define BERTH_CONTAINERS_BUCKET_PREFIX "containers/"

/**
 * How a change ended: exactly once, from the top level of the loop, never before the function returned.
 * @param message  the sentence; NULL with BERTH_OK.
 * @param value    with BERTH_OK the container as it is then, no bytes where it was removed. Lives until this
 *                 returns, as `message` does.
 */
typedef void berth_containers_done(void *context, enum berth_code code, const char *message,
                                   struct berth_store_bytes value);

/** What a listing is asked for. Zero-initialise, set `size`. */
struct berth_containers_query {
    uint32_t size;
    const char *namespace_name;
    /**
     * One of them must match (<berth/filter.h>); none: all. Fields: id, image, runtime.name, labels.<key>.
     */
    const char *const *filters;
    size_t filter_count;
    /** Those whose id is greater; no bytes: all. */
    struct berth_store_bytes after;
};

struct berth_containers {
    uint32_t size;

    /**
     * @param txn           NULL: a snapshot that is open as long as this runs.
     * @param on_container  is told the value, once, before this returns; it lives as long.
     * @return BERTH_OK; BERTH_NOT_FOUND, with containerd's sentence; the store's.
     */
    enum berth_code (*get)(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                           const char *id,
                           void (*on_container)(void *context, struct berth_store_bytes value), void *context,
                           struct berth_error *err);
    /**
     * In byte order of their ids, until the visitor returns false. Who goes on later copies the id and asks
     * for what is after it.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid filter; BERTH_DATA_LOSS where one is damaged,
     * which `err` names, after the others have been visited; the store's.
     */
    enum berth_code (*list)(void *instance, struct berth_store_txn *txn,
                            const struct berth_containers_query *query,
                            bool (*on_container)(void *context, const struct berth_store_entry *container),
                            void *context, struct berth_error *err);

    /**
     * The three changes. What they are given is copied.
     * @return BERTH_OK: `done` follows. Anything else, with containerd's sentence: refused, `done` does not
     *         come. Through `done` come BERTH_ALREADY_EXISTS, BERTH_NOT_FOUND, what an update finds wrong
     *         with the whole (BERTH_INVALID_ARGUMENT), and the store's.
     */
    enum berth_code (*create)(void *instance, const char *namespace_name, struct berth_store_bytes value,
                              berth_containers_done *done, void *context, struct berth_error *err);
    /**
     * @param paths  of the field mask: labels, labels.<key>, spec, extensions, extensions.<key>, image,
     *               snapshotkey; none: all of these, and then snapshotter and runtime's name must be the same
     *               as before.
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
