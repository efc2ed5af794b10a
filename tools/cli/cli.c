/* SPDX-License-Identifier: Apache-2.0 */
/* Parses and explains the command lines of all programs. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config/text/diagnostics.h>
#include <config/text/text.h>
#include <config/text/utf8.h>

#include <sdk/base/memory.h>

enum {
    /* More commands or options than any program has. */
    NAMES_MAX = 64,
};

static const struct cli_option help_option = {"help", 'h', NULL, "print this help", 0};
static const struct cli_option version_option = {"version", 0, NULL, "print the version", 0};

/* The command line while it is read. */
struct parser {
    struct cli_line *line;
    int argc;
    char **argv;
    int next;
    /* The first word, where it is the group of several commands. */
    const char *group;
    bool options_ended;
    /* `PROGRAM help COMMAND`. */
    bool wants_help;
};

/* A table of options with the two that every table implies: --version only before a command. */
struct option_set {
    const struct cli_option *options[NAMES_MAX];
    size_t count;
};

static bool is_only(const struct cli_command *command)
{
    return command != NULL && *command->name == '\0';
}

static void add_options(struct option_set *set, const struct cli_option *table)
{
    for (; table != NULL && table->name != NULL && set->count < NAMES_MAX; table++)
        set->options[set->count++] = table;
}

static struct option_set options_of(const struct cli_program *program, const struct cli_command *command)
{
    struct option_set set = {.count = 0};

    add_options(&set, command == NULL ? NULL : command->options);
    add_options(&set, program->options);
    set.options[set.count < NAMES_MAX ? set.count++ : NAMES_MAX - 1] = &help_option;
    if (command == NULL || is_only(command))
        set.options[set.count < NAMES_MAX ? set.count++ : NAMES_MAX - 1] = &version_option;
    return set;
}

/* The command's group: as many bytes of its name; 0 if the name is one word. */
static size_t group_length(const struct cli_command *command)
{
    const char *space = strchr(command->name, ' ');

    return space == NULL ? 0 : (size_t)(space - command->name);
}

static bool is_in_group(const struct cli_command *command, const char *group)
{
    size_t length = group_length(command);

    return length > 0 && strlen(group) == length && strncmp(command->name, group, length) == 0;
}

/* What a message says of itself and where it sends the reader: "config check". */
static const char *subject(const struct cli_line *line, const char *group)
{
    return line->command != NULL ? line->command->name : group != NULL ? group : "";
}

BERTH_PRINTF(3, 0)
static int refuse(const struct cli_line *line, const char *group, const char *format, va_list arguments)
{
    const char *name = line->program->name;
    const char *about = subject(line, group);
    const char *gap = *about == '\0' ? "" : " ";
    char *message = memory_format_arguments(format, arguments);

    fprintf(stderr, "%s: %s%s", name, about, *about == '\0' ? "" : ": ");
    utf8_write_line(stderr, message);
    fprintf(stderr, "%s %s%s%s --help\n", message[strlen(message) - 1] == '?' ? " See" : "; see", name, gap,
            about);
    free(message);
    return CLI_EXIT_USAGE;
}

int cli_refuse(const struct cli_line *line, const char *format, ...)
{
    va_list arguments;
    int code;

    va_start(arguments, format);
    code = refuse(line, NULL, format, arguments);
    va_end(arguments);
    return code;
}

BERTH_PRINTF(2, 3)
static int fail(const struct parser *parser, const char *format, ...)
{
    va_list arguments;
    int code;

    va_start(arguments, format);
    code = refuse(parser->line, parser->group, format, arguments);
    va_end(arguments);
    return code;
}

static void print_option(const struct cli_option *option, size_t width)
{
    char left[96];

    snprintf(left, sizeof(left), "--%s%s%s", option->name, option->argument == NULL ? "" : " ",
             option->argument == NULL ? "" : option->argument);
    if (option->letter != 0)
        printf("  -%c, %-*s  %s\n", option->letter, (int)width, left, option->help);
    else
        printf("      %-*s  %s\n", (int)width, left, option->help);
}

