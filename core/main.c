/* SPDX-License-Identifier: Apache-2.0 */
/* berthd's command line: finds the command that was meant. */
#include <getopt.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <config/value.h>

#include "command.h"

#define COMMANDS_MAX 16

static void print_help(FILE *out)
{
    fputs("usage: berthd COMMAND [OPTION]...\n\n"
          "A host for plugins that are shared objects: scans, plans, loads and runs them.\n\n",
          out);
    for (const struct command *command = command_table; command->name != NULL; command++)
        fprintf(out, "  %-16s %s\n", command->name, command->summary);
    fputs("\n  --help, --version; berthd COMMAND --help tells what a command takes\n", out);
}

/* How many words of argv are the command's name: 0, 1 or 2. */
static int match(const struct command *command, int argc, char **argv)
{
    const char *space = strchr(command->name, ' ');

    if (argc > 1 && strcmp(command->name, argv[1]) == 0)
        return 1;
    if (space == NULL || argc < 3)
        return 0;
    if (strlen(argv[1]) != (size_t)(space - command->name) ||
        strncmp(command->name, argv[1], (size_t)(space - command->name)) != 0)
        return 0;
    return strcmp(space + 1, argv[2]) == 0 ? 2 : 0;
}

static int refuse(int argc, char **argv)
{
    const char *names[COMMANDS_MAX];
    size_t count = 0;
    char words[128];
    const char *nearest;

    for (const struct command *command = command_table; command->name != NULL; command++)
        names[count++] = command->name;
    snprintf(words, sizeof(words), "%s%s%s", argv[1], strcmp(argv[1], "config") == 0 && argc > 2 ? " " : "",
             strcmp(argv[1], "config") == 0 && argc > 2 ? argv[2] : "");
    nearest = config_nearest(words, names, count);
    if (strcmp(words, "config") == 0)
        fputs("berthd: config what? default, check, dump or migrate\n", stderr);
    else if (nearest != NULL)
        fprintf(stderr, "berthd: there is no command '%s'; did you mean '%s'?\n", words, nearest);
    else
        fprintf(stderr, "berthd: there is no command '%s'; berthd --help lists them\n", words);
    return DAEMON_EXIT_USAGE;
}

/* Where a descriptor below 3 is closed, a socket or a plugin's file would take its place, and the log go
 * there.
 */
static bool open_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    if (!open_standard_streams())
        return DAEMON_EXIT_FAILED;
    if (argc < 2) {
        print_help(stderr);
        return DAEMON_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return DAEMON_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("berthd " BERTH_VERSION);
        return DAEMON_EXIT_OK;
    }
    for (const struct command *command = command_table; command->name != NULL; command++) {
        int words = match(command, argc, argv);

        if (words > 0)
            return command_start(command, argc - words, argv + words);
    }
    return refuse(argc, argv);
}
