/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's own settings: their schema, the default directories, and the values from files and options. */
#include "store.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config/schema/literal.h>
#include <config/tree/load.h>
#include <config/text/utf8.h>

#define TRUSTED_KEYS                                                                                         \
    &(const struct config_node)                                                                              \
    {                                                                                                        \
        .kind = CONFIG_LIST, .count = 1, .items = (struct config_node *[])                                   \
        {                                                                                                    \
            &(struct config_node)                                                                            \
            {                                                                                                \
                .kind = CONFIG_SCALAR, .text = TRUST_DEFAULT_KEYS, .plain = true,                            \
                .length = sizeof(TRUST_DEFAULT_KEYS) - 1                                                     \
            }                                                                                                \
        }                                                                                                    \
    }
#define STRINGS .items = FIELD(.kind = SCHEMA_STRING)
#define TIMEOUT(place, ...)                                                                                  \
    FIELD(.kind = SCHEMA_DURATION, .index = place, .has_min = true, .min = 1000000, .has_max = true,         \
          .max = INT64_C(86400000000000), .name = __VA_ARGS__)
#define LIMIT(place, ...)                                                                                    \
    FIELD(.kind = SCHEMA_DURATION, .index = place, .has_min = true, .min = 0, .has_max = true,               \
          .max = INT64_C(86400000000000), .name = __VA_ARGS__)