static void print_options(const struct option_set *set)
{
    size_t width = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct cli_option *option = set->options[i];
        size_t length =
            strlen(option->name) + 2 + (option->argument == NULL ? 0 : strlen(option->argument) + 1);

        width = length > width ? length : width;
    }
    for (size_t i = 0; i < set->count; i++)
        print_option(set->options[i], width);
}

/* The help of the program (`group` NULL) or of a group of its commands. */
static void print_commands_help(FILE *out, const struct cli_program *program, const char *group)
{
    struct option_set set = options_of(program, NULL);
    size_t width = 0;

    fprintf(out, "usage: %s%s%s COMMAND [OPTION]... [ARGUMENT]...\n\n", program->name,
            group == NULL ? "" : " ", group == NULL ? "" : group);
    if (group == NULL)
        fprintf(out, "%s\n\n", program->summary);
    for (const struct cli_command *command = program->commands; command->name != NULL; command++)
        width = strlen(command->name) > width ? strlen(command->name) : width;
    for (const struct cli_command *command = program->commands; command->name != NULL; command++)
        if (group == NULL || is_in_group(command, group))
            fprintf(out, "  %-*s  %s\n", (int)width, command->name, command->summary);
    if (out == stdout) {
        putchar('\n');
        print_options(&set);
    }
    fprintf(out, "\nRun '%s COMMAND --help' for the options of a command.\n", program->name);
}

static int print_help(const struct cli_line *line, const char *group)
{
    const struct cli_command *command = line->command;
    struct option_set set = options_of(line->program, command);

    if (command == NULL) {
        print_commands_help(stdout, line->program, group);
        return 0;
    }
    printf("usage: %s%s%s [OPTION]...%s%s\n\n%s\n", line->program->name, is_only(command) ? "" : " ",
           command->name, *command->arguments == '\0' ? "" : " ", command->arguments, command->help);
    print_options(&set);
    printf("\n%s", line->program->exit_status);
    return 0;
}

static const char *nearest_option(const struct option_set *set, const char *name)
{
    const char *names[NAMES_MAX];

    for (size_t i = 0; i < set->count; i++)
        names[i] = set->options[i]->name;
    return config_nearest(name, names, set->count);
}

static int refuse_option(const struct parser *parser, const struct option_set *set, const char *word)
{
    int length = (int)strcspn(word, "=");
    char name[NAMES_MAX * 4];
    const char *nearest = NULL;

    if (strncmp(word, "--", 2) == 0) {
        snprintf(name, sizeof(name), "%.*s", length - 2, word + 2);
        nearest = nearest_option(set, name);
    }
    if (nearest != NULL)
        return fail(parser, "unknown option %.*s; did you mean --%s?", length, word, nearest);
    return fail(parser, "unknown option %.*s", length, word);
}

/* Behind the last equal one, so that the values of each stand together. */
static int add_option(struct parser *parser, const struct cli_option *option, const char *value)
{
    struct cli_line *line = parser->line;
    size_t at = line->option_count;

    for (size_t i = 0; i < line->option_count; i++) {
        const struct cli_option *other = line->options[i];

        if (other == option)
            at = i + 1;
        else if (other->group != 0 && other->group == option->group)
            return fail(parser, "--%s and --%s exclude each other", other->name, option->name);
    }
    memmove(line->options + at + 1, line->options + at, (line->option_count - at) * sizeof(*line->options));
    memmove(line->values + at + 1, line->values + at, (line->option_count - at) * sizeof(*line->values));
    line->options[at] = option;
    line->values[at] = value;
    line->option_count++;
    return CLI_GO_ON;
}

/* `value` is what came with the option in one word, or NULL. */
static int take_option(struct parser *parser, const struct cli_option *option, const char *spelling,
                       const char *value)
{
    if (option->argument == NULL && value != NULL)
        return fail(parser, "%s takes no value, but got \"%s\"", spelling, value);
    if (option == &help_option)
        return print_help(parser->line, parser->group);
    if (option == &version_option) {
        printf("%s %s\n", parser->line->program->name, parser->line->program->version);
        return 0;
    }
    if (option->argument == NULL)
        return add_option(parser, option, NULL);
    if (value == NULL && parser->next == parser->argc)
        return fail(parser, "%s needs a value: %s", spelling, option->argument);
    return add_option(parser, option, value == NULL ? parser->argv[parser->next++] : value);
}

