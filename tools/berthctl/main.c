/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl's command line: its commands, their options and their help. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/address.h>
#include <berth/plugin.h>
#include <config/tree/units.h>
#include <sdk/base/memory.h>

#include <tools/berthctl/daemon/address.h>
#include <tools/berthctl/commands/command.h>

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
    {"all", 0, NULL, "include rejected, disabled, quarantined and blocked plugins, with reasons", 0},
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

static const struct cli_option top_options[] = {
    {"sort", 's', "KEY", "sort by KEY: time (default), calls, bytes or memory", 0},
    {"interval", 'i', "TIME", "refresh every TIME, such as 500ms (default: 1s)", 0},
    {"once", 0, NULL, "print once and exit", 0},
    {"json", 0, NULL, "print JSON", 0},
    {0},
};

static const struct cli_option connections_options[] = {
    {"close", 0, "ID", "close the connection ID; its calls end as UNAVAILABLE", 'c'},
    {"json", 0, NULL, "print JSON", 'c'},
    {0},
};

static const struct cli_option log_options[] = {
    {"level", 'l', "LEVEL",
     "show lines up to LEVEL: error, warn, info or debug (default: the level of the log)", 0},
    {"json", 0, NULL, "print JSON, one object per line", 0},
    {0},
};

static const struct cli_option services_options[] = {
    {"methods", 'l', NULL, "list methods with kind, request and response", 'f'},
    {"json", 0, NULL, "print JSON", 'f'},
    {"protoset", 0, "FILE", "read a FileDescriptorSet instead of asking the server", 0},
    {0},
};

static const struct cli_option describe_options[] = {
    {"json", 0, NULL, "print JSON", 0},
    {"protoset", 0, "FILE", "read a FileDescriptorSet instead of asking the server", 0},
    {0},
};

static const struct cli_option call_options[] = {
    {"header", 'H', "HEADER", "send the metadata KEY:VALUE; base64 if KEY ends in -bin (repeatable)", 0},
    {"deadline", 0, "TIME", "deadline of the call (default: --timeout if unary, else none)", 0},
    {"include", 'i', NULL, "print response headers and trailers to standard error", 0},
    {"pretty", 0, NULL, "print each message on several lines", 0},
    {"emit-defaults", 0, NULL, "print fields with default values too", 0},
    {"protoset", 0, "FILE", "read a FileDescriptorSet instead of asking the server", 0},
    {0},
};

static const struct cli_option reload_options[] = {
    {"dry-run", 0, NULL, "print what would change, and why, without changing it", 0},
    {"config", 'c', "FILE", "with --dry-run: compare with this main configuration file instead", 0},
    {"root", 0, "DIR", "with --dry-run: compare with this root", 0},
    {"state", 0, "DIR", "with --dry-run: compare with this state directory", 0},
    {"plugin-dir", 0, "DIR", "with --dry-run: compare with modules of DIR instead; may be repeated", 0},
    {"lenient", 0, NULL, "with --dry-run: report unknown names in the configuration as warnings", 0},
    {"atomic", 0, NULL, "all or nothing: at the first failure, undo what was done", 0},
    {"force", 0, NULL, "end calls that take longer than upgrade.drain; drop state that cannot be read", 0},
    {"json", 0, NULL, "print JSON", 0},
    {0},
};

static const struct cli_option change_options[] = {
    {"dry-run", 0, NULL, "print what would change, and why, without changing it", 0},
    {"force", 0, NULL, "end calls that take longer than upgrade.drain; drop state that cannot be read", 0},
    {"json", 0, NULL, "print JSON", 0},
    {0},
};

static const struct cli_option rollback_options[] = {
    {"keep", 0, NULL, "also keep to it when berthd starts again", 0},
    {"dry-run", 0, NULL, "print what would change, and why, without changing it", 0},
    {"force", 0, NULL, "end calls that take longer than upgrade.drain; drop state that cannot be read", 0},
    {"json", 0, NULL, "print JSON", 0},
    {0},
};

static const struct cli_option stop_options[] = {
    {"cascade", 0, NULL, "also stop plugins that require these", 0},
    {"dry-run", 0, NULL, "print what would change, and why, without changing it", 0},
    {"force", 0, NULL, "end calls that take longer than upgrade.drain; allow required plugins to stop", 0},
    {"json", 0, NULL, "print JSON", 0},
    {0},
};

