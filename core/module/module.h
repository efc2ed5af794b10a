/* SPDX-License-Identifier: Apache-2.0 */
/* One loaded file. Only this room loads code. */
#ifndef CORE_MODULE_MODULE_H
#define CORE_MODULE_MODULE_H

#include <berth/plugin.h>

#include <core/manifest/manifest.h>

struct module;

/**
 * Loads a file and proves that it is the one that was checked, that it was built for this host, and that it
 * holds just the plugins of its manifest.
 *
 * @param manifest  of catalog_read; borrowed for the length of the call.
 * @return BERTH_OK; FAILED_PRECONDITION for another ABI, a stale build or a
 * changed file (each with both values); UNAVAILABLE with the loader's reason, such as an undefined symbol's
 * name.
 */
enum berth_code module_load(const struct manifest *manifest, struct module **ret_module,
                            struct berth_error *err);
/**
 * Its code and data stay in memory for as long as the process lives, also where it was rejected: a destructor
 * of thread-specific data, an exit handler or a thread of its own may still run them, and nothing tells.
 */
void module_destroy(struct module *module);

/** Did loading it run any code of its own, or of a library that came with it? */
bool module_ran_code(const struct module *module);

/** The plugin's table as the module has it, or NULL. Read members only through BERTH_HAS. */
const struct berth_plugin *module_find(const struct module *module, const char *type, const char *id);

/** Where a module is mapped, from its first page to the end of its variables. */
struct module_range {
    uintptr_t start, end;
};

/** For a file that is loaded; empty if there is none. */
struct module_range module_range(const char *path);

#endif
