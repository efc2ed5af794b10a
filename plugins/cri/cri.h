/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of the two services find in `call->instance`. */
#ifndef CRI_H
#define CRI_H

#include "cri-plugin.h"

#include <berth/types/deprecations.h>

#include "events.h"
#include "network.h"

struct cri {
    /** First member, so that on_idle finds the plugin. */
    struct network network;
    const struct berth_host *host;
    /** The settings of the other two plugins. */
    struct images_config images;
    struct runtime_config runtime;
    const struct berth_settings *runtime_settings;
    /** NULL: no plugin records deprecations. */
    const struct berth_deprecations *deprecations;
    void *deprecations_instance;
    struct event_streams streams;
};

#endif
