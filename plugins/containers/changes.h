/* SPDX-License-Identifier: Apache-2.0 */
/* The service's instance, and the changes of containers. */
#ifndef CONTAINERS_CHANGES_H
#define CONTAINERS_CHANGES_H

#include <berth/namespace.h>
#include <berth/plugin.h>
#include <berth/types/containers.h>
#include <berth/types/events.h>
#include <berth/types/namespaces.h>

/** Size of a bucket's name including its NUL. */
#define CONTAINERS_BUCKET_SIZE (sizeof(BERTH_CONTAINERS_BUCKET_PREFIX) + BERTH_IDENTIFIER_MAX)

struct containers_service {
    const struct berth_host *host;
    const struct berth_store *store;
    void *store_instance;
    const struct berth_exchange *exchange;
    void *exchange_instance;
    const struct berth_namespaces *namespaces;
    void *namespaces_instance;
    struct berth_store_watch *watch;
    /** Changes in flight in the store. */
    size_t outstanding;
    bool closes;
};

/** @return BERTH_OK; BERTH_INVALID_ARGUMENT if the name is not a valid identifier. */
enum berth_code containers_bucket(const char *namespace_name, char ret_bucket[CONTAINERS_BUCKET_SIZE],
                                  struct berth_error *err);

/** Publishes events for changes by other daemons; a watch of the store. */
void containers_on_change(void *context, const struct berth_store_change *change);

/** As in struct berth_containers. */
enum berth_code containers_create(void *instance, const char *namespace_name, struct berth_store_bytes value,
                                  berth_containers_done *done, void *context, struct berth_error *err);
enum berth_code containers_update(void *instance, const char *namespace_name, struct berth_store_bytes value,
                                  const char *const *paths, size_t path_count, berth_containers_done *done,
                                  void *context, struct berth_error *err);
enum berth_code containers_remove(void *instance, const char *namespace_name, const char *id,
                                  berth_containers_done *done, void *context, struct berth_error *err);

#endif
