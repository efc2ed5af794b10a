/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.service.v1.leases-service: leases, each of which keeps resources of its namespace from being
 * collected until it is removed or expires. Values are serialised messages of containerd.services.leases.v1:
 * Lease and Resource. On the loop's thread.
 *
 * The label containerd.io/gc.expire, a time as RFC 3339 has it, says when a lease ends by itself; one that is
 * no such time counts as none.
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

/** The longest id of a lease, in bytes: what a store's names have room for. */
#define BERTH_LEASE_ID_MAX 256

/**
 * How a change ended: exactly once, from the top level of the loop, never before the function returned.
 * @param message  the sentence; NULL with BERTH_OK.
 * @param value    after a BERTH_OK of `create` the lease, else no bytes. Lives until this returns, as
 *                 `message` does.
 */
typedef void berth_leases_done(void *context, enum berth_code code, const char *message,
                               struct berth_store_bytes value);

/**
 * Functions that ask for a change copy what they are given. BERTH_OK: `done` follows, exactly once. Anything
 * else, with the sentence: refused, and `done` never comes.
 */
struct berth_leases {
    uint32_t size;

    /**
     * Creates a lease: its id, or one of the service's own making where it has none, and its labels without
     * those that are empty; the time is set. `done` is told the lease as it is then, or BERTH_ALREADY_EXISTS.
     * @param value  a Lease. @return BERTH_OK; BERTH_INVALID_ARGUMENT for what is none or for an id that is
     * too long; BERTH_RESOURCE_EXHAUSTED.
     */
    enum berth_code (*create)(void *instance, const char *namespace_name, struct berth_store_bytes value,
                              berth_leases_done *done, void *context, struct berth_error *err);
    /** Durable when `done` says BERTH_OK; BERTH_NOT_FOUND. */
    enum berth_code (*remove)(void *instance, const char *namespace_name, const char *id,
                              berth_leases_done *done, void *context, struct berth_error *err);
    /**
     * Has the lease keep a Resource, of the type content, images, ingests or snapshots/<snapshotter>, or no
     * longer; fine where it does already. BERTH_NOT_FOUND for the lease, BERTH_INVALID_ARGUMENT and
     * BERTH_UNIMPLEMENTED for the resource, to `done`.
     */
    enum berth_code (*add_resource)(void *instance, const char *namespace_name, const char *id,
                                    struct berth_store_bytes resource, berth_leases_done *done, void *context,
                                    struct berth_error *err);
    enum berth_code (*remove_resource)(void *instance, const char *namespace_name, const char *id,
                                       struct berth_store_bytes resource, berth_leases_done *done,
                                       void *context, struct berth_error *err);

    /**
     * For a change of another plugin that makes a resource inside a lease: as add_resource, in the same
     * transaction. @return BERTH_OK; what add_resource tells `done`; the store's.
     */
    enum berth_code (*hold)(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                            const char *id, struct berth_store_bytes resource, struct berth_error *err);

    /**
     * Visits the leases that one of the filters lets through (<berth/filter.h>; none: all), in byte order of
     * their ids, until the visitor returns false. Fields: id, labels.<key>.
     * @param txn  NULL: a snapshot.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a filter that is none; what the store says.
     */
    enum berth_code (*list)(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                            const char *const *filters, size_t filter_count,
                            bool (*on_lease)(void *context, struct berth_store_bytes value), void *context,
                            struct berth_error *err);
    /** Visits what a lease keeps, by type and id. As `list`; BERTH_NOT_FOUND. */
    enum berth_code (*resources)(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                                 const char *id,
                                 bool (*on_resource)(void *context, struct berth_store_bytes resource),
                                 void *context, struct berth_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
