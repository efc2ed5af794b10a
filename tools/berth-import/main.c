/* SPDX-License-Identifier: Apache-2.0 */
/* berth-import: translates a configuration of containerd into a berthd.yaml. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/text/utf8.h>
#include <core/scan/scan.h>
#include <sdk/base/text_file.h>
#include <tools/cli/cli.h>

#include "import.h"

enum exit_status {
    EXIT_IMPORTED = 0,
    EXIT_FAILED = 1,
};

struct command_options {
    const struct cli_line *line;
};

static const struct cli_option options[] = {
    {"output", 'o', "FILE", "write to FILE (must not exist)", 0},
    {"plugin-dir", 0, "DIR", "directory with berth's modules; may be repeated", 0},
    {"containerd", 0, "VERSION", "merge imported files as containerd VERSION does: 1 or 2", 0},
    {0},
};

static void print_diagnostics(struct config_diagnostics *diagnostics)
{
    config_diagnostics_sort(diagnostics);
    for (size_t i = 0; i < diagnostics->count; i++) {
        char *line = config_diagnostic_format(&diagnostics->items[i]);

        fputs(diagnostics->items[i].severity == CONFIG_WARNING ? "warning: " : "", stderr);
        utf8_write_line(stderr, line);
        fputc('\n', stderr);
        free(line);
    }
    if (diagnostics->dropped > 0)
        fprintf(stderr, "berth-import: %zu more\n", diagnostics->dropped);
}

/* The output holds the secrets of the input. */
static int write_text(const struct cli_line *line, const char *text)
{
    const char *output = cli_value(line, "output");
    struct berth_error err;

    if (output == NULL)
        return fputs(text, stdout) < 0 ? EXIT_FAILED : EXIT_IMPORTED;
    if (text_file_create(output, 0600, text, &err) == BERTH_OK)
        return EXIT_IMPORTED;
    fprintf(stderr, "berth-import: %s\n", err.message);
    return EXIT_FAILED;
}

static int import_file(const struct cli_line *line, const struct catalog *catalog)
{
    const char *containerd = cli_value(line, "containerd");
    struct config_diagnostics diagnostics = {0};
    struct import import = {
        .catalog = catalog,
        .diagnostics = &diagnostics,
        .decides = containerd == NULL,
        .replaces_sections = containerd != NULL && strcmp(containerd, "1") == 0,
    };
    bool is_good = import_read(&import, line->words[0]) && import_translate(&import);
    int code = EXIT_FAILED;
    char *text;

    print_diagnostics(&diagnostics);
    if (is_good) {
        text = import_print(&import);
        code = write_text(line, text);
        if (code == EXIT_IMPORTED && import.loss_count > 0)
            fprintf(stderr, "%s: %zu setting%s without a counterpart; see the comments\n", line->words[0],
                    import.loss_count, import.loss_count == 1 ? "" : "s");
        free(text);
    }
    import_finish(&import);
    config_diagnostics_finish(&diagnostics);
    return code;
}

/* The manifests of the installed modules define which settings exist. No module is loaded. */
static int run(const struct command_options *given)
{
    const struct cli_line *line = given->line;
    const char *containerd = cli_value(line, "containerd");
    /* Only for plugin_dirs; berth may have no configuration yet. */
    struct settings_options settings_options = {.lenient = true, .keep_going = true};
    struct config_diagnostics diagnostics = {0};
    struct settings *settings;
    struct catalog catalog;
    struct scan scan;
    int code = EXIT_FAILED;

    if (containerd != NULL && strcmp(containerd, "1") != 0 && strcmp(containerd, "2") != 0)
        return cli_refuse(line, "--containerd: \"%s\" is neither 1 nor 2", containerd);
    settings_options.plugin_dirs = cli_values(line, "plugin-dir", &settings_options.plugin_dir_count);
    settings = settings_load(&settings_options, &diagnostics);
    if (settings == NULL) {
        print_diagnostics(&diagnostics);
        config_diagnostics_finish(&diagnostics);
        return EXIT_FAILED;
    }
    config_diagnostics_finish(&diagnostics);
    catalog_read(settings->plugin_dirs, settings->plugin_dir_count, NULL, NULL, &scan, &catalog);
    if (catalog.count > 0)
        code = import_file(line, &catalog);
    else
        fprintf(
            stderr,
            "berth-import: no plugins in %s; install berth's, or name their directory with --plugin-dir\n",
            settings->plugin_dir_count > 0 ? settings->plugin_dirs[0] : "any directory");
    catalog_finish(&catalog);
    scan_finish(&scan);
    settings_destroy(settings);
    return code;
}

static const struct cli_command commands[] = {
    {"", "FILE", "",
     "Prints a berthd.yaml equivalent to FILE, a config.toml of containerd (version 1 to 4), with the\n"
     "files that it imports. A setting without a counterpart becomes a comment with its place.\n"
     "-: standard input.\n",
     options, 1, 1, run},
    {0},
};

static const struct cli_program program = {
    .name = "berth-import",
    .version = BERTH_VERSION,
    .summary = "Translates containerd's configuration.",
    .exit_status =
        "Exit status: 0 success, 1 the file is wrong or could not be read or written,\n2 wrong usage.\n",
    .commands = commands,
};

static int start(const struct cli_line *line)
{
    const struct command_options given = {.line = line};

    return line->command->run(&given);
}

int main(int argc, char **argv)
{
    return cli_main(&program, argc, argv, start);
}