const struct schema settings_schema = {
    .kind = SCHEMA_OBJECT,
    FIELDS(
        FIELD(.kind = SCHEMA_INT, .name = "version", .index = 0, .doc = "Version of this file's format.",
              .default_ = WORD("1"), .has_min = true, .min = 1, .has_max = true, .max = 1),
        FIELD(.kind = SCHEMA_PATH, .name = "root", .index = 1,
              .doc = "Persistent data of plugins, one directory per plugin, and copies of upgraded modules. "
                     "Must "
                     "not be mounted noexec."),
        FIELD(.kind = SCHEMA_PATH, .name = "state", .index = 2,
              .doc = "Sockets and other run-time files; may be emptied at boot."),
        FIELD(.kind = SCHEMA_LIST, .name = "plugin_dirs", .index = 3,
              .doc =
                  "Directories with modules, in order of precedence: if two modules provide the same "
                  "plugin, the first is used, as with PATH. Each directory and all its parents must be owned "
                  "by root or the daemon's user and writable by nobody else.",
              .items = FIELD(.kind = SCHEMA_PATH)),
        FIELD(.kind = SCHEMA_LIST, .name = "imports", .index = 4,
              .doc = "Files merged into this one, in order; later values win. File names or patterns such as "
                     "conf.d/*.yaml, relative to the importing file.",
              .default_ = EMPTY(CONFIG_LIST), STRINGS),
        FIELD(.kind = SCHEMA_LIST, .name = "required_plugins", .index = 5,
              .doc = "URIs of plugins without which the daemon does not start.",
              .default_ = EMPTY(CONFIG_LIST), STRINGS),
        FIELD(.kind = SCHEMA_LIST, .name = "disabled_plugins", .index = 6,
              .doc = "URIs of plugins that are not loaded.", .default_ = EMPTY(CONFIG_LIST), STRINGS),
        FIELD(.kind = SCHEMA_MAP, .name = "transports", .index = 7,
              .doc = "Additional transports per service, beyond those its plugin names. A network transport "
                     "makes the service reachable from the network.",
              .default_ = EMPTY(CONFIG_MAP),
              .items = FIELD(.kind = SCHEMA_LIST,
                             .items = FIELD(.kind = SCHEMA_STRING, .pattern = "[a-z][a-z0-9-]{0,30}"))),
        FIELD(.kind = SCHEMA_MAP, .name = "services", .index = 8,
              .doc = "The plugin that exports a service, by URI, where several could.",
              .default_ = EMPTY(CONFIG_MAP), STRINGS),
        FIELD(.kind = SCHEMA_OBJECT, .name = "log", .index = 9, .doc = "Logging to standard error.",
              FIELDS(FIELD(.kind = SCHEMA_ENUM, .name = "level", .index = 0,
                           .doc = "Least severe level that is logged.", .default_ = WORD("info"),
                           CHOICES("error", "warn", "info", "debug")),
                     FIELD(.kind = SCHEMA_ENUM, .name = "format", .index = 1,
                           .doc = "auto: text, without timestamps if the journal reads it.",
                           .default_ = WORD("auto"), CHOICES("auto", "text", "json")))),
        FIELD(.kind = SCHEMA_OBJECT, .name = "timeouts", .index = 10,
              .doc = "Deadline of each step in a plugin's life.",
              FIELDS(
                  TIMEOUT(0, "prepare", .doc = "Blocking work before init, on a thread.",
                          .default_ = WORD("30s")),
                  TIMEOUT(1, "init", .doc = "Creating the instance.", .default_ = WORD("10s")),
                  TIMEOUT(2, "serve", .doc = "Starting to listen.", .default_ = WORD("10s")),
                  TIMEOUT(3, "drain", .doc = "Finishing calls in flight.", .default_ = WORD("10s")),
                  TIMEOUT(4, "close", .doc = "Releasing everything.", .default_ = WORD("5s")),
                  FIELD(.kind = SCHEMA_MAP, .name = "plugins", .index = 5,
                        .doc = "Overrides for single plugins, by URI.", .default_ = EMPTY(CONFIG_MAP),
                        .items = FIELD(.kind = SCHEMA_OBJECT,
                                       FIELDS(TIMEOUT(0, "prepare"), TIMEOUT(1, "init"), TIMEOUT(2, "serve"),
                                              TIMEOUT(3, "drain"), TIMEOUT(4, "close")))))),
        FIELD(.kind = SCHEMA_INT, .name = "prepare_threads", .index = 11,
              .doc = "Maximum number of plugins in prepare at once, each on its own thread.",
              .default_ = WORD("4"), .has_min = true, .min = 1, .has_max = true, .max = 64),
        FIELD(.kind = SCHEMA_OBJECT, .name = "loop", .index = 12,
              .doc = "Limits on how long plugins may block the event loop, which all of them share.",
              FIELDS(
                  LIMIT(
                      0, "warn_after",
                      .doc =
                          "Log a call into a plugin that takes longer than this, when it returns; 0s: never.",
                      .default_ = WORD("200ms")),
                  LIMIT(1, "stall_after",
                        .doc = "Log which plugin blocks the loop once the loop has been stuck for this long; "
                               "0s: never.",
                        .default_ = WORD("2s")),
                  LIMIT(2, "abort_after",
                        .doc =
                            "Abort with a core dump once the loop has been stuck for this long; 0s: never.",
                        .default_ = WORD("0s")))),
        FIELD(.kind = SCHEMA_OBJECT, .name = "on_crash", .index = 13,
              .doc = "What happens to a plugin that kills the daemon.",
              FIELDS(FIELD(.kind = SCHEMA_INT, .name = "quarantine_after", .index = 0,
                           .doc = "Stop loading a plugin once it has killed the daemon this often; 0: never. "
                                  "`berthd quarantine clear` lifts it.",
                           .default_ = WORD("3"), .has_min = true, .min = 0, .has_max = true, .max = 100),
                     FIELD(.kind = SCHEMA_DURATION, .name = "within", .index = 1,
                           .doc = "The time within which these count.", .default_ = WORD("10m"),
                           .has_min = true, .min = INT64_C(1000000000), .has_max = true,
                           .max = INT64_C(31536000000000000)),
                     FIELD(.kind = SCHEMA_BOOL, .name = "required", .index = 2,
                           .doc = "Quarantine required plugins too; the daemon then does not start.",
                           .default_ = WORD("false")))),
        FIELD(.kind = SCHEMA_OBJECT, .name = "upgrade", .index = 14,
              .doc = "Limits on replacing plugins of a running daemon.",
              FIELDS(
                  TIMEOUT(
                      0, "drain",
                      .doc =
                          "Maximum time to wait for calls of the old plugin; then the upgrade is abandoned.",
                      .default_ = WORD("30s")),
                  FIELD(.kind = SCHEMA_BYTES, .name = "max_resident", .index = 1,
                        .doc = "Maximum memory of replaced modules that cannot be unloaded; an upgrade that "
                               "would exceed it is refused until a restart. 0: unlimited.",
                        .default_ = WORD("64MiB"), .has_min = true, .min = 0, .has_max = true,
                        .max = INT64_C(1) << 40))),
        FIELD(.kind = SCHEMA_MAP, .name = "isolation", .index = 15,
              .doc =
                  "Plugins to run in sandboxed processes of their own, by URI. A crash then affects only the "
                  "plugin's own calls.",
              .default_ = EMPTY(CONFIG_MAP), .items = &settings_isolation_schema),
        FIELD(.kind = SCHEMA_OBJECT, .name = "trust", .index = 16,
              .doc =
                  "Which modules may run. A signature that is present must be valid, whatever require says.",
              FIELDS(
                  FIELD(.kind = SCHEMA_ENUM, .name = "require", .index = 0,
                        .doc = "owner: files and folders must be owned by root or the daemon's user and "
                               "writable by nobody else. signature: a signature by one of the keys as well. "
                               "none: whoever can write to a plugin directory controls the daemon; for "
                               "development only.",
                        .default_ = WORD("owner"), CHOICES("none", "owner", "signature")),
                  FIELD(.kind = SCHEMA_LIST, .name = "keys", .index = 1,
                        .doc = "Public keys in minisign's format: files, or patterns such as "
                               "/etc/berth/trusted/*.pub. Owner and mode must be as for modules.",
                        .default_ = TRUSTED_KEYS, .items = FIELD(.kind = SCHEMA_PATH)),
                  FIELD(.kind = SCHEMA_MAP, .name = "minimum", .index = 2,
                        .doc = "Minimum version per module; older ones are rejected.",
                        .default_ = EMPTY(CONFIG_MAP), STRINGS),
                  FIELD(.kind = SCHEMA_LIST, .name = "revoked", .index = 3,
                        .doc = "Key ids, and SHA-256 hashes of files, that are rejected.",
                        .default_ = EMPTY(CONFIG_LIST), STRINGS))),
        FIELD(.kind = SCHEMA_PATH, .name = "lock", .index = 17,
              .doc = "Lock file, written by `berthd plan --lock`: modules that it does not list, or that "
                     "differ from it, are rejected. Unset: no lock."),
        FIELD(.kind = SCHEMA_MAP, .name = SETTINGS_MADE, .index = 18,
              .doc = "gRPC servers behind sockets, as plugins, by name.", .default_ = EMPTY(CONFIG_MAP),
              .items = FIELD(.kind = SCHEMA_OBJECT)),
        FIELD(.kind = SCHEMA_BOOL, .name = "watch", .index = 19,
              .doc =
                  "Reload when the configuration or a plugin directory changes, once it has been quiet for "
                  "a second.",
              .default_ = WORD("false")),
        FIELD(.kind = SCHEMA_MAP, .name = "plugins", .index = 20, .items = FIELD(.kind = SCHEMA_OBJECT)),
        FIELD(.kind = SCHEMA_MAP, .name = "system_call_sets", .index = 21,
              .doc = "Named sets of system calls, each a list of system calls and other sets. system_calls "
                     "under "
                     "isolation refers to the set my-set as \"@my-set\".",
              .default_ = EMPTY(CONFIG_MAP),
              .items = FIELD(.kind = SCHEMA_LIST, .default_ = EMPTY(CONFIG_LIST),
                             .items = FIELD(.kind = SCHEMA_STRING, .has_min = true, .min = 1))),
        &settings_activation_schema, ),
};

