/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of both services find in `call->instance`: the introspection service, as it was fetched.
 */
#ifndef INTROSPECTION_H
#define INTROSPECTION_H

#include <berth/types/introspection.h>

struct introspection {
    const struct berth_introspection *service;
    void *instance;
};

#endif
