/* SPDX-License-Identifier: Apache-2.0 */
/* The table of berthd's commands, their options and their help. */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/value.h>

const struct command command_table[] = {
    {"run", "run the daemon in the foreground",
     "Scans, plans, loads and starts plugins, and runs until a signal ends it.\n"
     "SIGTERM and SIGINT drain and close; a second one ends at once.\n\n"
     "Exit status: 0 ended by a signal, 1 could not start or a required plugin is not ready,\n"
     "2 wrong usage, 3 wrong configuration, 4 a second signal.\n",
     0, command_run},
    {"plan", "print what run would do, without running a line of plugin code",
     "Prints order, levels, verdicts and reasons from the manifests and the configuration.\n\n"
     "Exit status: 0 all will run, 1 something is blocked or rejected, or a plugin directory is,\n"
     "2 wrong usage, 3 wrong configuration.\n",
     COMMAND_TAKES_JSON | COMMAND_TAKES_DOT, command_plan},
    {"config default", "print a complete configuration, commented, from the manifests",
     "Prints every setting of the daemon and of the plugins that were found, with its documentation and\n"
     "its default. The text can be loaded as it stands.\n",
     COMMAND_TAKES_OUTPUT, command_config_default},
    {"config check", "check the configuration, and say all that is wrong with it",
     "Checks the daemon's settings and each plugin's section, without running a line of plugin code.\n\n"
     "Exit status: 0 nothing is wrong, 2 wrong usage, 3 wrong configuration.\n",
     0, command_config_check},
    {"config dump", "print the configuration as it takes effect",
     "Prints the files merged, with defaults filled in and secrets left out.\n",
     COMMAND_TAKES_ORIGIN | COMMAND_TAKES_JSON, command_config_dump},
    {"config migrate", "bring sections for older plugins up to date",
     "Rewrites the sections of one file that were written for an older config_version, as the manifests\n"
     "declare it. Where a plugin has code of its own for that, its module is loaded and the code run.\n",
     COMMAND_TAKES_IN_PLACE | COMMAND_TAKES_OUTPUT, command_config_migrate},
    {0},
};

/* One option; `takes` is 0 where every command has it. */
struct command_option {
    unsigned takes;
    char letter;
    const char *name;
    /** NULL where it has none. */
    const char *argument;
    const char *help;
};

/* Values of those that have no letter. */
enum {
    OPTION_ROOT = 1,
    OPTION_STATE,
    OPTION_PLUGIN_DIR,
    OPTION_LENIENT,
    OPTION_JSON,
    OPTION_DOT,
    OPTION_ORIGIN,
    OPTION_IN_PLACE,
};

static const struct command_option options_table[] = {
    {COMMAND_TAKES_JSON, OPTION_JSON, "json", NULL, "as JSON"},
    {COMMAND_TAKES_DOT, OPTION_DOT, "dot", NULL, "as a graph for dot(1)"},
    {COMMAND_TAKES_ORIGIN, OPTION_ORIGIN, "origin", NULL, "say of each value which file:line:column set it"},
    {COMMAND_TAKES_OUTPUT, 'o', "output", "FILE", "write to FILE, which must not be there"},
    {COMMAND_TAKES_IN_PLACE, OPTION_IN_PLACE, "in-place", NULL, "rewrite the file, keeping FILE.bak"},
    {0, 'c', "config", "FILE", "the main configuration file"},
    {0, OPTION_ROOT, "root", "DIR", "where plugins keep what must survive a restart"},
    {0, OPTION_STATE, "state", "DIR", "where plugins keep what need not"},
    {0, OPTION_PLUGIN_DIR, "plugin-dir", "DIR", "where modules are; may stand several times"},
    {0, OPTION_LENIENT, "lenient", NULL, "unknown names in the configuration are warnings"},
    {0, 'h', "help", NULL, "print this"},
};

#define OPTION_COUNT (sizeof(options_table) / sizeof(options_table[0]))

static bool is_taken(const struct command *command, const struct command_option *option)
{
    return option->takes == 0 || (option->takes & command->takes) != 0;
}

static void print_help(const struct command *command)
{
    printf("usage: berthd %s [OPTION]...\n\n%s\n", command->name, command->help);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct command_option *option = &options_table[i];
        char left[64];

        if (!is_taken(command, option))
            continue;
        snprintf(left, sizeof(left), "--%s%s%s", option->name, option->argument == NULL ? "" : " ",
                 option->argument == NULL ? "" : option->argument);
        if (option->letter >= ' ')
            printf("  -%c, %-18s %s\n", option->letter, left, option->help);
        else
            printf("      %-18s %s\n", left, option->help);
    }
}

