/* SPDX-License-Identifier: Apache-2.0 */
/* The instance of the leases service, and the changes of leases. */
#ifndef LEASES_CHANGES_H
#define LEASES_CHANGES_H

#include <berth/namespace.h>
#include <berth/plugin.h>
#include <berth/types/leases.h>
#include <berth/types/namespaces.h>

#include "sweeper.h"

#define SERVICE_BUCKET_PREFIX "leases/"
#define SERVICE_BUCKET_MAX (sizeof(SERVICE_BUCKET_PREFIX) + BERTH_IDENTIFIER_MAX)

struct service {
    /** First, so that its end finds the service. */
    struct sweeper sweeper;
    const struct berth_host *host;
    const struct berth_store *store;
    void *store_instance;
    const struct berth_namespaces *namespaces;
    void *namespaces_instance;
    /** Changes whose `done` has not been called. */
    size_t changes;
    bool is_closing;
};

/** The bucket of a namespace; invalid names are rejected. */
enum berth_code service_bucket(const char *namespace_name, char ret_bucket[SERVICE_BUCKET_MAX],
                               struct berth_error *err);
/** Finds a lease's record; BERTH_NOT_FOUND if there is none. */
enum berth_code service_find(const struct service *service, struct berth_store_txn *txn, const char *bucket,
                             const char *id, struct berth_store_bytes *ret_record, struct berth_error *err);
/** Frees the service if it is closing and nothing is pending. @return whether it did. */
bool service_free_if_closed(struct service *service);

/** As in struct berth_leases. */
enum berth_code change_create(void *instance, const char *namespace_name, struct berth_store_bytes value,
                              berth_leases_done *done, void *context, struct berth_error *err);
enum berth_code change_remove(void *instance, const char *namespace_name, const char *id,
                              berth_leases_done *done, void *context, struct berth_error *err);
enum berth_code change_add_resource(void *instance, const char *namespace_name, const char *id,
                                    struct berth_store_bytes resource, berth_leases_done *done, void *context,
                                    struct berth_error *err);
enum berth_code change_remove_resource(void *instance, const char *namespace_name, const char *id,
                                       struct berth_store_bytes resource, berth_leases_done *done,
                                       void *context, struct berth_error *err);
enum berth_code change_hold(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                            const char *id, struct berth_store_bytes resource, struct berth_error *err);

#endif
