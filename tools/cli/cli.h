/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines of the form PROGRAM [OPTION]... COMMAND [OPTION]... [ARGUMENT]...: parsed, checked,
 * explained. */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include <berth/error.h>

/** Exit codes of every program: failure of the frame itself, and wrong usage. */
#define CLI_EXIT_FAILED 1
#define CLI_EXIT_USAGE 2
/** What cli_parse returns when the command is to be run. */
#define CLI_GO_ON (-1)

/** One option. Tables of options end with one without a name; every command has --help without listing it. */
struct cli_option {
    /** Long name, without dashes. */
    const char *name;
    /** Short name; 0: none. */
    char letter;
    /** What its value is called: "FILE"; NULL: it takes none. */
    const char *argument;
    const char *help;
    /** Options of one command with the same group, not 0, exclude each other. */
    char group;
};

/** What a command is run with: each program defines its own. */
struct command_options;

struct cli_command {
    /**
     * One word, or a group and a word: "run", "config check". Tables end with a NULL name. "" for the only
     * command of a program that needs no name for it.
     */
    const char *name;
    /** "[FILTER]..."; "" if it takes options only. */
    const char *arguments;
    /** A line of the program's help. */
    const char *summary;
    /** The command's own help, below its usage. */
    const char *help;
    /** NULL: only those of the program. */
    const struct cli_option *options;
    size_t min_words, max_words;
    /** @return an exit code. */
    int (*run)(const struct command_options *options);
};

struct cli_program {
    const char *name;
    const char *version;
    /** Printed below the usage. */
    const char *summary;
    /** Printed at the end of each help. */
    const char *exit_status;
    /** Taken by every command, and before the command. */
    const struct cli_option *options;
    const struct cli_command *commands;
};

/** A parsed command line. Borrows from argv and the tables. */
struct cli_line {
    const struct cli_program *program;
    const struct cli_command *command;
    /** Arguments of the command that are not options. */
    char **words;
    size_t word_count;
    /** Options and their values, equal options beside each other in the order given. */
    const struct cli_option **options;
    const char **values;
    size_t option_count;
};

/**
 * Parses a command line: --NAME VALUE, --NAME=VALUE, -x VALUE, -xVALUE, -xyz; options and arguments may mix,
 * "--" ends the options. Answers --help and --version on standard output; says on one line of standard error
 * what is wrong, with the nearest name.
 *
 * @param ret_line  finish it in any case.
 * @return CLI_GO_ON to run `ret_line->command`; else an exit code.
 */
int cli_parse(const struct cli_program *program, int argc, char **argv, struct cli_line *ret_line);
void cli_line_finish(struct cli_line *line);

bool cli_has(const struct cli_line *line, const char *name);
/** The last value given; NULL: none. */
const char *cli_value(const struct cli_line *line, const char *name);
/** All values given, in their order; lives as long as the line. */
const char *const *cli_values(const struct cli_line *line, const char *name, size_t *ret_count);

/** Says "PROGRAM: COMMAND: message; see PROGRAM COMMAND --help" on standard error. @return CLI_EXIT_USAGE. */
BERTH_PRINTF(2, 3)
int cli_refuse(const struct cli_line *line, const char *format, ...);

/**
 * What `main` of every program is: keeps closed standard streams from being reused, parses, runs, flushes.
 *
 * @param start  runs `line->command` and returns its exit code.
 * @return the exit code; CLI_EXIT_FAILED with a message if standard output could not be written.
 */
int cli_main(const struct cli_program *program, int argc, char **argv,
             int (*start)(const struct cli_line *line));

#endif