static const char explain_help[] =
    "Follows the chain of causes: why the plugin is in its state, down to the root cause, and\n"
    "what to do about it. Exits with 1 unless the plugin is ready, serving or idle, and not degraded.\n";

static const struct cli_command commands[] = {
    {"plugins ls", "[FILTER]...", "list plugins",
     "Prints TYPE, ID, PLATFORMS and STATUS, in the order in which the daemon starts plugins.\n"
     "FILTER is a containerd filter, such as 'type~=grpc,id==greeter'; a plugin is listed if any\n"
     "of them matches. The column NOTE marks isolated and idle plugins, plugins whose file on disk differs\n"
     "or is held back, and generations that run at the same time. It is omitted if it would be empty.\n",
     list_options, 0, SIZE_MAX, command_plugins_ls},
    {"plugins inspect", "URI", "show everything about a plugin",
     "Prints state, reason, origin, when it starts, its process and sandbox if it is isolated, "
     "requirements,\n"
     "services, exports, times, costs, and each setting with its value and where it was set; secrets are\n"
     "left out. Exits with 1 unless the plugin is ready, serving or idle, and not degraded.\n",
     json_options, 1, 1, command_plugins_inspect},
    {"plugins graph", "", "show which plugin requires or wants which",
     "Prints one edge per line: dependent, provider, and the requirement that joins them.\n", graph_options,
     0, 0, command_plugins_graph},
    {"plugins blame", "", "show startup time per plugin, slowest first",
     "Prints the time of each step, and the chain of plugins that determined when the daemon\n"
     "became ready.\n",
     json_options, 0, 0, command_plugins_blame},
    {"plugins holds", "URI", "show who holds what of a plugin, and what it holds",
     "Prints in one line what keeps the plugin from being unloaded, then lists everything: interfaces,\n"
     "subscriptions and watches, calls in flight, timers and other handles.\n",
     json_options, 1, 1, command_plugins_holds},
    {"plugins start", "URI...", "start plugins that are idle, were stopped or failed",
     "Plugins that were stopped along with them start again too.\n", change_options, 1, SIZE_MAX,
     command_plugins_start},
    {"plugins stop", "URI...", "stop plugins until they are started again",
     "They stay stopped, even after a reload, until `plugins start` or a restart of the daemon. If other\n"
     "plugins require them, these are named and nothing is done, unless --cascade is given.\n",
     stop_options, 1, SIZE_MAX, command_plugins_stop},
    {"plugins restart", "URI...", "restart plugins, with those that use their interface",
     "Whether calls wait meanwhile depends on the upgrade mode of each plugin.\n", change_options, 1,
     SIZE_MAX, command_plugins_restart},
    {"plugins upgrade", "URI|FILE...", "upgrade plugins to the installed files",
     "Install the file first. All plugins of its module are upgraded together; other changes are left to\n"
     "a reload. If the installed version does not start, the old one keeps running.\n",
     change_options, 1, SIZE_MAX, command_plugins_upgrade},
    {"plugins rollback", "URI...", "undo the last upgrade: run the previous version again",
     "All plugins of the module go back together, to the version that ran before the last upgrade since the\n"
     "daemon started. The installed file is held back: a reload ignores it until another one is installed\n"
     "or `plugins upgrade` is run. The next start of the daemon uses the installed file, unless --keep is\n"
     "given: then later starts hold it back too. --keep also keeps an earlier rollback.\n",
     rollback_options, 1, SIZE_MAX, command_plugins_rollback},
    {"plugins explain", "URI", "same as explain", explain_help, json_options, 1, 1, command_explain},
    {"explain", "URI", "explain why a plugin is in its state, and what to do", explain_help, json_options, 1,
     1, command_explain},
    {"status", "", "say whether anything is wrong, in one verdict",
     "Names each plugin that failed, timed out, is blocked, quarantined or degraded, with the reason,\n"
     "and how the daemon died the last time, if it did. Exits with 1 if there is any such plugin.\n",
     json_options, 0, 0, command_status},
    {"reload", "", "apply a changed configuration and changed modules",
     "Makes the daemon read its configuration and plugin directories again and apply what differs from\n"
     "what runs. Prints what happens to each plugin, and why; plugins that do not change are not touched.\n"
     "If the configuration has errors, they are printed and nothing changes. Works over unix sockets only.\n"
     "With --dry-run, another configuration and other plugin directories can be compared with what runs; "
     "the\n"
     "daemon reads them, so only root and the daemon's user may do that.\n"
     "Exits with 1 if nothing was changed, with 4 if only some steps succeeded.\n",
     reload_options, 0, 0, command_reload},
    {"top", "", "show what each plugin costs: time on the loop, calls, bytes, handles, memory",
     "On a terminal: a live screen; press t, c, b or m to sort, q to quit. Otherwise a list at each\n"
     "interval. The first list has totals since the daemon's start, the others what was added.\n"
     "Time is what plugins took on the loop in steps, handlers and interceptors; callbacks that libuv\n"
     "calls directly are unattributed. Handles and memory belong to a module, so plugins of one module\n"
     "show the same (marked *). Memory is resident code and variables; the heap is shared.\n",
     top_options, 0, 0, command_top},
    {"connections", "", "list who is connected, or close a connection",
     "Prints ID, peer, credentials, age and calls in flight of each connection to any server.\n"
     "Closing one needs a connection over a unix socket.\n",
     connections_options, 0, 0, command_connections},
    {"log", "[URI]", "follow the daemon's log, or the lines of one plugin",
     "Prints lines as they are logged until interrupted. With --level, also lines that the log itself\n"
     "leaves out. If this reader is too slow, it is told how many lines it missed; with --json, in the\n"
     "member lost of the next line.\n",
     log_options, 0, 1, command_log},
    {"log-level", "[LEVEL] [URI]", "show or set the log level, of the daemon or of one plugin",
     "LEVEL is error, warn, info or debug; default, with URI: the daemon's level again. Changes last\n"
     "until the daemon ends, and need a connection over a unix socket.\n",
     json_options, 0, 2, command_log_level},
    {"services", "", "list the services of the server", "Works with any server that has reflection.\n",
     services_options, 0, 0, command_services},
    {"describe", "NAME", "show a service, method, message or enum as a .proto does",
     "For a method, also its messages and a call to start from. NAME is a full name, such as\n"
     "helloworld.Greeter, or the end of a service's name.\n",
     describe_options, 1, 1, command_describe},
    {"call", "SERVICE/METHOD [JSON|@FILE|-]", "call any method of the server, with JSON",
     "The request is JSON, a file, or - for standard input; default: {}. Methods that take many\n"
     "requests read one a line, from standard input by default. Each response is printed on a line.\n"
     "SERVICE may be the end of a service's name. A status other than OK is printed to standard error\n"
     "as NotFound: MESSAGE, with its details, and the exit status is 64 plus its code (69: NotFound).\n",
     call_options, 1, 2, command_call},
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
    .summary = "Asks a running berthd about its plugins, and calls any method.",
    .exit_status = "Exit status: 0 success, 1 negative result, 2 wrong usage,\n"
                   "3 the daemon cannot be reached, 4 a change was only partly applied,\n"
                   "64 + N (call) the call ended with status code N.\n",
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

static int set_interval(const struct cli_line *line, struct command_options *options)
{
    const char *text = cli_value(line, "interval");
    struct berth_error err;

    options->interval_ns = 1000000000;
    if (text == NULL)
        return CLI_GO_ON;
    if (!config_parse_duration(text, &options->interval_ns, &err))
        return cli_refuse(line, "--interval: %s", err.message);
    if (options->interval_ns < 100000000)
        return cli_refuse(line, "--interval: %s is too short (at least 100ms)", text);
    return CLI_GO_ON;
}

static int set_deadline(const struct cli_line *line, struct command_options *options)
{
    const char *text = cli_value(line, "deadline");
    struct berth_error err;
    int64_t ns;

    if (text == NULL)
        return CLI_GO_ON;
    if (!config_parse_duration(text, &ns, &err))
        return cli_refuse(line, "--deadline: %s", err.message);
    if (ns <= 0)
        return cli_refuse(line, "--deadline: %s is too short", text);
    options->deadline_ms = ((uint64_t)ns + 999999) / 1000000;
    return CLI_GO_ON;
}

/* The daemon has another working directory. @return an absolute path, malloced; NULL for NULL. */
static char *make_absolute(const char *path)
{
    char *directory, *absolute;

    if (path == NULL || *path == '/')
        return path != NULL ? memory_copy(path) : NULL;
    directory = getcwd(NULL, 0);
    absolute = memory_format("%s/%s", directory != NULL ? directory : "", path);
    free(directory);
    return absolute;
}

static int set_start(const struct cli_line *line, struct command_options *options)
{
    static const char *const names[] = {"config", "root", "state", "plugin-dir", "lenient"};
    const char *const *directories;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (cli_has(line, names[i]) && !options->is_dry_run)
            return cli_refuse(line, "--%s: only with --dry-run; restart berthd to use it", names[i]);
        options->start.is_given = options->start.is_given || cli_has(line, names[i]);
    }
    directories = cli_values(line, "plugin-dir", &options->start.plugin_dir_count);
    options->start.plugin_dirs =
        memory_allocate(options->start.plugin_dir_count, sizeof(*options->start.plugin_dirs));
    for (size_t i = 0; i < options->start.plugin_dir_count; i++)
        options->start.plugin_dirs[i] = make_absolute(directories[i]);
    options->start.config = make_absolute(cli_value(line, "config"));
    options->start.root = make_absolute(cli_value(line, "root"));
    options->start.state = make_absolute(cli_value(line, "state"));
    options->start.is_lenient = cli_has(line, "lenient");
    return CLI_GO_ON;
}

