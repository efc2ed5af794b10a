/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of the daemon's own settings, and the directories that are their defaults. */
#include "store.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config/utf8.h>

/* A field's place in FIELDS is its `index`. */
#define FIELD(...)                                                                                           \
    &(const struct schema)                                                                                   \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }
#define FIELDS(...)                                                                                          \
    .fields = (const struct schema *const[]){__VA_ARGS__},                                                   \
    .field_count = sizeof((const struct schema *const[]){__VA_ARGS__}) / sizeof(const struct schema *)
#define WORD(literal)                                                                                        \
    &(const struct config_node)                                                                              \
    {                                                                                                        \
        .kind = CONFIG_SCALAR, .text = literal, .length = sizeof(literal) - 1, .plain = true                 \
    }
#define EMPTY(node_kind)                                                                                     \
    &(const struct config_node)                                                                              \
    {                                                                                                        \
        .kind = (node_kind)                                                                                  \
    }
#define CHOICES(...)                                                                                         \
    .choices = (const char *const[]){__VA_ARGS__},                                                           \
    .choice_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)
#define STRINGS .items = FIELD(.kind = SCHEMA_STRING)
#define TIMEOUT(place, ...)                                                                                  \
    FIELD(.kind = SCHEMA_DURATION, .index = place, .has_min = true, .min = 1000000, .has_max = true,         \
          .max = INT64_C(86400000000000), .name = __VA_ARGS__)

const struct schema settings_schema = {
    .kind = SCHEMA_OBJECT,
    FIELDS(
        FIELD(.kind = SCHEMA_INT, .name = "version", .index = 0, .doc = "Version of this file's format.",
              .default_ = WORD("1"), .has_min = true, .min = 1, .has_max = true, .max = 1),
        FIELD(.kind = SCHEMA_PATH, .name = "root", .index = 1,
              .doc = "Persistent data of plugins; one directory per plugin."),
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
        FIELD(.kind = SCHEMA_MAP, .name = "plugins", .index = 12, .items = FIELD(.kind = SCHEMA_OBJECT)), ),
};

static char *join(const char *folder, const char *rest)
{
    char *path;

    if (asprintf(&path, "%s/%s", folder, rest) < 0)
        abort();
    return path;
}

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
        return join(folder, "berth");
    return below_home == NULL ? NULL : join(home_folder(), below_home);
}

static char *find_default(const char *of_root, const char *variable, const char *below_home)
{
    return geteuid() == 0 ? join(of_root, "berth") : xdg_folder(variable, below_home);
}

char *settings_default_path(void)
{
    char *folder = find_default(BERTH_SYSCONF_DIR, "XDG_CONFIG_HOME", ".config/berth");
    char *path = join(folder, "berthd.yaml");

    free(folder);
    return path;
}

char *settings_default_root(void)
{
    return find_default("/var/lib", "XDG_DATA_HOME", ".local/share/berth");
}

char *settings_default_state(void)
{
    char *state = find_default("/run", "XDG_RUNTIME_DIR", NULL), *root;

    if (state != NULL)
        return state;
    root = settings_default_root();
    state = join(root, "run");
    free(root);
    return state;
}

char *settings_user_plugins(void)
{
    char *folder = geteuid() == 0 ? NULL : join(home_folder(), ".local/lib/berth/plugins");

    if (folder == NULL || access(folder, F_OK) == 0)
        return folder;
    free(folder);
    return NULL;
}
