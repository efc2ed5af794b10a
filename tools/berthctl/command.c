/* SPDX-License-Identifier: Apache-2.0 */
/* The table of berthctl's commands, their options and their help. */
#include "command.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/value.h>

#include "reach.h"

#define EXIT_HELP                                                                                            \
    "\nExit status: 0 fine, 1 the answer is bad news, 2 wrong usage, 3 the daemon cannot be reached.\n"

static const char list_help[] =
    "Prints TYPE, ID, PLATFORMS and STATUS, in the order in which the daemon starts plugins.\n"
    "A filter is one of containerd's, such as 'type~=grpc,id==greeter'; several are joined by "
    "or.\n" EXIT_HELP;

static const char explain_help[] =
    "Walks the chain of causes: why the plugin is as it is, down to what is to blame, and what to do.\n"
    "Ends with 1 unless the plugin is ready or serving and not degraded.\n" EXIT_HELP;

const struct command command_table[] = {
    {"plugins ls", "[FILTER]...", "list plugins", list_help,
     COMMAND_TAKES_JSON | COMMAND_TAKES_ALL | COMMAND_TAKES_DETAILED | COMMAND_TAKES_QUIET, 0, SIZE_MAX,
     command_plugins_ls},
    {"plugins inspect", "URI", "print all that is known of one plugin",
     "Prints state, reason, origin, requirements, services, exports and times.\n"
     "Ends with 1 unless the plugin is ready or serving.\n" EXIT_HELP,
     COMMAND_TAKES_JSON, 1, 1, command_plugins_inspect},
    {"plugins graph", "", "print who requires or wants whom",
     "Prints an edge a line: dependent, provider, and the line of the manifest that joins them.\n" EXIT_HELP,
     COMMAND_TAKES_JSON | COMMAND_TAKES_DOT, 0, 0, command_plugins_graph},
    {"plugins blame", "", "print what the start took, the slowest first",
     "Prints the time of each step, and the chain of plugins that decided when the daemon was "
     "ready.\n" EXIT_HELP,
     COMMAND_TAKES_JSON, 0, 0, command_plugins_blame},
    {"plugins explain", "URI", "the same as explain", explain_help, 0, 1, 1, command_explain},
    {"explain", "URI", "say why a plugin is as it is, and what to do", explain_help, 0, 1, 1,
     command_explain},
    {"deprecations", "", "list what the daemon was told in a way that is to be given up",
     "Prints each with when it was last met: deprecated settings, old names and old versions in the\n"
     "configuration, and what plugins met since.\n" EXIT_HELP,
     COMMAND_TAKES_JSON, 0, 0, command_deprecations},
    {"version", "", "print the versions of berthctl and of the daemon",
     "Prints both, and what the daemon is: its process, its folders, whether it is ready.\n" EXIT_HELP,
     COMMAND_TAKES_JSON, 0, 0, command_version},
    {0},
};

struct command_option {
    unsigned takes;
    char letter;
    const char *name;
    const char *argument;
    const char *help;
};

enum {
    OPTION_TIMEOUT = 1,
    OPTION_TLS_CA,
    OPTION_TLS_CERT,
    OPTION_TLS_KEY,
    OPTION_TLS_SERVER_NAME,
    OPTION_JSON,
    OPTION_DOT,
    OPTION_ALL,
};

static const struct command_option options_table[] = {
    {COMMAND_TAKES_ALL, OPTION_ALL, "all", NULL, "also what was rejected, disabled or blocked, with reasons"},
    {COMMAND_TAKES_DETAILED, 'd', "detailed", NULL, "everything about each"},
    {COMMAND_TAKES_QUIET, 'q', "quiet", NULL, "the URIs only"},
    {COMMAND_TAKES_JSON, OPTION_JSON, "json", NULL, "as JSON"},
    {COMMAND_TAKES_DOT, OPTION_DOT, "dot", NULL, "as a graph for dot(1)"},
    {0, 'a', "address", "ADDRESS",
     "the daemon's socket or tcp:HOST:PORT; else $BERTH_ADDRESS, else the usual place"},
    {0, OPTION_TIMEOUT, "timeout", "TIME", "give up after this long, such as 5s (10s by default)"},
    {0, OPTION_TLS_CA, "tls-ca", "FILE", "over TLS, trusting who has a certificate of these"},
    {0, OPTION_TLS_CERT, "tls-cert", "FILE", "over TLS, showing this certificate"},
    {0, OPTION_TLS_KEY, "tls-key", "FILE", "the private key of --tls-cert"},
    {0, OPTION_TLS_SERVER_NAME, "tls-server-name", "NAME", "over TLS, expecting a certificate of this name"},
    {0, 'h', "help", NULL, "print this"},
};