static void free_start(struct command_options *options)
{
    for (size_t i = 0; i < options->start.plugin_dir_count; i++)
        free(options->start.plugin_dirs[i]);
    free(options->start.plugin_dirs);
    free(options->start.config);
    free(options->start.root);
    free(options->start.state);
}

/* A word of a list; what it may be is said in the same order. */
static int check_choice(const struct cli_line *line, const char *option, const char *const *choices,
                        const char *shown)
{
    const char *value = cli_value(line, option);

    for (size_t i = 0; value != NULL && choices[i] != NULL; i++)
        if (strcmp(value, choices[i]) == 0)
            return CLI_GO_ON;
    return value == NULL ? CLI_GO_ON
                         : cli_refuse(line, "--%s: \"%s\" is not one of %s", option, value, shown);
}

static int check_choices(const struct cli_line *line)
{
    static const char *const keys[] = {"time", "calls", "bytes", "memory", NULL};
    const char *levels[BERTH_LOG_DEBUG + 2] = {NULL};
    int code = check_choice(line, "sort", keys, "time, calls, bytes, memory");

    for (int level = BERTH_LOG_ERROR; level <= BERTH_LOG_DEBUG; level++)
        levels[level] = berth_log_level_name((enum berth_log_level)level);
    return code != CLI_GO_ON ? code : check_choice(line, "level", levels, "error, warn, info, debug");
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
        .once = cli_has(line, "once"),
        .sort = cli_value(line, "sort"),
        .level = cli_value(line, "level"),
        .close = cli_value(line, "close"),
        .with_methods = cli_has(line, "methods"),
        .protoset = cli_value(line, "protoset"),
        .with_metadata = cli_has(line, "include"),
        .is_pretty = cli_has(line, "pretty"),
        .emit_defaults = cli_has(line, "emit-defaults"),
        .is_dry_run = cli_has(line, "dry-run"),
        .is_atomic = cli_has(line, "atomic"),
        .cascades = cli_has(line, "cascade"),
        .is_forced = cli_has(line, "force"),
        .keeps = cli_has(line, "keep"),
        .words = line->words,
        .word_count = line->word_count,
        .with_colours = table_wants_colours(),
    };
    int code = set_timeout(line, &options.client);

    options.headers = cli_values(line, "header", &options.header_count);
    if (code == CLI_GO_ON)
        code = set_deadline(line, &options);
    if (code == CLI_GO_ON)
        code = set_tls(line, &options);
    if (code == CLI_GO_ON)
        code = set_interval(line, &options);
    if (code == CLI_GO_ON)
        code = check_choices(line);
    if (code == CLI_GO_ON)
        code = set_start(line, &options);
    if (code == CLI_GO_ON)
        code = line->command->run(&options);
    free_start(&options);
    free(address);
    return code;
}

int main(int argc, char **argv)
{
    return cli_main(&program, argc, argv, start);
}
