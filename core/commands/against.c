/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berthd plan --against: what a reload of a running daemon would do with this configuration. Only the daemon
 * knows what runs, with which settings and for whom, so that it compares; and berthctl asks it, so that
 * berthd carries no client.
 */
#include "command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config/tree/load.h>
#include <sdk/base/memory.h>

#define CLIENT "berthctl"

struct words {
    /* NULL at the end. */
    const char **items;
    size_t count;
};

static void add(struct words *words, const char *word)
{
    words->items = memory_grow(words->items, words->count + 1, sizeof(*words->items));
    words->items[words->count++] = word;
    words->items[words->count] = NULL;
}

static void add_option(struct words *words, const char *option, const char *value)
{
    if (value == NULL)
        return;
    add(words, option);
    add(words, value);
}

static struct words make_command(const struct command_options *options)
{
    const struct settings_options *settings = &options->settings;
    struct words words = {0};

    add(&words, CLIENT);
    add_option(&words, "--address", cli_value(options->line, "against"));
    add(&words, "reload");
    add(&words, "--dry-run");
    add_option(&words, "--config", settings->path);
    add_option(&words, "--root", settings->root);
    add_option(&words, "--state", settings->state);
    for (size_t i = 0; i < settings->plugin_dir_count; i++)
        add_option(&words, "--plugin-dir", settings->plugin_dirs[i]);
    if (settings->lenient)
        add(&words, "--lenient");
    if (cli_has(options->line, "json"))
        add(&words, "--json");
    return words;
}

/* The one that was installed with this program, else one of PATH. */
static void run_client(const char **words)
{
    char own[PATH_MAX], *client, *slash;
    ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);

    own[length > 0 ? length : 0] = '\0';
    slash = strrchr(own, '/');
    if (slash != NULL) {
        *slash = '\0';
        client = memory_format("%s/" CLIENT, own);
        execv(client, (char *const *)(uintptr_t)words);
        free(client);
    }
    execvp(CLIENT, (char *const *)(uintptr_t)words);
}

int command_plan_against(const struct command_options *options)
{
    struct words words;

    if (cli_has(options->line, "dot") || cli_has(options->line, "lock"))
        return cli_refuse(options->line, "--against: not with --dot or --lock");
    if (options->settings.path != NULL && config_load_is_stream(options->settings.path))
        return cli_refuse(options->line,
                          "--against: the daemon reads the configuration, so it must be a file");
    words = make_command(options);
    run_client(words.items);
    fprintf(stderr, "berthd: cannot run " CLIENT ", which asks the daemon: %s; install it beside berthd\n",
            strerror(errno));
    free(words.items);
    return DAEMON_EXIT_FAILED;
}
