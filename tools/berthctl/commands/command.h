/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl's commands, and what they share. */
#ifndef BERTHCTL_COMMANDS_COMMAND_H
#define BERTHCTL_COMMANDS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include <tools/cli/cli.h>

#include <tools/berthctl/daemon/client.h>

/** Exit codes, documented in the manual page. */
enum command_exit {
    COMMAND_EXIT_OK = 0,
    /** The answer is bad news. */
    COMMAND_EXIT_BAD_NEWS = 1,
    COMMAND_EXIT_USAGE = 2,
    /** The daemon cannot be reached. */
    COMMAND_EXIT_UNREACHABLE = 3,
    /** Some steps of a change have failed. */
    COMMAND_EXIT_PARTLY = 4,
    /** And the code of the status with which a call has ended. */
    COMMAND_EXIT_STATUS = 64,
};

struct command_options {
    struct client client;
    struct berth_rpc_tls_options tls;
    bool json;
    bool dot;
    bool all;
    bool detailed;
    bool quiet;
    /** top: once, how often (nanoseconds), and by which column; NULL: by the default one. */
    bool once;
    int64_t interval_ns;
    const char *sort;
    /** log: up to which level; connections: which to close. NULL: not given. */
    const char *level;
    const char *close;
    /** services: with methods; these and call: a file with descriptors, NULL: ask the server. */
    bool with_methods;
    const char *protoset;
    /** call: "KEY:VALUE"; 0: no deadline given; headers and trailers are printed. */
    const char *const *headers;
    size_t header_count;
    uint64_t deadline_ms;
    bool with_metadata;
    bool is_pretty;
    bool emit_defaults;
    /** Changes: tell only what would be done; stop at the first failure; take others along; end what delays;
     * apply to later starts too.
     */
    bool is_dry_run, is_atomic, cascades, is_forced, keeps;
    /** A reload's dry run: how the daemon could have been started instead. NULL, 0: as it was. */
    struct {
        bool is_given, is_lenient;
        char *config, *root, *state;
        char **plugin_dirs;
        size_t plugin_dir_count;
    } start;
    /** The arguments that are not options. */
    char *const *words;
    size_t word_count;
    bool with_colours;
};

/** Says what went wrong with a call, and what to do. @return an exit code. */
int command_fail(const struct command_options *options, enum berth_code code, const struct berth_error *err);

int command_plugins_ls(const struct command_options *options);
int command_plugins_inspect(const struct command_options *options);
int command_plugins_graph(const struct command_options *options);
int command_plugins_holds(const struct command_options *options);
int command_plugins_blame(const struct command_options *options);
int command_explain(const struct command_options *options);
int command_deprecations(const struct command_options *options);
int command_version(const struct command_options *options);
int command_top(const struct command_options *options);
int command_status(const struct command_options *options);
int command_connections(const struct command_options *options);
int command_log(const struct command_options *options);
int command_log_level(const struct command_options *options);
int command_services(const struct command_options *options);
int command_describe(const struct command_options *options);
int command_reload(const struct command_options *options);
int command_plugins_start(const struct command_options *options);
int command_plugins_stop(const struct command_options *options);
int command_plugins_restart(const struct command_options *options);
int command_plugins_upgrade(const struct command_options *options);
int command_plugins_rollback(const struct command_options *options);
int command_call(const struct command_options *options);

#endif