/* Could it be the default of a path: absolute, and a text? */
static bool is_usable(const char *folder)
{
    return folder != NULL && folder[0] == '/' && utf8_is_line(folder);
}

static const char *home_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user;

    if (is_usable(home))
        return home;
    user = getpwuid(geteuid());
    return user != NULL && is_usable(user->pw_dir) ? user->pw_dir : "/nonexistent";
}

/* XDG Base Directory Specification 0.8: relative paths in these variables are ignored. */
static char *xdg_folder(const char *variable, const char *below_home)
{
    const char *folder = getenv(variable);

    if (is_usable(folder))
        return memory_format("%s/%s", folder, "berth");
    return below_home == NULL ? NULL : memory_format("%s/%s", home_folder(), below_home);
}

static char *find_default(const char *of_root, const char *variable, const char *below_home)
{
    return geteuid() == 0 ? memory_format("%s/%s", of_root, "berth") : xdg_folder(variable, below_home);
}

char *settings_default_path(void)
{
    char *folder = find_default(BERTH_SYSCONF_DIR, "XDG_CONFIG_HOME", ".config/berth");
    char *path = memory_format("%s/%s", folder, "berthd.yaml");

    free(folder);
    return path;
}

/* Default directories of this user (XDG base directories) or of root; malloced. */
static char *default_root(void)
{
    return find_default("/var/lib", "XDG_DATA_HOME", ".local/share/berth");
}

