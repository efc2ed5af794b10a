/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl's command line: its commands, their options and their help. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/address.h>
#include <config/units.h>

#include "address.h"
#include "command.h"

#define DEFAULT_TIMEOUT_MS 10000

static const struct cli_option common_options[] = {
    {"address", 'a', "ADDRESS", "socket or HOST:PORT of the daemon (default: $BERTH_ADDRESS)", 0},
    {"timeout", 0, "TIME", "give up after TIME, such as 5s (default: 10s)", 0},
    {"tls-ca", 0, "FILE", "use TLS; trust the CAs in FILE", 0},
    {"tls-cert", 0, "FILE", "use TLS; present the certificate in FILE", 0},
    {"tls-key", 0, "FILE", "private key of --tls-cert", 0},
    {"tls-server-name", 0, "NAME", "use TLS; expect a certificate for NAME", 0},
    {0},
};

static const struct cli_option list_options[] = {
    {"all", 0, NULL, "include rejected, disabled and blocked plugins, with reasons", 0},
    {"detailed", 'd', NULL, "print everything about each plugin", 'f'},
    {"quiet", 'q', NULL, "print URIs only", 'f'},
    {"json", 0, NULL, "print JSON", 'f'},
    {0},
};

static const struct cli_option graph_options[] = {
    {"dot", 0, NULL, "print a graph for dot(1)", 'f'},
    {"json", 0, NULL, "print JSON", 'f'},
    {0},
};

static const struct cli_option json_options[] = {
    {"json", 0, NULL, "print JSON", 0},
    {0},
};

static const char explain_help[] =
    "Follows the chain of causes: why the plugin is in its state, down to the root cause, and\n"
    "what to do about it. Exits with 1 unless the plugin is ready or serving and not degraded.\n";

static const struct cli_command commands[] = {
    {"plugins ls", "[FILTER]...", "list plugins",
     "Prints TYPE, ID, PLATFORMS and STATUS, in the order in which the daemon starts plugins.\n"
     "FILTER is a containerd filter, such as 'type~=grpc,id==greeter'; a plugin is listed if any\n"
     "of them matches.\n",
     list_options, 0, SIZE_MAX, command_plugins_ls},
    {"plugins inspect", "URI", "show everything about a plugin",
     "Prints state, reason, origin, requirements, services, exports and times.\n"
     "Exits with 1 unless the plugin is ready or serving and not degraded.\n",
     json_options, 1, 1, command_plugins_inspect},
    {"plugins graph", "", "show which plugin requires or wants which",
     "Prints one edge per line: dependent, provider, and the requirement that joins them.\n", graph_options,
     0, 0, command_plugins_graph},
    {"plugins blame", "", "show startup time per plugin, slowest first",
     "Prints the time of each step, and the chain of plugins that determined when the daemon\n"
     "became ready.\n",
     json_options, 0, 0, command_plugins_blame},
    {"plugins explain", "URI", "same as explain", explain_help, json_options, 1, 1, command_explain},
    {"explain", "URI", "explain why a plugin is in its state, and what to do", explain_help, json_options, 1,
     1, command_explain},
    {"deprecations", "", "list deprecated settings and API uses",
     "Prints each with its last occurrence: deprecated settings, old names and old versions of\n"
     "sections in the configuration, and what plugins have met since the start.\n",
     json_options, 0, 0, command_deprecations},
    {"version", "", "print the versions of berthctl and of the daemon",
     "Prints both versions and the daemon's process, folders and readiness.\n", json_options, 0, 0,
     command_version},
    {0},
};

static const struct cli_program program = {
    .name = "berthctl",
    .version = BERTH_VERSION,
    .summary = "Asks a running berthd about its plugins.",
    .exit_status = "Exit status: 0 success, 1 the answer is bad news, 2 wrong usage,\n"
                   "3 the daemon cannot be reached.\n",
    .options = common_options,
    .commands = commands,
};

static int set_timeout(const struct cli_line *line, struct client *client)
{
    const char *text = cli_value(line, "timeout");
    struct berth_error err;
    int64_t ns;

    if (text == NULL)
        return CLI_GO_ON;
    if (!config_parse_duration(text, &ns, &err))
        return cli_refuse(line, "--timeout: %s", err.message);
    client->timeout_ms = ((uint64_t)ns + 999999) / 1000000;
    return CLI_GO_ON;
}

/* Said here, an unreadable file is not taken for an answer of the daemon. */
static int check_files(const struct cli_line *line)
{
    static const char *const names[] = {"tls-ca", "tls-cert", "tls-key"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *path = cli_value(line, names[i]);

        if (path != NULL && access(path, R_OK) != 0)
            return cli_refuse(line, "--%s: cannot read %s: %s", names[i], path, strerror(errno));
    }
    return CLI_GO_ON;
}

/* TLS is used where any option asks for it. */
static int set_tls(const struct cli_line *line, struct command_options *options)
{
    struct berth_rpc_tls_options *tls = &options->tls;
    struct berth_address address;
    struct berth_error err;

    *tls = (struct berth_rpc_tls_options){
        .size = sizeof(*tls),
        .ca_file = cli_value(line, "tls-ca"),
        .certificate_file = cli_value(line, "tls-cert"),
        .key_file = cli_value(line, "tls-key"),
        .server_name = cli_value(line, "tls-server-name"),
    };
    if (tls->ca_file == NULL && tls->certificate_file == NULL && tls->key_file == NULL &&
        tls->server_name == NULL)
        return CLI_GO_ON;
    if (berth_address_parse(options->client.address, &address, &err) != BERTH_OK)
        return cli_refuse(line, "%s", err.message);
    if (address.path != NULL)
        return cli_refuse(line, "TLS needs an address of the form HOST:PORT, not %s",
                          options->client.address);
    if ((tls->certificate_file == NULL) != (tls->key_file == NULL))
        return cli_refuse(line, "--tls-cert and --tls-key go together");
    options->client.tls = tls;
    return check_files(line);
}

static int start(const struct cli_line *line)
{
    char *address = address_find();
    struct command_options options = {
        .client = {.address = cli_has(line, "address") ? cli_value(line, "address") : address,
                   .timeout_ms = DEFAULT_TIMEOUT_MS},
        .json = cli_has(line, "json"),
        .dot = cli_has(line, "dot"),
        .all = cli_has(line, "all"),
        .detailed = cli_has(line, "detailed"),
        .quiet = cli_has(line, "quiet"),
        .words = line->words,
        .word_count = line->word_count,
        .with_colours = table_wants_colours(),
    };
    int code = set_timeout(line, &options.client);

    if (code == CLI_GO_ON)
        code = set_tls(line, &options);
    if (code == CLI_GO_ON)
        code = line->command->run(&options);
    free(address);
    return code;
}

int main(int argc, char **argv)
{
    return cli_main(&program, argc, argv, start);
}
