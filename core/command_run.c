/* SPDX-License-Identifier: Apache-2.0 */
/* berthd run. */
#include <malloc.h>

#include "command.h"

/*
 * glibc gives memory of this size back to the kernel as soon as it is free, and each page of the next message
 * faults again: that tripled the cost of messages of 1 MiB.
 */
#define KEPT_BLOCK_BYTES (4 * 1024 * 1024)
#define KEPT_BYTES (8 * 1024 * 1024)

int command_run(const struct command_options *options)
{
    struct settings_options settings = options->settings;

    settings.look_at_files = true;
    mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    return daemon_run(&settings);
}
