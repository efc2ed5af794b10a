/* SPDX-License-Identifier: Apache-2.0 */
/* What tells of leases, for which see <berth/types/leases.h>. */
#ifndef LEASES_READING_H
#define LEASES_READING_H

#include "service.h"

enum berth_code reading_list(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                             const char *const *filters, size_t filter_count,
                             bool (*on_lease)(void *context, struct berth_store_bytes value), void *context,
                             struct berth_error *err);
enum berth_code reading_resources(void *instance, struct berth_store_txn *txn, const char *namespace_name,
                                  const char *id,
                                  bool (*on_resource)(void *context, struct berth_store_bytes resource),
                                  void *context, struct berth_error *err);

#endif