static char *default_state(void)
{
    char *state = find_default("/run", "XDG_RUNTIME_DIR", NULL), *root;

    if (state != NULL)
        return state;
    root = default_root();
    state = memory_format("%s/%s", root, "run");
    free(root);
    return state;
}

/* The user's own plugins, in addition to those of the system; NULL if there is no such directory. */
static char *user_plugins(void)
{
    char *folder = geteuid() == 0 ? NULL : memory_format("%s/%s", home_folder(), ".local/lib/berth/plugins");

    if (folder == NULL || access(folder, F_OK) == 0)
        return folder;
    free(folder);
    return NULL;
}

static struct config_tree *load_tree(const struct settings_options *options,
                                     struct config_diagnostics *diagnostics, bool *ret_is_complete)
{
    char *path;
    struct config_tree *tree;

    if (options->path != NULL)
        return config_load(options->path, false, diagnostics, ret_is_complete);
    path = settings_default_path();
    tree = config_load(path, true, diagnostics, ret_is_complete);
    free(path);
    return tree;
}

static struct config_node *find_or_make_root(struct config_tree *tree)
{
    struct config_mark nowhere = {.file = NULL};

    if (config_tree_root(tree) == NULL)
        config_tree_set_root(tree, config_tree_add_node(tree, CONFIG_MAP, nowhere));
    return config_tree_root(tree);
}

/* `origin` is the option of the command line that gives the value, NULL for a default. */
static struct config_node *make_scalar(struct config_tree *tree, const char *origin, const char *text)
{
    return config_tree_add_scalar(tree, text, (struct config_mark){.file = origin});
}

static void override_in(struct config_tree *tree, struct config_node *map, const char *key,
                        struct config_node *node)
{
    config_node_take(map, key);
    node->key = key;
    node->key_mark = node->mark;
    config_node_append(tree, map, node);
}

static void override(struct config_tree *tree, const char *key, struct config_node *node)
{
    override_in(tree, config_tree_root(tree), key, node);
}

/* The defaults that depend on the user. A list without a value counts as missing. */
static void add_defaults(struct config_tree *tree)
{
    struct config_node *root = config_tree_root(tree), *list = config_node_find(root, "plugin_dirs");
    char *folder;

    if (config_node_find(root, "root") == NULL) {
        folder = default_root();
        override(tree, "root", make_scalar(tree, NULL, folder));
        free(folder);
    }
    if (config_node_find(root, "state") == NULL) {
        folder = default_state();
        override(tree, "state", make_scalar(tree, NULL, folder));
        free(folder);
    }
    if (list != NULL && !config_node_is_empty(list))
        return;
    list = config_tree_add_node(tree, CONFIG_LIST, (struct config_mark){.file = NULL});
    folder = user_plugins();
    if (folder != NULL)
        config_node_append(tree, list, make_scalar(tree, NULL, folder));
    free(folder);
    config_node_append(tree, list, make_scalar(tree, NULL, BERTH_PLUGIN_DIR));
    override(tree, "plugin_dirs", list);
}

