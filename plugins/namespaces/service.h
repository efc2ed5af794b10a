/* SPDX-License-Identifier: Apache-2.0 */
/* The service's instance, and what its files do for one another. */
#ifndef NAMESPACES_SERVICE_H
#define NAMESPACES_SERVICE_H

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
    /** Changes that the store has not ended yet. */
    size_t outstanding;
    bool closes;
};

enum namespace_event {
    NAMESPACE_CREATED,
    NAMESPACE_UPDATED,
    NAMESPACE_DELETED,
};

/** Tells what happened. @param value  a Namespace: its name and labels are the event's. */
void namespaces_publish(struct namespaces_service *service, enum namespace_event event, const char *name,
                        struct berth_store_bytes value);
/** Tells what happened without this daemon's doing; a store's watcher. */
void namespaces_on_change(void *context, const struct berth_store_change *change);

/** One change less is outstanding. May free the service. */
void namespaces_release(struct namespaces_service *service);

/** As of struct berth_namespaces. */
enum berth_code namespaces_create(void *instance, struct berth_store_bytes value, berth_namespaces_done *done,
                                  void *context, struct berth_error *err);
enum berth_code namespaces_update(void *instance, struct berth_store_bytes value, const char *const *paths,
                                  size_t path_count, berth_namespaces_done *done, void *context,
                                  struct berth_error *err);
enum berth_code namespaces_remove(void *instance, const char *name, berth_namespaces_done *done,
                                  void *context, struct berth_error *err);

#endif
