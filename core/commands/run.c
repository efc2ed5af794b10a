/* SPDX-License-Identifier: Apache-2.0 */
/* berthd run: the daemon itself. */
#include "command.h"

#include <core/process.h>

int command_run(const struct command_options *options)
{
    struct settings_options settings = options->settings;
    int code;

    if (process_reap_orphans(&code))
        return code;
    process_raise_file_limit();
    settings.look_at_files = true;
    return daemon_run(&settings);
}
