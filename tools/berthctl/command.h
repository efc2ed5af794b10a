/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl's commands: what each takes, and the file that runs it. */
#ifndef BERTHCTL_COMMAND_H
#define BERTHCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "client.h"

/** Exit codes, documented in the manual page. */
enum command_exit {
    COMMAND_EXIT_OK = 0,
    /** The answer is bad news. */
    COMMAND_EXIT_BAD_NEWS = 1,
    COMMAND_EXIT_USAGE = 2,
    /** The daemon cannot be reached. */
    COMMAND_EXIT_UNREACHABLE = 3,
};

/** What a command takes besides --address, --timeout and --help. */
enum command_takes {
    COMMAND_TAKES_JSON = 1 << 0,
    COMMAND_TAKES_DOT = 1 << 1,
    COMMAND_TAKES_ALL = 1 << 2,
    COMMAND_TAKES_DETAILED = 1 << 3,
    COMMAND_TAKES_QUIET = 1 << 4,
};

struct command_options {
    struct client client;
    struct berth_rpc_tls_options tls;
    bool json;
    bool dot;
    bool all;
    bool detailed;
    bool quiet;
    /** The words that are no options. */
    char *const *words;
    size_t word_count;
    bool with_colours;
};

struct command {
    const char *name;
    /** "[FILTER]...", or "". */
    const char *arguments;
    const char *summary;
    const char *help;
    unsigned takes;
    size_t min_words;
    size_t max_words;
    /** @return an exit code. */
    int (*run)(const struct command_options *options);
};

/** NULL-named at its end. */
extern const struct command command_table[];

/** Reads options into what is there already, runs the command, and answers --help. @return an exit code. */
int command_start(const struct command *command, struct command_options *options, int argc, char **argv);

/**
 * Reads the options in front of a command.
 * @param ret_next  the index of the first word that is none.
 * @return -1 to go on, else an exit code.
 */
int command_read_globals(struct command_options *options, int argc, char **argv, int *ret_next);

/** Says what went wrong with a call, and what to do. @return an exit code. */
int command_fail(const struct command_options *options, enum berth_code code, const struct berth_error *err);

/** Finds the plugin that the only word names. @return NULL after a message with the nearest one. */
const plugin_message *command_find_plugin(const struct command_options *options,
                                          const struct plugin_list *list);

int command_plugins_ls(const struct command_options *options);
int command_plugins_inspect(const struct command_options *options);
int command_plugins_graph(const struct command_options *options);
int command_plugins_blame(const struct command_options *options);
int command_explain(const struct command_options *options);
int command_deprecations(const struct command_options *options);
int command_version(const struct command_options *options);

#endif
