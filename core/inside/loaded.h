/* SPDX-License-Identifier: Apache-2.0 */
/* The modules of a worker. Plugins of one file share it. */
#ifndef CORE_INSIDE_LOADED_H
#define CORE_INSIDE_LOADED_H

#include <berth/plugin.h>

#include <core/wire/start.h>

/**
 * The table of a plugin; loads its module first if no other plugin has. Third-party code runs in it.
 * @return it lives as long as the process; NULL with the reason.
 */
const struct berth_plugin *loaded_find(const struct plugin_start *start, struct berth_error *err);

#endif