static int take_long(struct parser *parser, const char *word)
{
    struct option_set set = options_of(parser->line->program, parser->line->command);
    size_t length = strcspn(word + 2, "=");
    const char *value = word[2 + length] == '=' ? word + 3 + length : NULL;
    char spelling[NAMES_MAX * 4];

    for (size_t i = 0; i < set.count; i++) {
        const struct cli_option *option = set.options[i];

        if (strlen(option->name) != length || strncmp(option->name, word + 2, length) != 0)
            continue;
        snprintf(spelling, sizeof(spelling), "--%s", option->name);
        return take_option(parser, option, spelling, value);
    }
    return refuse_option(parser, &set, word);
}

/* "-c", "-cFILE", "-qd". */
static int take_letters(struct parser *parser, const char *word)
{
    struct option_set set = options_of(parser->line->program, parser->line->command);
    int code = CLI_GO_ON;

    for (const char *at = word + 1; *at != '\0' && code == CLI_GO_ON; at++) {
        char spelling[] = {'-', *at, '\0'};
        const struct cli_option *option = NULL;

        for (size_t i = 0; i < set.count && option == NULL; i++)
            option = set.options[i]->letter == *at ? set.options[i] : NULL;
        if (option == NULL)
            return refuse_option(parser, &set, at == word + 1 ? word : spelling);
        if (option->argument != NULL)
            return take_option(parser, option, spelling, at[1] == '\0' ? NULL : at + 1);
        code = take_option(parser, option, spelling, NULL);
    }
    return code;
}

static int refuse_command(const struct parser *parser, const char *word)
{
    const struct cli_program *program = parser->line->program;
    const char *names[2 * NAMES_MAX];
    const char *nearest = NULL;
    char groups[NAMES_MAX][32], whole[128];
    size_t count = 0, group_count = 0;

    for (const struct cli_command *command = program->commands; command->name != NULL && count < NAMES_MAX;
         command++) {
        names[count++] = command->name;
        if (group_length(command) == 0)
            continue;
        snprintf(groups[group_count], sizeof(groups[0]), "%.*s", (int)group_length(command), command->name);
        names[count++] = groups[group_count++];
    }
    /* "plgins ls": the two words together say best what was meant. */
    if (parser->group == NULL && parser->next < parser->argc && parser->argv[parser->next][0] != '-') {
        snprintf(whole, sizeof(whole), "%.60s %.60s", word, parser->argv[parser->next]);
        nearest = config_nearest(whole, names, count);
    }
    if (nearest == NULL) {
        snprintf(whole, sizeof(whole), "%s%s%.100s", parser->group == NULL ? "" : parser->group,
                 parser->group == NULL ? "" : " ", word);
        nearest = config_nearest(whole, names, count);
    }
    if (nearest != NULL)
        return fail(parser, "unknown command \"%s\"; did you mean \"%s\"?", word, nearest);
    return fail(parser, "unknown command \"%s\"", word);
}

static int take_command(struct parser *parser, const char *word)
{
    const struct cli_command *commands = parser->line->program->commands;

    for (const struct cli_command *command = commands; command->name != NULL; command++) {
        size_t length = group_length(command);

        if (parser->group == NULL
                ? strcmp(command->name, word) == 0
                : is_in_group(command, parser->group) && strcmp(command->name + length + 1, word) == 0) {
            parser->line->command = command;
            return CLI_GO_ON;
        }
    }
    for (const struct cli_command *command = commands; command->name != NULL && parser->group == NULL;
         command++) {
        if (is_in_group(command, word)) {
            parser->group = word;
            return CLI_GO_ON;
        }
    }
    if (parser->group == NULL && !parser->wants_help && strcmp(word, "help") == 0) {
        parser->wants_help = true;
        return CLI_GO_ON;
    }
    return refuse_command(parser, word);
}

