/* SPDX-License-Identifier: Apache-2.0 */
/* What changes leases: each a change of the store, for which see <berth/types/leases.h>. */
#ifndef LEASES_CHANGE_H
#define LEASES_CHANGE_H

#include "service.h"

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
