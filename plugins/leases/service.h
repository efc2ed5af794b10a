/* SPDX-License-Identifier: Apache-2.0 */
/* The instance of the leases service, for its parts. */
#ifndef LEASES_SERVICE_H
#define LEASES_SERVICE_H

#include <berth/namespace.h>
#include <berth/plugin.h>
#include <berth/types/leases.h>
#include <berth/types/namespaces.h>

#include "sweeper.h"

#define SERVICE_BUCKET_PREFIX "leases/"
#define SERVICE_BUCKET_MAX (sizeof(SERVICE_BUCKET_PREFIX) + BERTH_IDENTIFIER_MAX)

struct service {
    const struct berth_host *host;
    const struct berth_store *store;
    void *store_instance;
    const struct berth_namespaces *namespaces;
    void *namespaces_instance;
    struct sweeper sweeper;
    /** Changes whose `done` has not come. */
    size_t changes;
    bool is_closing;
};

/** The bucket of a namespace; what is no identifier is refused. */
enum berth_code service_bucket(const char *namespace_name, char ret_bucket[SERVICE_BUCKET_MAX],
                               struct berth_error *err);
enum berth_code service_say_not_found(const char *id, struct berth_error *err);
/** Finds a lease's record, or says that there is none. */
enum berth_code service_find(const struct service *service, struct berth_store_txn *txn, const char *bucket,
                             const char *id, struct berth_store_bytes *ret_record, struct berth_error *err);
/** A change is over: closes, where that was the last thing waited for. */
void service_end_change(struct service *service);

#endif
