/* SPDX-License-Identifier: Apache-2.0 */
/* berthd run. */
#include "command.h"

int command_run(const struct command_options *options)
{
    return daemon_run(&options->settings);
}