static int refuse_option(const struct command *command, const char *word)
{
    const char *names[OPTION_COUNT];
    size_t count = 0;
    const char *nearest;

    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (is_taken(command, &options_table[i]))
            names[count++] = options_table[i].name;
    nearest = strncmp(word, "--", 2) == 0 ? config_nearest(word + 2, names, count) : NULL;
    fprintf(stderr, "berthd: %s does not take %s", command->name, word);
    if (nearest != NULL)
        fprintf(stderr, "; did you mean --%s?\n", nearest);
    else
        fprintf(stderr, "; see berthd %s --help\n", command->name);
    return DAEMON_EXIT_USAGE;
}

static int refuse_word(const struct command *command, const char *word)
{
    fprintf(stderr, "berthd: %s takes options only, not %s; see berthd %s --help\n", command->name, word,
            command->name);
    return DAEMON_EXIT_USAGE;
}

static void set_option(struct command_options *options, const char **directories, int letter)
{
    switch (letter) {
    case 'c':
        options->settings.path = optarg;
        break;
    case 'o':
        options->output = optarg;
        break;
    case OPTION_ROOT:
        options->settings.root = optarg;
        break;
    case OPTION_STATE:
        options->settings.state = optarg;
        break;
    case OPTION_PLUGIN_DIR:
        directories[options->settings.plugin_dir_count++] = optarg;
        break;
    case OPTION_LENIENT:
        options->settings.lenient = true;
        break;
    case OPTION_JSON:
        options->json = true;
        break;
    case OPTION_DOT:
        options->dot = true;
        break;
    case OPTION_ORIGIN:
        options->origin = true;
        break;
    case OPTION_IN_PLACE:
        options->in_place = true;
        break;
    }
}

/* getopt's two descriptions of what the command takes. */
static void describe_options(const struct command *command, struct option *ret_long, char *ret_short)
{
    *ret_short++ = ':';
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct command_option *option = &options_table[i];

        if (!is_taken(command, option))
            continue;
        *ret_long++ = (struct option){
            .name = option->name,
            .has_arg = option->argument == NULL ? no_argument : required_argument,
            .val = option->letter,
        };
        if (option->letter < ' ')
            continue;
        *ret_short++ = option->letter;
        if (option->argument != NULL)
            *ret_short++ = ':';
    }
    *ret_long = (struct option){0};
    *ret_short = '\0';
}

/* @return -1 where the command is to run, else an exit code. */
static int parse_options(const struct command *command, int argc, char **argv, const char **directories,
                         struct command_options *options)
{
    struct option long_options[OPTION_COUNT + 1];
    char short_options[2 * OPTION_COUNT + 2];
    int letter;

    describe_options(command, long_options, short_options);
    opterr = 0;
    while ((letter = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        if (letter == 'h') {
            print_help(command);
            return DAEMON_EXIT_OK;
        }
        if (letter == '?')
            return refuse_option(command, argv[optind - 1]);
        if (letter == ':') {
            fprintf(stderr, "berthd: %s lacks what follows it; see berthd %s --help\n", argv[optind - 1],
                    command->name);
            return DAEMON_EXIT_USAGE;
        }
        set_option(options, directories, letter);
    }
    if (optind < argc)
        return refuse_word(command, argv[optind]);
    if (options->json && (options->dot || options->origin)) {
        fprintf(stderr, "berthd: %s prints --json or --%s, not both\n", command->name,
                options->dot ? "dot" : "origin");
        return DAEMON_EXIT_USAGE;
    }
    if (options->in_place && options->output != NULL) {
        fprintf(stderr, "berthd: %s writes --in-place or to --output, not both\n", command->name);
        return DAEMON_EXIT_USAGE;
    }
    return -1;
}

int command_start(const struct command *command, int argc, char **argv)
{
    const char **directories = calloc((size_t)argc, sizeof(*directories));
    struct command_options options = {0};
    int code;

    if (directories == NULL)
        abort();
    code = parse_options(command, argc, argv, directories, &options);
    if (options.settings.plugin_dir_count > 0)
        options.settings.plugin_dirs = directories;
    if (code < 0)
        code = command->run(&options);
    free(directories);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "berthd: standard output: %s\n", strerror(errno));
        return DAEMON_EXIT_FAILED;
    }
    return code;
}