/* A `log` that is not a map is left to the code that reports it. */
static void override_log_level(struct config_tree *tree, const char *level)
{
    struct config_node *log = config_node_find(config_tree_root(tree), "log");

    if (log == NULL || config_node_is_empty(log)) {
        log = config_tree_add_node(tree, CONFIG_MAP, (struct config_mark){.file = "--log-level"});
        override(tree, "log", log);
    }
    if (log->kind == CONFIG_MAP)
        override_in(tree, log, "level", make_scalar(tree, "--log-level", level));
}

static void apply_options(struct config_tree *tree, const struct settings_options *options)
{
    struct config_node *list;

    if (options->root != NULL)
        override(tree, "root", make_scalar(tree, "--root", options->root));
    if (options->state != NULL)
        override(tree, "state", make_scalar(tree, "--state", options->state));
    if (options->log_level != NULL)
        override_log_level(tree, options->log_level);
    if (options->plugin_dir_count == 0)
        return;
    list = config_tree_add_node(tree, CONFIG_LIST, (struct config_mark){.file = "--plugin-dir"});
    for (size_t i = 0; i < options->plugin_dir_count; i++)
        config_node_append(tree, list, make_scalar(tree, "--plugin-dir", options->plugin_dirs[i]));
    override(tree, "plugin_dirs", list);
}

/* Their schemas are not known before the plugin directories are scanned. */
static void take_plugins(struct settings_store *store, struct config_diagnostics *diagnostics)
{
    struct config_node *plugins = config_node_take(config_tree_root(store->tree), "plugins");

    if (plugins == NULL || config_node_is_empty(plugins))
        return;
    if (plugins->kind == CONFIG_MAP)
        store->plugins = plugins;
    else
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &plugins->mark,
                               "plugins: expected a map of plugin URIs to settings");
}

/* The same for the plugins that they declare. */
static void take_made(struct settings_store *store, struct config_diagnostics *diagnostics)
{
    struct config_node *made = config_node_take(config_tree_root(store->tree), SETTINGS_MADE);

    if (made == NULL || config_node_is_empty(made))
        return;
    if (made->kind == CONFIG_MAP)
        store->made = made;
    else
        config_diagnostics_add(diagnostics, CONFIG_ERROR, &made->mark,
                               SETTINGS_MADE ": expected a map of names to settings");
}

/* The version is often mistaken for the daemon's, or that of another program's file. */
static void check_version(struct settings_store *store, struct config_diagnostics *diagnostics)
{
    const struct config_node *node = config_node_find(config_tree_root(store->tree), "version");

    if (node == NULL || node->kind != CONFIG_SCALAR || strspn(node->text, "0123456789") != node->length ||
        node->length == 0 || strcmp(node->text, "1") == 0)
        return;
    config_diagnostics_add(diagnostics, CONFIG_ERROR, &node->mark,
                           "version: %.20s is not supported; this is the version of the file format, and "
                           "this berthd reads version 1",
                           node->text);
    config_node_take(config_tree_root(store->tree), "version");
}

static const struct berth_value *find(const struct settings *settings, const struct berth_value *map,
                                      const char *key)
{
    return config_values_settings(settings->store->values)->find(map, key);
}

static const struct berth_value *find_top(const struct settings *settings, const char *key)
{
    return find(settings, config_values_root(settings->store->values), key);
}

static void fill_directories(struct settings *settings)
{
    const struct berth_value *list = find_top(settings, "plugin_dirs");
    struct berth_arena *arena = &settings->store->arena;
    const char **directories = config_arena_allocate(arena, list->count * sizeof(*directories));
    struct config_mark *marks = config_arena_allocate(arena, list->count * sizeof(*marks));

    for (size_t i = 0; i < list->count; i++) {
        directories[i] = list->items[i]->string;
        marks[i] = list->items[i]->mark;
    }
    settings->plugin_dirs = directories;
    settings->plugin_dir_marks = marks;
    settings->plugin_dir_count = list->count;
}

