/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.service.v1.leases-service: leases, which keep resources of their namespace from being
 * garbage-collected until they are removed or expire. Values are serialised messages of
 * containerd.services.leases.v1: Lease and Resource. On the loop's thread.
 *
 * The label containerd.io/gc.expire, an RFC 3339 time, sets when a lease expires; a value that is not such a
 * time is ignored.
 */
#ifndef BERTH_TYPES_LEASES_H
#define BERTH_TYPES_LEASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types/store.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_LEASES_URI "io.containerd.service.v1.leases-service"

/** Maximum length of a lease's id in bytes, limited by the store's names. */
#define BERTH_LEASE_ID_MAX 256

/**
 * The result of a change: exactly once, from the top level of the loop, never before the function has
 * returned.
 * @param message  the error message; NULL with BERTH_OK.
 * @param value    the lease after a successful `create`, otherwise empty. Lives until this returns, as
 *                 `message` does.
 */
typedef void berth_leases_done(void *context, enum berth_code code, const char *message,
                               struct berth_store_bytes value);

/** Zero-initialise, and set `size`. */
struct berth_leases_query {
    uint32_t size;
    const char *namespace_name;
    /** At least one must match (<berth/filter.h>); none selects all. Fields: id, labels.<key>. */
    const char *const *filters;
    size_t filter_count;
    /** Only leases whose id is greater; empty: all. */
    struct berth_store_bytes after;
    /**
     * Called with the visitor's context for each lease that does not match, in the same order; ends the visit
     * with false, so that a caller can bound it. May be NULL.
     */
    bool (*on_other)(void *context, const struct berth_store_entry *lease);
};

/**
 * Functions that make a change copy their arguments. BERTH_OK: `done` follows, exactly once. Anything else,
 * with a message: rejected, and `done` is not called.
 */
struct berth_leases {
    uint32_t size;

    /**
     * Creates a lease, with a generated id if it has none, without empty labels, and with the current time.
     * `done` gets the lease as created, or BERTH_ALREADY_EXISTS.
     * @param value  a Lease.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid message or an id that is too long;
     *         BERTH_RESOURCE_EXHAUSTED.
     */
    enum berth_code (*create)(void *instance, const char *namespace_name, struct berth_store_bytes value,
                              berth_leases_done *done, void *context, struct berth_error *err);
    /** Removes a lease. `done` gets BERTH_OK once that is durable, or BERTH_NOT_FOUND. */
    enum berth_code (*remove)(void *instance, const char *namespace_name, const char *id,
                              berth_leases_done *done, void *context, struct berth_error *err);
    /**
     * Adds a resource of the type content, images, ingests or snapshots/<snapshotter> to a lease, or removes
     * it. Adding one twice is not an error. `done` gets BERTH_NOT_FOUND for the lease, BERTH_INVALID_ARGUMENT
     * and BERTH_UNIMPLEMENTED for the resource.
     */
    enum berth_code (*add_resource)(void *instance, const char *namespace_name, const char *id,
                                    struct berth_store_bytes resource, berth_leases_done *done, void *context,
                                    struct berth_error *err);
    enum berth_code (*remove_resource)(void *instance, const char *namespace_name, const char *id,
                                       struct berth_store_bytes resource, berth_leases_done *done,
                                       void *context, struct berth_error *err);

    /**
     * add_resource for another plugin that creates a resource under a lease: in the same transaction.
     *
     * @return BERTH_OK; the errors that add_resource passes to `done`; the store's errors.
     */
    enum berth_code (*hold)(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                            const char *id, struct berth_store_bytes resource, struct berth_error *err);

    /**
     * Visits the leases that match at least one filter (<berth/filter.h>; none: all) in byte order of their
     * ids until the visitor returns false. Fields: id, labels.<key>.
     * @param txn  NULL: a snapshot for the duration of this function.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid filter; the store's errors.
     */
    enum berth_code (*list)(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                            const char *const *filters, size_t filter_count,
                            bool (*on_lease)(void *context, struct berth_store_bytes value), void *context,
                            struct berth_error *err);
    /** Visits a lease's resources by type and id. As `list`; BERTH_NOT_FOUND. */
    enum berth_code (*resources)(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                                 const char *id,
                                 bool (*on_resource)(void *context, struct berth_store_bytes resource),
                                 void *context, struct berth_error *err);

    /**
     * As `list`, for a namespace of any size: to continue later, copy the last id and set `after`.
     * @param on_lease  gets the id and the lease.
     */
    enum berth_code (*list_part)(void *instance, struct berth_store_txn *txn,
                                 const struct berth_leases_query *query,
                                 bool (*on_lease)(void *context, const struct berth_store_entry *lease),
                                 void *context, struct berth_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
