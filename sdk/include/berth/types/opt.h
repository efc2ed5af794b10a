/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.internal.v1.opt: a folder for programs and libraries that were installed beside the daemon,
 * with bin/ and lib/ in it. Who starts programs gives them this environment, so that they find both.
 *
 * containerd puts the two folders into its own environment instead. In a process with threads setenv races
 * with every getenv of every library, so the daemon's environment stays what it was; and only programs that
 * are to see the folders do.
 */
#ifndef BERTH_TYPES_OPT_H
#define BERTH_TYPES_OPT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_OPT_URI "io.containerd.internal.v1.opt"

/** All that is handed out lives as long as the instance. From any thread. */
struct berth_opt {
    uint32_t size;
    /** Absolute paths; both folders are there when the instance is. */
    const char *(*bin)(void *instance);
    const char *(*lib)(void *instance);
    /**
     * For a child, as environ: the daemon's environment as it was when the instance began, with bin/ first in
     * PATH and lib/ first in LD_LIBRARY_PATH.
     */
    const char *const *(*environment)(void *instance);
};

#ifdef __cplusplus
}
#endif

#endif
