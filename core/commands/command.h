/* SPDX-License-Identifier: Apache-2.0 */
/* berthd's commands. */
#ifndef CORE_COMMANDS_COMMAND_H
#define CORE_COMMANDS_COMMAND_H

#include <tools/cli/cli.h>

#include <core/daemon.h>
#include <core/settings/settings.h>

struct command_options {
    /** From the options that every command takes. */
    struct settings_options settings;
    /** For the command's own options. */
    const struct cli_line *line;
};

int command_plan(const struct command_options *options);
/** With --against: becomes berthctl. @return where that fails. */
int command_plan_against(const struct command_options *options);
int command_config_default(const struct command_options *options);
int command_config_check(const struct command_options *options);
int command_config_dump(const struct command_options *options);
int command_config_migrate(const struct command_options *options);
int command_quarantine_ls(const struct command_options *options);
int command_quarantine_clear(const struct command_options *options);

#endif
