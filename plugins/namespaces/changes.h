/* SPDX-License-Identifier: Apache-2.0 */
/* The service's instance, and the changes of namespaces. */
#ifndef NAMESPACES_CHANGES_H
#define NAMESPACES_CHANGES_H

#include <berth/plugin.h>
#include <berth/types/events.h>
#include <berth/types/namespaces.h>

#define NAMESPACES_BUCKET "namespaces"

struct namespaces_service {
    const struct berth_host *host;
    const struct berth_store *store;
    void *store_instance;
    const struct berth_exchange *exchange;
    void *exchange_instance;
    struct berth_store_watch *watch;
    const struct berth_namespace_occupant **occupants;
    size_t occupant_count;
    /** Changes in flight in the store. */
    size_t outstanding;
    bool closes;
};

/** Publishes events for changes by other daemons; a watch of the store. */
void namespaces_on_change(void *context, const struct berth_store_change *change);

/** Frees it. */
void namespaces_destroy(struct namespaces_service *service);

/** As in struct berth_namespaces. */
enum berth_code namespaces_create(void *instance, struct berth_store_bytes value, berth_namespaces_done *done,
                                  void *context, struct berth_error *err);
enum berth_code namespaces_update(void *instance, struct berth_store_bytes value, const char *const *paths,
                                  size_t path_count, berth_namespaces_done *done, void *context,
                                  struct berth_error *err);
enum berth_code namespaces_remove(void *instance, const char *name, berth_namespaces_done *done,
                                  void *context, struct berth_error *err);

#endif
