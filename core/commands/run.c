/* SPDX-License-Identifier: Apache-2.0 */
/* berthd run: the daemon itself. */
#include "command.h"

#include <core/open_files.h>
#include <core/orphans.h>

int command_run(const struct command_options *options)
{
    struct settings_options settings = options->settings;
    int code;

    if (orphans_reap(&code))
        return code;
    open_files_raise_limit();
    settings.look_at_files = true;
    return daemon_run(&settings);
}
