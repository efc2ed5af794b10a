/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of the daemon's own settings, and the places that are its defaults. */
#include "schema.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config/text.h>
#include <config/utf8.h>

/* Each %s is a quoted place. */
static const char schema_format[] =
    "version: {type: int, default: 1, min: 1, max: 1, doc: The version of this format.}\n"
    "root: {type: path, default: %s, doc: Where plugins keep what must survive a restart; a folder for "
    "each.}\n"
    "state: {type: path, default: %s, doc: 'Where sockets and other things of one run are; may be emptied at "
    "boot.'}\n"
    "plugin_dirs: {type: list, items: {type: path}, default: [%s%s%s], doc: 'Folders with modules, in "
    "order of precedence: where two modules provide the same plugin, the first is used, as with PATH. The "
    "folders and every parent have to belong to root or the daemon''s user, and be writable by nobody "
    "else.'}\n"
    "imports: {type: list, items: {type: string}, default: [], doc: 'More files, laid upon this one in this "
    "order: names or patterns such as conf.d/*.yaml, relative to the file they stand in.'}\n"
    "required_plugins: {type: list, items: {type: string}, default: [], doc: 'URIs of plugins without which "
    "the "
    "daemon does not start.'}\n"
    "disabled_plugins: {type: list, items: {type: string}, default: [], doc: URIs of plugins that are not "
    "loaded.}\n"
    "transports: {type: map, items: {type: list, items: {type: string, pattern: '[a-z][a-z0-9-]{0,30}'}}, "
    "default: {}, doc: 'Further transports for services, by the names of the services, beyond those that "
    "their plugins name. A transport that a network reaches makes a service reachable from there.'}\n"
    "services: {type: map, items: {type: string}, default: {}, doc: 'Who exports a service that several "
    "plugins "
    "could: its name and a URI.'}\n"
    "log:\n"
    "  type: object\n"
    "  doc: What is logged on standard error.\n"
    "  fields:\n"
    "    level: {type: enum, values: [error, warn, info, debug], default: info, doc: The least important "
    "lines "
    "that are written.}\n"
    "    format: {type: enum, values: [auto, text, json], default: auto, doc: 'auto is text, without "
    "times where the journal reads it.'}\n"
    "timeouts:\n"
    "  type: object\n"
    "  doc: How long each step of a plugin's life may take.\n"
    "  fields:\n"
    "    prepare: {type: duration, default: 30s, min: 1ms, max: 24h, doc: 'Work before init, on a thread.'}\n"
    "    init: {type: duration, default: 10s, min: 1ms, max: 24h, doc: Making the instance.}\n"
    "    serve: {type: duration, default: 10s, min: 1ms, max: 24h, doc: Beginning to listen.}\n"
    "    drain: {type: duration, default: 10s, min: 1ms, max: 24h, doc: Ending the work in hand.}\n"
    "    close: {type: duration, default: 5s, min: 1ms, max: 24h, doc: Giving everything back.}\n"
    "    plugins:\n"
    "      type: map\n"
    "      default: {}\n"
    "      doc: 'Other times for single plugins, by URI.'\n"
    "      items:\n"
    "        type: object\n"
    "        fields:\n"
    "          prepare: {type: duration, min: 1ms, max: 24h}\n"
    "          init: {type: duration, min: 1ms, max: 24h}\n"
    "          serve: {type: duration, min: 1ms, max: 24h}\n"
    "          drain: {type: duration, min: 1ms, max: 24h}\n"
    "          close: {type: duration, min: 1ms, max: 24h}\n"
    "prepare_threads: {type: int, default: 4, min: 1, max: 64, doc: 'How many plugins may prepare at the "
    "same "
    "time, each on a thread.'}\n"
    "plugins: {type: map, items: {type: object}}\n";

static char *join(const char *folder, const char *rest)
{
    char *path;

    if (asprintf(&path, "%s/%s", folder, rest) < 0)
        abort();
    return path;
}

/* Could it be the default of a path: absolute, and a text? */
static bool is_place(const char *folder)
{
    return folder != NULL && folder[0] == '/' && utf8_is_line(folder);
}

static const char *home_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user;

    if (is_place(home))
        return home;
    user = getpwuid(geteuid());
    return user != NULL && is_place(user->pw_dir) ? user->pw_dir : "/nonexistent";
}

/* XDG Base Directory Specification 0.8: a relative path there is to be ignored. */
static char *xdg_folder(const char *variable, const char *below_home)
{
    const char *folder = getenv(variable);

    if (is_place(folder))
        return join(folder, "berth");
    return below_home == NULL ? NULL : join(home_folder(), below_home);
}

static char *copy(const char *text)
{
    char *copied = strdup(text);

    if (copied == NULL)
        abort();
    return copied;
}

static void find_places_of_root(struct settings_places *places)
{
    places->config_file = copy(BERTH_SYSCONF_DIR "/berth/berthd.yaml");
    places->root = copy("/var/lib/berth");
    places->state = copy("/run/berth");
    places->user_plugins = NULL;
}

static void find_places_of_user(struct settings_places *places)
{
    char *folder = xdg_folder("XDG_CONFIG_HOME", ".config/berth");

    places->config_file = join(folder, "berthd.yaml");
    free(folder);
    places->root = xdg_folder("XDG_DATA_HOME", ".local/share/berth");
    places->state = xdg_folder("XDG_RUNTIME_DIR", NULL);
    if (places->state == NULL)
        places->state = join(places->root, "run");
    places->user_plugins = join(home_folder(), ".local/lib/berth/plugins");
    if (access(places->user_plugins, F_OK) != 0) {
        free(places->user_plugins);
        places->user_plugins = NULL;
    }
}

void settings_places_find(struct settings_places *ret_places)
{
    if (geteuid() == 0)
        find_places_of_root(ret_places);
    else
        find_places_of_user(ret_places);
}

void settings_places_finish(struct settings_places *places)
{
    free(places->config_file);
    free(places->root);
    free(places->state);
    free(places->user_plugins);
}

static char *quote(const char *text)
{
    struct config_text quoted = {0};

    if (text != NULL)
        config_text_add_quoted(&quoted, text, strlen(text));
    return config_text_take(&quoted);
}

static char *format_schema(void)
{
    struct settings_places places;
    struct config_text text = {0};
    char *root, *state, *user_plugins;

    settings_places_find(&places);
    root = quote(places.root);
    state = quote(places.state);
    user_plugins = quote(places.user_plugins);
    config_text_add(&text, schema_format, root, state, user_plugins, places.user_plugins == NULL ? "" : ", ",
                    "\"" BERTH_PLUGIN_DIR "\"");
    free(root);
    free(state);
    free(user_plugins);
    settings_places_finish(&places);
    return config_text_take(&text);
}

struct schema *settings_schema_create(struct config_tree **ret_tree)
{
    struct config_diagnostics diagnostics = {0};
    char *text = format_schema();
    struct config_tree *tree =
        config_yaml_read("berthd", text, strlen(text), &config_limits_file, &diagnostics);
    struct schema *schema = tree == NULL ? NULL : schema_create(config_tree_root(tree), &diagnostics);

    if (schema == NULL)
        abort();
    config_diagnostics_finish(&diagnostics);
    free(text);
    *ret_tree = tree;
    return schema;
}
