/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl's command line: finds the command that was meant. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/value.h>

#include "address.h"
#include "command.h"

#define COMMANDS_MAX 16
#define DEFAULT_TIMEOUT_MS 10000

/* How many words are the command's name: 0, 1 or 2. */
static int match(const struct command *command, int argc, char **argv)
{
    const char *space = strchr(command->name, ' ');

    if (space == NULL)
        return strcmp(command->name, argv[0]) == 0;
    if (argc < 2 || strlen(argv[0]) != (size_t)(space - command->name) ||
        strncmp(command->name, argv[0], (size_t)(space - command->name)) != 0)
        return 0;
    return strcmp(space + 1, argv[1]) == 0 ? 2 : 0;
}

/* The command that was meant by the first two words, or by the first. */
static const char *nearest_command(int argc, char **argv)
{
    const char *names[COMMANDS_MAX + 1] = {"plugins"};
    const char *nearest = NULL;
    size_t count = 1;
    char words[128];

    for (const struct command *command = command_table; command->name != NULL; command++)
        names[count++] = command->name;
    if (argc > 1) {
        snprintf(words, sizeof(words), "%s %s", argv[0], argv[1]);
        nearest = config_nearest(words, names, count);
    }
    return nearest != NULL ? nearest : config_nearest(argv[0], names, count);
}

static int refuse(int argc, char **argv)
{
    bool is_group = strcmp(argv[0], "plugins") == 0;
    const char *nearest = nearest_command(argc, argv);
    const char *second = is_group && argc > 1 ? argv[1] : "";

    if (is_group && argc == 1)
        fputs("berthctl: plugins what? ls, inspect, graph, blame or explain\n", stderr);
    else if (nearest != NULL)
        fprintf(stderr, "berthctl: there is no command '%s%s%s'; did you mean '%s'?\n", argv[0],
                *second == '\0' ? "" : " ", second, nearest);
    else
        fprintf(stderr, "berthctl: there is no command '%s%s%s'; berthctl --help lists them\n", argv[0],
                *second == '\0' ? "" : " ", second);
    return COMMAND_EXIT_USAGE;
}

static int find_and_start(struct command_options *options, int argc, char **argv)
{
    if (argc < 1) {
        fputs("berthctl: which command? berthctl --help lists them\n", stderr);
        return COMMAND_EXIT_USAGE;
    }
    for (const struct command *command = command_table; command->name != NULL; command++) {
        int words = match(command, argc, argv);

        if (words > 0)
            return command_start(command, options, argc - words + 1, argv + words - 1);
    }
    return refuse(argc, argv);
}

int main(int argc, char **argv)
{
    char *address = address_find();
    struct command_options options = {
        .client = {.address = address, .timeout_ms = DEFAULT_TIMEOUT_MS},
        .with_colours = table_wants_colours(),
    };
    int code, next = 1;

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("berthctl " BERTH_VERSION);
        free(address);
        return COMMAND_EXIT_OK;
    }
    code = command_read_globals(&options, argc, argv, &next);
    if (code < 0)
        code = find_and_start(&options, argc - next, argv + next);
    free(address);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "berthctl: standard output: %s\n", strerror(errno));
        return COMMAND_EXIT_BAD_NEWS;
    }
    return code;
}