static int take_word(struct parser *parser, char *word)
{
    struct cli_line *line = parser->line;

    if (line->command == NULL)
        return take_command(parser, word);
    if (line->word_count == line->command->max_words && !parser->wants_help)
        return fail(parser, "unexpected argument \"%s\"", word);
    line->words[line->word_count++] = word;
    return CLI_GO_ON;
}

static int take_next(struct parser *parser)
{
    char *word = parser->argv[parser->next++];

    if (parser->options_ended || word[0] != '-' || word[1] == '\0')
        return take_word(parser, word);
    if (word[1] != '-')
        return take_letters(parser, word);
    if (word[2] != '\0')
        return take_long(parser, word);
    parser->options_ended = true;
    return CLI_GO_ON;
}

static int refuse_no_command(const struct parser *parser)
{
    const struct cli_program *program = parser->line->program;
    struct config_text names = {0};
    int code;

    if (parser->group == NULL) {
        print_commands_help(stderr, program, NULL);
        return CLI_EXIT_USAGE;
    }
    for (const struct cli_command *command = program->commands; command->name != NULL; command++)
        if (is_in_group(command, parser->group))
            config_text_add(&names, "%s%s", names.length == 0 ? "" : ", ",
                            command->name + group_length(command) + 1);
    code = fail(parser, "missing command: one of %s", names.bytes);
    config_text_finish(&names);
    return code;
}

static int check_line(const struct parser *parser)
{
    const struct cli_line *line = parser->line;

    if (parser->wants_help)
        return print_help(line, parser->group);
    if (line->command == NULL)
        return refuse_no_command(parser);
    if (line->word_count < line->command->min_words)
        return fail(parser, "missing argument: %s", line->command->arguments);
    return CLI_GO_ON;
}

int cli_parse(const struct cli_program *program, int argc, char **argv, struct cli_line *ret_line)
{
    struct parser parser = {.line = ret_line, .argc = argc, .argv = argv, .next = 1};
    size_t room = 1;
    int code = CLI_GO_ON;

    /* One word may be several options: "-qd". */
    for (int i = 1; i < argc; i++)
        room += strlen(argv[i]) + 1;
    *ret_line =
        (struct cli_line){.program = program, .words = memory_allocate((size_t)argc + 1, sizeof(char *))};
    if (is_only(program->commands))
        ret_line->command = program->commands;
    ret_line->options = memory_allocate(room, sizeof(*ret_line->options));
    ret_line->values = memory_allocate(room, sizeof(*ret_line->values));
    while (code == CLI_GO_ON && parser.next < argc)
        code = take_next(&parser);
    return code == CLI_GO_ON ? check_line(&parser) : code;
}

void cli_line_finish(struct cli_line *line)
{
    free(line->words);
    free(line->options);
    free(line->values);
    *line = (struct cli_line){0};
}

const char *const *cli_values(const struct cli_line *line, const char *name, size_t *ret_count)
{
    size_t first = 0;

    while (first < line->option_count && strcmp(line->options[first]->name, name) != 0)
        first++;
    *ret_count = 0;
    while (first + *ret_count < line->option_count &&
           strcmp(line->options[first + *ret_count]->name, name) == 0)
        (*ret_count)++;
    return line->values + first;
}

bool cli_has(const struct cli_line *line, const char *name)
{
    size_t count;

    cli_values(line, name, &count);
    return count > 0;
}

const char *cli_value(const struct cli_line *line, const char *name)
{
    size_t count;
    const char *const *values = cli_values(line, name, &count);

    return count == 0 ? NULL : values[count - 1];
}

/* Opens /dev/null for each closed standard stream, so that no other file takes its number. */
static bool guard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    return true;
}

int cli_main(const struct cli_program *program, int argc, char **argv,
             int (*start)(const struct cli_line *line))
{
    struct cli_line line;
    int code;

    if (!guard_streams())
        return CLI_EXIT_FAILED;
    code = cli_parse(program, argc, argv, &line);
    if (code == CLI_GO_ON)
        code = start(&line);
    cli_line_finish(&line);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "%s: standard output: %s\n", program->name, strerror(errno));
    return CLI_EXIT_FAILED;
}
