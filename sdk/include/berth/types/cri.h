/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.cri.v1: the parts of Kubernetes' Container Runtime Interface (CRI) that hold its settings,
 * under containerd's names: images and runtime. Plugins that serve CRI or run its sandboxes require them by
 * URI. On the loop's thread.
 */
#ifndef BERTH_TYPES_CRI_H
#define BERTH_TYPES_CRI_H

#include <stdint.h>

#include <berth/settings.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_CRI_TYPE "io.containerd.cri.v1"
#define BERTH_CRI_IMAGES_URI "io.containerd.cri.v1.images"
#define BERTH_CRI_RUNTIME_URI "io.containerd.cri.v1.runtime"

struct berth_cri_part {
    uint32_t size;
    /** The part's settings, complete and checked. Live as long as the instance. */
    const struct berth_settings *(*settings)(void *instance);
};

#ifdef __cplusplus
}
#endif

#endif
