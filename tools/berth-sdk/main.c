/* SPDX-License-Identifier: Apache-2.0 */
/* berth-sdk: what a plugin author does with sources and built modules. Loads no module. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <config/value.h>

#include "command.h"

static const char help[] =
    "usage: berth-sdk COMMAND [ARGUMENT...]\n"
    "\n"
    "  new       make the folder of a plugin that builds and tests itself\n"
    "  generate  write a module's header and source from its plugin.yaml\n"
    "  check     say what would make a built module fail on a host, without running it\n"
    "\n"
    "  berth-sdk COMMAND --help   says more\n"
    "  berth-sdk --version\n"
    "\n"
    "exit codes: 0 fine, 1 the answer is bad news, 2 usage\n";

static const struct command {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"new", new_help, command_new},
    {"generate", generate_help, command_generate},
    {"check", check_help, command_check},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

int command_usage(const char *command, const char *format, ...)
{
    va_list arguments;

    fputs("berth-sdk: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "; see berth-sdk %s%s--help\n", command, *command == '\0' ? "" : " ");
    return EXIT_USAGE;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return fputs(command->help, stdout) < 0 ? EXIT_BAD : EXIT_FINE;
    return command->run(argc, argv);
}

static int unknown_command(const char *name)
{
    const char *names[COMMAND_COUNT];

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;

    const char *nearest = config_nearest(name, names, COMMAND_COUNT);

    if (nearest == NULL)
        return command_usage("", "\"%s\" is no command", name);
    return command_usage("", "\"%s\" is no command, did you mean \"%s\"?", name, nearest);
}

int main(int argc, char **argv)
{
    const char *name = argc < 2 ? "" : argv[1];

    if (argc < 2)
        return command_usage("", "a command is wanted");
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return fputs(help, stdout) < 0 ? EXIT_BAD : EXIT_FINE;
    if (strcmp(name, "--version") == 0)
        return puts("berth-sdk " BERTH_VERSION) < 0 ? EXIT_BAD : EXIT_FINE;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, commands[i].name) == 0)
            return run_command(&commands[i], argc - 1, argv + 1);
    return unknown_command(name);
}
