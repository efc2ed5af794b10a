/* SPDX-License-Identifier: Apache-2.0 */
/* berthd's commands, one per file. */
#ifndef CORE_COMMANDS_COMMAND_H
#define CORE_COMMANDS_COMMAND_H

#include <stdbool.h>

#include <tools/cli/cli.h>

#include <core/daemon.h>
#include <core/settings/settings.h>

struct command_options {
    struct settings_options settings;
    bool json;
    bool dot;
    bool origin;
    bool show_secrets;
    bool in_place;
    bool load;
    /** A file to write to; NULL: standard output. */
    const char *output;
};

int command_run(const struct command_options *options);
int command_plan(const struct command_options *options);
int command_config_default(const struct command_options *options);
int command_config_check(const struct command_options *options);
int command_config_dump(const struct command_options *options);
int command_config_migrate(const struct command_options *options);

#endif
