/* SPDX-License-Identifier: Apache-2.0 */
/* berthd run. */
#include "command.h"

int command_run(const struct command_options *options)
{
    struct settings_options settings = options->settings;

    settings.look_at_files = true;
    return daemon_run(&settings);
}
