/* SPDX-License-Identifier: Apache-2.0 */
/* One loaded file. The only user of dlfcn.h. */
#ifndef CORE_MODULE_H
#define CORE_MODULE_H

#include <berth/plugin.h>

#include "scan.h"

struct module;

/**
 * Loads a file and proves that it is the one that was checked, that it was built for this host, and that it
 * holds just the plugins of its manifest.
 *
 * @param file  borrowed for the length of the call.
 * @return BERTH_OK; else the file is unloaded again: FAILED_PRECONDITION for another ABI, a stale build or a
 * changed file (each with both values); UNAVAILABLE with the loader's reason, such as an undefined symbol's
 * name.
 */
enum berth_code module_load(const struct scan_file *file, struct module **ret_module,
                            struct berth_error *err);
/** No code, data or thread of the module may be in use. */
void module_unload(struct module *module);

const char *module_path(const struct module *module);
/** The plugin's table as the module has it, or NULL. Read members only through BERTH_HAS. */
const struct berth_plugin *module_find(const struct module *module, const char *type, const char *id);

#endif
