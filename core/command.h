/* SPDX-License-Identifier: Apache-2.0 */
/* berthd's commands: what each takes, and the file that runs it. */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include <stdbool.h>

#include "daemon.h"
#include "settings.h"

/** What a command takes besides the options that all take. */
enum command_takes {
    COMMAND_TAKES_JSON = 1 << 0,
    COMMAND_TAKES_DOT = 1 << 1,
    COMMAND_TAKES_ORIGIN = 1 << 2,
    COMMAND_TAKES_OUTPUT = 1 << 3,
    COMMAND_TAKES_IN_PLACE = 1 << 4,
};

struct command_options {
    struct settings_options settings;
    bool json;
    bool dot;
    bool origin;
    bool in_place;
    /** A file to write to; NULL: standard output. */
    const char *output;
};

struct command {
    /** "run", "config check". */
    const char *name;
    const char *summary;
    /** What the help says below the summary. */
    const char *help;
    /** Of enum command_takes. */
    unsigned takes;
    /** @return an exit code. */
    int (*run)(const struct command_options *options);
};

/** NULL-named at its end. */
extern const struct command command_table[];

/**
 * Runs one command with the words behind its name, and answers --help.
 *
 * @param argv  argv[0] is not looked at.
 * @return an exit code.
 */
int command_start(const struct command *command, int argc, char **argv);

int command_run(const struct command_options *options);
int command_plan(const struct command_options *options);
int command_config_default(const struct command_options *options);
int command_config_check(const struct command_options *options);
int command_config_dump(const struct command_options *options);
int command_config_migrate(const struct command_options *options);

#endif
