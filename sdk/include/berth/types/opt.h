/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.internal.v1.opt: a directory for programs and libraries installed beside the daemon, with
 * bin/ and lib/ in it. Plugins that start programs give them this environment, so that they find both.
 *
 * containerd adds the two directories to its own environment instead. In a process with threads setenv races
 * with every getenv of every library. So the daemon's environment stays unchanged, and only programs that
 * need the directories see them.
 */
#ifndef BERTH_TYPES_OPT_H
#define BERTH_TYPES_OPT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_OPT_URI "io.containerd.internal.v1.opt"

/** Results live as long as the instance. From any thread. */
struct berth_opt {
    uint32_t size;
    /** Absolute paths. Both directories exist when the instance does. */
    const char *(*bin)(void *instance);
    const char *(*lib)(void *instance);
    /**
     * An environment for a child process: the daemon's, as it was when the instance began, with bin/ first in
     * PATH and lib/ first in LD_LIBRARY_PATH.
     */
    const char *const *(*environment)(void *instance);
};

#ifdef __cplusplus
}
#endif

#endif
