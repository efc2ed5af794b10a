/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of berth-sdk. */
#ifndef BERTH_SDK_COMMAND_H
#define BERTH_SDK_COMMAND_H

#include <tools/cli/cli.h>

enum exit_code {
    EXIT_FINE = 0,
    /** A check failed, or the work could not be done. */
    EXIT_BAD = 1,
};

struct command_options {
    const struct cli_line *line;
};

int command_new(const struct command_options *options);
int command_generate(const struct command_options *options);
int command_check(const struct command_options *options);
int command_sign(const struct command_options *options);
int command_keygen(const struct command_options *options);
int command_verify(const struct command_options *options);

#endif