#define OPTION_COUNT (sizeof(options_table) / sizeof(options_table[0]))

static bool is_taken(unsigned takes, const struct command_option *option)
{
    return option->takes == 0 || (option->takes & takes) != 0;
}

static void print_option(const struct command_option *option)
{
    char left[64];

    snprintf(left, sizeof(left), "--%s%s%s", option->name, option->argument == NULL ? "" : " ",
             option->argument == NULL ? "" : option->argument);
    if (option->letter >= ' ')
        printf("  -%c, %-22s %s\n", option->letter, left, option->help);
    else
        printf("      %-22s %s\n", left, option->help);
}

static void print_help(const struct command *command)
{
    printf("usage: berthctl %s [OPTION]...%s%s\n\n%s\n", command->name,
           *command->arguments == '\0' ? "" : " ", command->arguments, command->help);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (is_taken(command->takes, &options_table[i]))
            print_option(&options_table[i]);
}

static void print_main_help(FILE *out)
{
    fputs("usage: berthctl [OPTION]... COMMAND [OPTION]...\n\nAsks a running berthd about its plugins.\n\n",
          out);
    for (const struct command *command = command_table; command->name != NULL; command++)
        fprintf(out, "  %-16s %s\n", command->name, command->summary);
    fputs("\n  --address ADDRESS, --timeout TIME, --tls-ca FILE, --help, --version; berthctl COMMAND --help "
          "tells more\n",
          out);
}

static void describe_options(unsigned takes, struct option *ret_long, char *ret_short)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct command_option *option = &options_table[i];

        if (!is_taken(takes, option))
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

static int refuse_option(const char *name, unsigned takes, const char *word)
{
    const char *names[OPTION_COUNT];
    size_t count = 0;
    const char *nearest;

    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (is_taken(takes, &options_table[i]))
            names[count++] = options_table[i].name;
    nearest = strncmp(word, "--", 2) == 0 ? config_nearest(word + 2, names, count) : NULL;
    fprintf(stderr, "berthctl: %s does not take %s", name, word);
    if (nearest != NULL)
        fprintf(stderr, "; did you mean --%s?\n", nearest);
    else
        fputs("; see --help\n", stderr);
    return COMMAND_EXIT_USAGE;
}

static int set_timeout(struct command_options *options, const char *text)
{
    struct berth_error err;
    int64_t ns;

    if (!config_parse_duration(text, &ns, &err)) {
        fprintf(stderr, "berthctl: --timeout: %s\n", err.message);
        return COMMAND_EXIT_USAGE;
    }
    options->client.timeout_ms = ((uint64_t)ns + 999999) / 1000000;
    return -1;
}

/* @return -1 to go on, else an exit code. */
static int set_option(struct command_options *options, int letter)
{
    switch (letter) {
    case 'a':
        options->client.address = optarg;
        break;
    case 'd':
        options->detailed = true;
        break;
    case 'q':
        options->quiet = true;
        break;
    case OPTION_TIMEOUT:
        return set_timeout(options, optarg);
    case OPTION_TLS_CA:
        options->tls.ca_file = optarg;
        break;
    case OPTION_TLS_CERT:
        options->tls.certificate_file = optarg;
        break;
    case OPTION_TLS_KEY:
        options->tls.key_file = optarg;
        break;
    case OPTION_TLS_SERVER_NAME:
        options->tls.server_name = optarg;
        break;
    case OPTION_JSON:
        options->json = true;
        break;
    case OPTION_DOT:
        options->dot = true;
        break;
    case OPTION_ALL:
        options->all = true;
        break;
    }
    return -1;
}

/* `order` is ":" to let options and words mix, "+:" to stop at the first word. */
static int read_options(const char *name, const struct command *command, const char *order,
                        struct command_options *options, int argc, char **argv)
{
    unsigned takes = command == NULL ? 0 : command->takes;
    struct option long_options[OPTION_COUNT + 1];
    char short_options[2 * OPTION_COUNT + 4];
    int letter, code = -1;

