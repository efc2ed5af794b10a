/* SPDX-License-Identifier: Apache-2.0 */
/* The images and runtime plugins: they hold their settings for the plugin that serves CRI. */
#include "cri-plugin.h"

#include <berth/types/cri.h>

/* The instance is the host's table. */
static const struct berth_settings *settings(void *instance)
{
    const struct berth_host *host = instance;

    return host->settings;
}

static void hold(const struct berth_host *host, void **ret_instance)
{
    *ret_instance = (void *)(uintptr_t)host;
}

enum berth_code images_init(const struct berth_host *host, void *prepared, void **ret_instance,
                            struct berth_error *err)
{
    hold(host, ret_instance);
    return BERTH_OK;
}

enum berth_code runtime_init(const struct berth_host *host, void *prepared, void **ret_instance,
                             struct berth_error *err)
{
    hold(host, ret_instance);
    return BERTH_OK;
}

const struct berth_cri_part images_interface = {.size = sizeof(images_interface), .settings = settings};
const struct berth_cri_part runtime_interface = {.size = sizeof(runtime_interface), .settings = settings};