static void fill_files(struct settings *settings)
{
    const struct config_node *list = config_tree_files(settings->store->tree);
    size_t count = list == NULL ? 0 : list->count;
    const char **files = config_arena_allocate(&settings->store->arena, count * sizeof(*files));

    for (size_t i = 0; i < count; i++)
        files[i] = list->items[i]->text;
    settings->files = files;
    settings->file_count = count;
}

static const struct settings_uri *copy_uris(struct settings *settings, const char *key, size_t *ret_count)
{
    const struct berth_value *list = find_top(settings, key);
    struct settings_uri *uris = config_arena_allocate(&settings->store->arena, list->count * sizeof(*uris));

    for (size_t i = 0; i < list->count; i++)
        uris[i] = (struct settings_uri){list->items[i]->string, list->items[i]->mark};
    *ret_count = list->count;
    return uris;
}

static void fill_choices(struct settings *settings)
{
    const struct berth_value *map = find_top(settings, "services");
    struct settings_choice *choices =
        config_arena_allocate(&settings->store->arena, map->count * sizeof(*choices));

    for (size_t i = 0; i < map->count; i++)
        choices[i] = (struct settings_choice){map->items[i]->key, map->items[i]->string};
    settings->plan.choices = choices;
    settings->plan.choice_count = map->count;
}

static void fill_transports(struct settings *settings)
{
    const struct berth_value *map = find_top(settings, "transports");
    struct settings_transports *transports =
        config_arena_allocate(&settings->store->arena, map->count * sizeof(*transports));

    for (size_t i = 0; i < map->count; i++) {
        const struct berth_value *list = map->items[i];
        const char **names = config_arena_allocate(&settings->store->arena, list->count * sizeof(*names));

        for (size_t k = 0; k < list->count; k++)
            names[k] = list->items[k]->string;
        transports[i] = (struct settings_transports){list->key, names, list->count};
    }
    settings->plan.transports = transports;
    settings->plan.transport_count = map->count;
}

static void fill_log(struct settings *settings)
{
    const struct berth_value *log = find_top(settings, "log");
    const char *format = find(settings, log, "format")->string;

    log_level_parse(find(settings, log, "level")->string, &settings->log_level);
    if (strcmp(format, "auto") == 0)
        settings->log_format = log_format_of(2);
    else
        settings->log_format = strcmp(format, "json") == 0 ? LOG_JSON : LOG_TEXT;
}

static void read_timeout(const struct settings *settings, const struct berth_value *map, const char *key,
                         uint64_t *ret_ns)
{
    const struct berth_value *value = find(settings, map, key);

    if (value != NULL && value->kind == BERTH_VALUE_INT)
        *ret_ns = (uint64_t)value->integer;
}

/* Unset ones stay unchanged. */
static void read_timeouts(const struct settings *settings, const struct berth_value *map,
                          struct settings_timeouts *timeouts)
{
    read_timeout(settings, map, "prepare", &timeouts->prepare_ns);
    read_timeout(settings, map, "init", &timeouts->init_ns);
    read_timeout(settings, map, "serve", &timeouts->serve_ns);
    read_timeout(settings, map, "drain", &timeouts->drain_ns);
    read_timeout(settings, map, "close", &timeouts->close_ns);
}

static void fill_loop(struct settings *settings)
{
    const struct berth_value *loop = find_top(settings, "loop");

    read_timeout(settings, loop, "warn_after", &settings->loop.warn_after_ns);
    read_timeout(settings, loop, "stall_after", &settings->loop.stall_after_ns);
    read_timeout(settings, loop, "abort_after", &settings->loop.abort_after_ns);
}

static void fill_on_crash(struct settings *settings)
{
    const struct berth_value *map = find_top(settings, "on_crash");

    settings->on_crash.quarantine_after = (unsigned)find(settings, map, "quarantine_after")->integer;
    settings->on_crash.within_ns = (uint64_t)find(settings, map, "within")->integer;
    settings->on_crash.required = find(settings, map, "required")->boolean;
}