    strcpy(short_options, order);
    describe_options(takes, long_options, short_options + strlen(order));
    opterr = 0;
    optind = 0;
    while (code < 0 && (letter = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        if (letter == 'h') {
            command == NULL ? print_main_help(stdout) : print_help(command);
            return COMMAND_EXIT_OK;
        }
        if (letter == '?')
            return refuse_option(name, takes, argv[optind - 1]);
        if (letter == ':') {
            fprintf(stderr, "berthctl: %s lacks what follows it; see --help\n", argv[optind - 1]);
            return COMMAND_EXIT_USAGE;
        }
        code = set_option(options, letter);
    }
    return code;
}

int command_read_globals(struct command_options *options, int argc, char **argv, int *ret_next)
{
    int code;

    if (argc < 2) {
        print_main_help(stderr);
        return COMMAND_EXIT_USAGE;
    }
    code = read_options("berthctl", NULL, "+:", options, argc, argv);
    *ret_next = optind;
    return code;
}

/* Over TLS where anything is said of it. @return -1 to go on, else an exit code. */
static int set_tls(struct command_options *options)
{
    struct berth_rpc_tls_options *tls = &options->tls;

    if (tls->ca_file == NULL && tls->certificate_file == NULL && tls->key_file == NULL &&
        tls->server_name == NULL)
        return -1;
    if (strncmp(options->client.address, "tcp:", 4) != 0) {
        fprintf(
            stderr,
            "berthctl: TLS is spoken to tcp:HOST:PORT, and the address is %s; name another with --address\n",
            options->client.address);
        return COMMAND_EXIT_USAGE;
    }
    if ((tls->certificate_file == NULL) != (tls->key_file == NULL)) {
        fputs("berthctl: --tls-cert and --tls-key go together\n", stderr);
        return COMMAND_EXIT_USAGE;
    }
    tls->size = sizeof(*tls);
    options->client.tls = tls;
    return -1;
}

static int check_words(const struct command *command, const struct command_options *options)
{
    if (options->word_count < command->min_words) {
        fprintf(stderr, "berthctl: %s takes a %s; see berthctl %s --help\n", command->name,
                command->arguments, command->name);
        return COMMAND_EXIT_USAGE;
    }
    if (options->word_count > command->max_words) {
        fprintf(stderr, "berthctl: %s does not take %s; see berthctl %s --help\n", command->name,
                options->words[command->max_words], command->name);
        return COMMAND_EXIT_USAGE;
    }
    if (options->json + options->dot + options->quiet + options->detailed > 1) {
        fprintf(stderr, "berthctl: %s prints in one form at a time; see berthctl %s --help\n", command->name,
                command->name);
        return COMMAND_EXIT_USAGE;
    }
    return -1;
}

int command_start(const struct command *command, struct command_options *options, int argc, char **argv)
{
    int code = read_options(command->name, command, ":", options, argc, argv);

    if (code >= 0)
        return code;
    options->words = argv + optind;
    options->word_count = (size_t)(argc - optind);
    code = check_words(command, options);
    if (code < 0)
        code = set_tls(options);
    return code >= 0 ? code : command->run(options);
}

static const char *advice(const char *address)
{
    switch (reach_look(address)) {
    case REACH_NOBODY:
        return "Is berthd running? Name its socket with --address or BERTH_ADDRESS.\n";
    case REACH_FORBIDDEN:
        return "You may not use that socket: ask as its owner or in its group, which berthd's config sets "
               "(uid, gid and mode of io.containerd.server.v1.grpc).\n";
    case REACH_UNKNOWN:
        break;
    }
    return "";
}

int command_fail(const struct command_options *options, enum berth_code code, const struct berth_error *err)
{
    const char *address = options->client.address;

    if (code == BERTH_UNAVAILABLE || code == BERTH_DEADLINE_EXCEEDED) {
        bool is_named = strstr(err->message, address) != NULL;

        fprintf(stderr, "berthctl: cannot reach the daemon%s%s: %s\n%s", is_named ? "" : " at ",
                is_named ? "" : address, err->message, advice(address));
        return COMMAND_EXIT_UNREACHABLE;
    }
    if (code == BERTH_INVALID_ARGUMENT) {
        fprintf(stderr, "berthctl: %s\n", err->message);
        return COMMAND_EXIT_USAGE;
    }
    if (code == BERTH_UNIMPLEMENTED)
        fprintf(stderr, "berthctl: what answers at %s does not do that: %s\n", address, err->message);
    else
        fprintf(stderr, "berthctl: the daemon at %s answers %s: %s\n", address, berth_code_name(code),
                err->message);
    return COMMAND_EXIT_BAD_NEWS;
}

const plugin_message *command_find_plugin(const struct command_options *options,
                                          const struct plugin_list *list)
{
    const char *uri = options->words[0];
    const plugin_message *plugin = plugin_list_find(list, uri);
    size_t refused = plugin_list_refused(list);
    const char *nearest;

    if (plugin != NULL)
        return plugin;
    nearest = plugin_list_nearest(list, uri);
    if (nearest != NULL)
        fprintf(stderr, "berthctl: there is no plugin %s; did you mean %s?\n", uri, nearest);
    else
        fprintf(stderr, "berthctl: there is no plugin %s; berthctl plugins ls --all lists what was found\n",
                uri);
    if (refused > 0)
        fprintf(
            stderr,
            "It may be in a file that was refused, of which there %s %zu: see berthctl plugins ls --all\n",
            refused == 1 ? "is" : "are", refused);
    return NULL;
}
