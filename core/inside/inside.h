/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one plugin inside its worker: the host table it is handed, and its steps as the daemon asks for
 * them. */
#ifndef CORE_INSIDE_INSIDE_H
#define CORE_INSIDE_INSIDE_H

#include <core/module/module.h>
#include <core/wire/start.h>

/**
 * Runs a loaded plugin until the daemon has it closed or is gone. Ends the process.
 *
 * @param fd        the connection to the daemon.
 * @param table     of the loaded module.
 * @param start     lives as long as the process, and so do the settings.
 */
_Noreturn void inside_run(int fd, const struct berth_plugin *table, const struct worker_start *start,
                          const struct berth_settings *settings);

/** Says that the plugin cannot run, and why. Ends the process. */
_Noreturn void inside_refuse(int fd, enum berth_code code, const char *reason);

#endif