static const char *copy_directory(struct settings *settings, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL || slash == path ? 1 : (size_t)(slash - path);

    return config_arena_copy(&settings->store->arena, slash == NULL ? "." : path, length);
}

/* Where a file would be imported from: also one that does not exist yet. */
static const char *find_import_directory(struct settings *settings, const char *pattern)
{
    char *joined;
    const char *directory;

    if (pattern[0] == '/' || settings->file_count == 0)
        return copy_directory(settings, pattern);
    joined = memory_format("%s/%s", copy_directory(settings, settings->files[0]), pattern);
    directory = copy_directory(settings, joined);
    free(joined);
    return directory;
}

/* The plugin directories, and those of the files that were read or that imports may name. */
static void fill_watched(struct settings *settings)
{
    const struct berth_value *imports = find_top(settings, "imports");
    size_t most = settings->plugin_dir_count + settings->file_count + imports->count;
    const char **watched = config_arena_allocate(&settings->store->arena, most * sizeof(*watched));
    size_t count = 0;

    for (size_t i = 0; i < settings->plugin_dir_count; i++)
        watched[count++] = settings->plugin_dirs[i];
    for (size_t i = 0; i < settings->file_count; i++)
        watched[count++] = copy_directory(settings, settings->files[i]);
    for (size_t i = 0; i < imports->count; i++)
        watched[count++] = find_import_directory(settings, imports->items[i]->string);
    settings->watched = watched;
    settings->watched_count = find_top(settings, "watch")->boolean ? count : 0;
}

static void fill_upgrade(struct settings *settings)
{
    const struct berth_value *upgrade = find_top(settings, "upgrade");

    read_timeout(settings, upgrade, "drain", &settings->upgrade.drain_ns);
    settings->upgrade.max_resident_bytes = (uint64_t)find(settings, upgrade, "max_resident")->integer;
}

static const struct trust_text *copy_texts(struct settings *settings, const struct berth_value *list)
{
    struct trust_text *texts = config_arena_allocate(&settings->store->arena, list->count * sizeof(*texts));

    for (size_t i = 0; i < list->count; i++)
        texts[i] = (struct trust_text){list->items[i]->string, list->items[i]->mark};
    return texts;
}

static enum trust_require parse_require(const char *word)
{
    if (strcmp(word, "none") == 0)
        return TRUST_REQUIRE_NONE;
    return strcmp(word, "signature") == 0 ? TRUST_REQUIRE_SIGNATURE : TRUST_REQUIRE_OWNER;
}

static void fill_trust(struct settings *settings)
{
    const struct berth_value *map = find_top(settings, "trust"), *lock = find_top(settings, "lock");
    const struct berth_value *require = find(settings, map, "require"), *keys = find(settings, map, "keys");
    const struct berth_value *minimum = find(settings, map, "minimum");
    const struct berth_value *revoked = find(settings, map, "revoked");
    struct trust_minimum *minimums =
        config_arena_allocate(&settings->store->arena, minimum->count * sizeof(*minimums));

    for (size_t i = 0; i < minimum->count; i++)
        minimums[i] = (struct trust_minimum){minimum->items[i]->key,
                                             {minimum->items[i]->string, minimum->items[i]->mark}};
    settings->trust = (struct trust_options){
        .require = parse_require(require->string),
        .require_mark = require->mark,
        .keys = copy_texts(settings, keys),
        .key_count = keys->count,
        .minimums = minimums,
        .minimum_count = minimum->count,
        .revoked = copy_texts(settings, revoked),
        .revoked_count = revoked->count,
    };
    if (lock != NULL && lock->kind == BERTH_VALUE_STRING)
        settings->trust.lock = (struct trust_text){lock->string, lock->mark};
}

