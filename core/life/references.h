/* SPDX-License-Identifier: Apache-2.0 */
/* References to other plugins, as a plugin is handed them: by a stub where one of the two is isolated. */
#ifndef CORE_LIFE_REFERENCES_H
#define CORE_LIFE_REFERENCES_H

#include "host.h"

/** As berth_get, berth_get_single and berth_each. */
enum berth_code references_get(struct host *host, const char *uri, struct berth_ref *ret_ref,
                               struct berth_error *err);
enum berth_code references_get_single(struct host *host, const char *type, struct berth_ref *ret_ref,
                                      struct berth_error *err);
/** Leaves out those that do not cross processes: the plan has warned of them. */
enum berth_code references_each(struct host *host, const char *type,
                                bool (*on_ref)(void *context, const struct berth_ref *ref), void *context,
                                struct berth_error *err);

#endif
