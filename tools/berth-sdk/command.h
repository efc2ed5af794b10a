/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of berth-sdk; each takes the arguments behind its own name and returns the exit code. */
#ifndef BERTH_SDK_COMMAND_H
#define BERTH_SDK_COMMAND_H

enum exit_code {
    EXIT_FINE = 0,
    /** The answer is bad news, or the work could not be done. */
    EXIT_BAD = 1,
    EXIT_USAGE = 2,
};

int command_new(int argc, char **argv);
int command_generate(int argc, char **argv);
int command_check(int argc, char **argv);

extern const char new_help[];
extern const char generate_help[];
extern const char check_help[];

/** Says on standard error what is wrong with the arguments, and where help is. @return EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int command_usage(const char *command, const char *format, ...);

#endif
