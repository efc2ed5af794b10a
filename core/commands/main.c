/* SPDX-License-Identifier: Apache-2.0 */
/* berthd's command line: its commands, their options and their help; and run, the daemon itself. */
#include "command.h"

#include <core/process.h>

static const struct cli_option common_options[] = {
    {"config", 'c', "FILE", "main configuration file; -: standard input", 0},
    {"root", 0, "DIR", "persistent data of plugins", 0},
    {"state", 0, "DIR", "sockets and other run-time files of plugins", 0},
    {"plugin-dir", 0, "DIR", "directory with modules, instead of plugin_dirs; may be repeated", 0},
    {"lenient", 0, NULL, "report unknown names in the configuration as warnings", 0},
    {0},
};

static const struct cli_option run_options[] = {
    {"log-level", 0, "LEVEL", "log lines up to LEVEL: error, warn, info or debug; instead of log.level", 0},
    {0},
};

static const struct cli_option plan_options[] = {
    {"json", 0, NULL, "print JSON", 'f'},
    {"dot", 0, NULL, "print a graph for dot(1)", 'f'},
    {"against", 0, "ADDRESS", "show what a reload of the daemon at ADDRESS into this would do, and why", 0},
    {"lock", 0, NULL, "write the modules' hashes to FILE (default: the file that lock names)", 'f'},
    {0},
};

static const struct cli_option default_options[] = {
    {"output", 'o', "FILE", "write to FILE (must not exist)", 0},
    {0},
};

static const struct cli_option check_options[] = {
    {"json", 0, NULL, "print JSON", 0},
    {"load", 0, NULL, "also load the modules, and let plugins check their settings", 0},
    {0},
};

static const struct cli_option dump_options[] = {
    {"show-secrets", 0, NULL, "include secrets", 0},
    {"origin", 0, NULL, "print the file:line:column that set each value", 'f'},
    {"json", 0, NULL, "print JSON", 'f'},
    {0},
};

static const struct cli_option migrate_options[] = {
    {"in-place", 0, NULL, "rewrite the file; keep the old one as FILE.bak", 'o'},
    {"output", 'o', "FILE", "write to FILE (must not exist)", 'o'},
    {0},
};

static int run(const struct command_options *options)
{
    struct settings_options settings = options->settings;
    enum berth_log_level level;
    int code;

    settings.log_level = cli_value(options->line, "log-level");
    if (settings.log_level != NULL && !log_level_parse(settings.log_level, &level))
        return cli_refuse(options->line, "--log-level: \"%s\" is not one of error, warn, info, debug",
                          settings.log_level);
    if (process_reap_orphans(&code))
        return code;
    process_raise_file_limit();
    settings.look_at_files = true;
    return daemon_run(&settings);
}

static const struct cli_option quarantine_options[] = {
    {"quiet", 'q', NULL, "print URIs only", 'f'},
    {"json", 0, NULL, "print JSON", 'f'},
    {0},
};

static const struct cli_command commands[] = {
    {"run", "", "run the daemon in the foreground",
     "Scans, plans, loads and starts plugins, then runs until a signal arrives.\n"
     "SIGTERM and SIGINT drain and close; a second signal exits immediately.\n",
     run_options, 0, 0, run},
    {"plan", "[FILE]", "show what run would do, without running plugin code",
     "Prints order, levels, verdicts, signers and reasons, based on the manifests and the configuration.\n"
     "Exits with 1 if anything is blocked or rejected, or if run would not start.\n"
     "\n"
     "With --against, asks a running daemon instead what a reload would do with this configuration and\n"
     "these directories, as `berthctl reload --dry-run` does; nothing changes. What is not given is as that\n"
     "daemon was started. It reads the files itself, so only root and its user may ask; exit status as\n"
     "berthctl's.\n"
     "\n"
     "With --lock, instead writes module, version and SHA-256 of every module found, and of the libraries\n"
     "that they bring along; review the plan first. If `lock` in the configuration names that file, a\n"
     "module that is not in it or differs from it is rejected. An existing file is replaced.\n",
     plan_options, 0, 1, command_plan},
    {"config default", "", "print a complete, commented configuration from the manifests",
     "Prints every setting of the daemon and of the installed plugins with its documentation\n"
     "and default. The output can be loaded as it is.\n",
     default_options, 0, 0, command_config_default},
    {"config check", "", "check the configuration and report every error",
     "Checks the daemon's settings and each plugin's section, without running plugin code.\n"
     "Exits with 1 if they are valid but run would not start because a required plugin or a server\n"
     "is missing. --load also loads the modules, which runs their constructors, and lets plugins\n"
     "check what only they know, such as whether a key matches its certificate. Nothing is started.\n",
     check_options, 0, 0, command_config_check},
    {"config dump", "", "print the effective configuration",
     "Prints the merged files with all defaults. The output loads back as the same configuration,\n"
     "except for secrets, which are omitted unless --show-secrets is given.\n",
     dump_options, 0, 0, command_config_dump},
    {"config migrate", "", "update sections written for older plugins",
     "Rewrites the sections of one file that were written for an older config_version, as declared\n"
     "in the manifests. If a plugin has migration code of its own, its module is loaded and the\n"
     "code is run.\n",
     migrate_options, 0, 0, command_config_migrate},
    {"quarantine ls", "", "list plugins that killed the daemon or are quarantined",
     "A plugin that kills the daemon on_crash.quarantine_after times within on_crash.within is not loaded.\n",
     quarantine_options, 0, 0, command_quarantine_ls},
    {"quarantine clear", "[URI]", "lift the quarantine of one plugin or of all",
     "Forgets their crashes too. The plugin is loaded at the next reload or start.\n", NULL, 0, 1,
     command_quarantine_clear},
    {0},
};

static const struct cli_program program = {
    .name = "berthd",
    .version = BERTH_VERSION,
    .summary = "Hosts plugins that are shared objects: scans, plans, loads and runs them.",
    .exit_status = "Exit status: 0 success or stopped by a signal, 1 failure, 2 wrong usage,\n"
                   "3 wrong configuration, 4 stopped by a second signal,\n"
                   "5 a plugin called exit() or ended the main thread.\n",
    .options = common_options,
    .commands = commands,
};

static int start(const struct cli_line *line)
{
    struct command_options options = {
        .settings = {.path = cli_value(line, "config"),
                     .root = cli_value(line, "root"),
                     .state = cli_value(line, "state"),
                     .lenient = cli_has(line, "lenient")},
        .line = line,
    };

    options.settings.plugin_dirs = cli_values(line, "plugin-dir", &options.settings.plugin_dir_count);
    return line->command->run(&options);
}

int main(int argc, char **argv)
{
    return cli_main(&program, argc, argv, start);
}