static void fill(struct settings *settings)
{
    settings->version = (uint32_t)find_top(settings, "version")->integer;
    settings->root = find_top(settings, "root")->string;
    settings->state = find_top(settings, "state")->string;
    settings->prepare_threads = (unsigned)find_top(settings, "prepare_threads")->integer;
    settings->required = copy_uris(settings, "required_plugins", &settings->required_count);
    settings->plan.disabled = copy_uris(settings, "disabled_plugins", &settings->plan.disabled_count);
    fill_files(settings);
    fill_directories(settings);
    fill_choices(settings);
    fill_transports(settings);
    fill_log(settings);
    fill_on_crash(settings);
    read_timeouts(settings, find_top(settings, "timeouts"), &settings->timeouts);
    fill_loop(settings);
    fill_upgrade(settings);
    fill_watched(settings);
    settings_fill_isolation(settings);
    settings_fill_activation(settings);
    fill_trust(settings);
}

static struct settings *create_empty(void)
{
    struct settings *settings = memory_allocate(1, sizeof(*settings));

    settings->store = memory_allocate(1, sizeof(*settings->store));
    return settings;
}

/* Are the plugin directories known despite errors? */
static bool directories_are_known(const struct settings *settings)
{
    const struct config_node *node = config_node_find(config_tree_root(settings->store->tree), "plugin_dirs");

    return node == NULL || (node->kind == CONFIG_LIST && node->count == settings->plugin_dir_count);
}

struct settings *settings_create(struct config_tree *tree, const struct settings_options *options,
                                 struct config_diagnostics *diagnostics)
{
    struct config_check_options check = {.lenient = options->lenient, .forgiving = true};
    struct settings *settings = create_empty();
    struct settings_store *store = settings->store;
    size_t errors = diagnostics->error_count;

    store->tree = tree;
    store->lenient = options->lenient;
    store->look_at_files = options->look_at_files;
    find_or_make_root(tree);
    apply_options(tree, options);
    add_defaults(tree);
    take_plugins(store, diagnostics);
    take_made(store, diagnostics);
    settings_expand_activation(tree);
    check_version(store, diagnostics);
    store->values = config_values_create(&settings_schema, config_tree_root(tree), &check, diagnostics);
    if (store->values != NULL)
        fill(settings);
    if (store->values != NULL)
        settings_check_calls(settings, diagnostics);
    if (store->values != NULL &&
        (diagnostics->error_count == errors || (options->keep_going && directories_are_known(settings))))
        return settings;
    settings_destroy(settings);
    return NULL;
}

struct settings *settings_load(const struct settings_options *options, struct config_diagnostics *diagnostics)
{
    bool is_complete;
    struct config_tree *tree = load_tree(options, diagnostics, &is_complete);
    struct settings *settings = tree == NULL ? NULL : settings_create(tree, options, diagnostics);

    if (settings == NULL || is_complete)
        return settings;
    if (options->keep_going) {
        settings->store->is_incomplete = true;
        return settings;
    }
    settings_destroy(settings);
    return NULL;
}

void settings_destroy(struct settings *settings)
{
    struct settings_store *store;

    if (settings == NULL)
        return;
    store = settings->store;
    for (size_t i = 0; i < store->section_count; i++)
        config_values_destroy(store->sections[i].values);
    former_finish(&store->parts);
    config_values_destroy(store->values);
    config_tree_destroy(store->tree);
    berth_arena_finish(&store->arena);
    free(store);
    free(settings);
}

void settings_make_plugins(const struct settings *settings, struct catalog *catalog, bool files_rejected,
                           struct config_diagnostics *diagnostics)
{
    catalog_make(catalog, SETTINGS_MADE, settings->store->made, files_rejected, diagnostics);
}

struct settings_timeouts settings_timeouts_of(const struct settings *settings, const char *uri)
{
    struct settings_timeouts timeouts = settings->timeouts;
    const struct berth_value *plugins = find(settings, find_top(settings, "timeouts"), "plugins");
    const struct berth_value *own = find(settings, plugins, uri);

    if (own != NULL)
        read_timeouts(settings, own, &timeouts);
    return timeouts;
}
