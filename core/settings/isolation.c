/* SPDX-License-Identifier: Apache-2.0 */
/* Which plugins run in processes of their own, what these may do, and what follows when one ends. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include <config/schema/literal.h>

#include <core/sandbox/sandbox.h>

#include <sdk/base/memory.h>

#define PATHS .kind = SCHEMA_LIST, .default_ = EMPTY(CONFIG_LIST), .items = FIELD(.kind = SCHEMA_PATH)
#define PORTS                                                                                                \
    .kind = SCHEMA_LIST, .default_ = EMPTY(CONFIG_LIST),                                                     \
    .items = FIELD(.kind = SCHEMA_INT, .has_min = true, .min = 1, .has_max = true, .max = 65535)
#define DAY_NS INT64_C(86400000000000)

/* In the order of enum settings_network and enum settings_restart. */
static const char *const networks[] = {"none", "unix", "tcp", "all"};
static const char *const restarts[] = {"on-failure", "always", "no"};

const struct schema settings_isolation_schema = {
    .kind = SCHEMA_OBJECT,
    FIELDS(
        FIELD(.kind = SCHEMA_STRING, .name = "user", .index = 0,
              .doc = "User to run as; unset: the daemon's. Requires CAP_SETUID, CAP_SETGID, CAP_KILL, "
                     "CAP_CHOWN and "
                     "CAP_DAC_READ_SEARCH, which root has.",
              .has_min = true, .min = 1),
        FIELD(.kind = SCHEMA_STRING, .name = "group", .index = 1,
              .doc = "Group to run as; unset: that of the user.", .has_min = true, .min = 1),
        FIELD(.kind = SCHEMA_BYTES, .name = "memory", .index = 2,
              .doc = "Maximum private memory; beyond it, allocations fail. With a delegated control group, "
                     "maximum memory of all kinds and processes; beyond it, the kernel kills the process. 0: "
                     "unlimited.",
              .default_ = WORD("0"), .has_min = true, .min = 0, .has_max = true, .max = INT64_C(1) << 50),
        FIELD(.kind = SCHEMA_INT, .name = "tasks", .index = 3,
              .doc = "Maximum number of threads and processes. Without a delegated control group, counted "
                     "for the user, which must not be root. 0: unlimited.",
              .default_ = WORD("0"), .has_min = true, .min = 0, .has_max = true, .max = 1000000),
        FIELD(.kind = SCHEMA_OBJECT, .name = "files", .index = 4,
              .doc = "Files and directories that can be used, including everything below them. The system's "
                     "libraries, "
                     "the module's directory, the plugin's own directories and its settings of type path are "
                     "added.",
              FIELDS(FIELD(PATHS, .name = "read", .index = 0, .doc = "To read."),
                     FIELD(PATHS, .name = "write", .index = 1, .doc = "To read and write."))),
        FIELD(.kind = SCHEMA_ENUM, .name = "network", .index = 5,
              .doc =
                  "Sockets that can be opened: none; unix; tcp, on the ports under connect and bind, besides "
                  "unix; or all.",
              .default_ = WORD("none"), CHOICES("none", "unix", "tcp", "all")),
        FIELD(PORTS, .name = "connect", .index = 6, .doc = "TCP ports to connect to, with network: tcp."),
        FIELD(PORTS, .name = "bind", .index = 7, .doc = "TCP ports to listen on, with network: tcp."),
        FIELD(.kind = SCHEMA_BOOL, .name = "processes", .index = 8,
              .doc = "Allow child processes. Other programs cannot be run.", .default_ = WORD("false")),
        FIELD(.kind = SCHEMA_BOOL, .name = "required", .index = 9,
              .doc = "Do not start the plugin if the kernel cannot enforce all of this.",
              .default_ = WORD("false")),
        FIELD(.kind = SCHEMA_ENUM, .name = "restart", .index = 10,
              .doc = "When to restart the process: on-failure (a signal, an exit code other than 0, a "
                     "stall), always or no.",
              .default_ = WORD("on-failure"), CHOICES("on-failure", "always", "no")),
        FIELD(.kind = SCHEMA_DURATION, .name = "restart_delay", .index = 11,
              .doc = "Delay before a restart; doubles with each consecutive one, up to 30s.",
              .default_ = WORD("10ms"), .has_min = true, .min = 0, .has_max = true, .max = DAY_NS),
        FIELD(.kind = SCHEMA_INT, .name = "start_limit", .index = 12,
              .doc =
                  "Maximum restarts within start_limit_interval; beyond it, the plugin fails. 0: unlimited.",
              .default_ = WORD("5"), .has_min = true, .min = 0, .has_max = true, .max = 1000000),
        FIELD(.kind = SCHEMA_DURATION, .name = "start_limit_interval", .index = 13,
              .doc = "Interval in which restarts are counted.", .default_ = WORD("10s"), .has_min = true,
              .min = INT64_C(1000000), .has_max = true, .max = DAY_NS),
        FIELD(.kind = SCHEMA_DURATION, .name = "stall_after", .index = 14,
              .doc = "Time without an answer from the process's loop, after which it is killed and "
                     "restarted, while it has "
                     "work; 0s: never.",
              .default_ = WORD("10s"), .has_min = true, .min = 0, .has_max = true, .max = DAY_NS),
        FIELD(.kind = SCHEMA_LIST, .name = "system_calls", .index = 15, .default_ = EMPTY(CONFIG_LIST),
              .doc =
                  "System calls to allow in addition to those that ordinary libraries need: names, and sets "
                  "such as \"@priority\".",
              .items = FIELD(.kind = SCHEMA_STRING, .has_min = true, .min = 1)),
        FIELD(.kind = SCHEMA_INT, .name = "cpu_quota", .index = 16,
              .doc = "Maximum CPU time, in percent of one CPU: 50 is half of one, 200 is two. Requires a "
                     "delegated control group. 0: unlimited.",
              .default_ = WORD("0"), .has_min = true, .min = 0, .has_max = true, .max = 1000000),
        FIELD(.kind = SCHEMA_STRING, .name = "worker", .index = 17,
              .doc = "Name of the process to run in: plugins with the same name share one, of whatever "
                     "modules. Unset: plugins of one module share one. Sharing plugins must agree on all "
                     "settings here but files, connect, bind and system_calls, which are added up.",
              .has_min = true, .min = 1, .has_max = true, .max = 64)),
};

const char *settings_network_name(enum settings_network network)
{
    return networks[network];
}

const char *settings_restart_name(enum settings_restart restart)
{
    return restarts[restart];
}

static int find_word(const char *const *words, size_t count, const char *word)
{
    size_t i = 0;

    while (i + 1 < count && strcmp(words[i], word) != 0)
        i++;
    return (int)i;
}

#define FIND_WORD(words, word) find_word(words, sizeof(words) / sizeof(words[0]), word)

struct reading {
    struct settings *settings;
    const struct berth_settings *view;
};

static const struct berth_value *get(const struct reading *reading, const struct berth_value *map,
                                     const char *key)
{
    return reading->view->find(map, key);
}

static uint64_t get_integer(const struct reading *reading, const struct berth_value *map, const char *key)
{
    return (uint64_t)reading->view->integer(get(reading, map, key));
}

static const char *const *get_paths(const struct reading *reading, const struct berth_value *map,
                                    const char *key, size_t *ret_count)
{
    const struct berth_value *list = get(reading, map, key);
    size_t count = reading->view->count(list);
    const char **paths =
        config_arena_allocate(&reading->settings->store->arena, (count + 1) * sizeof(*paths));

    for (size_t i = 0; i < count; i++)
        paths[i] = reading->view->string(reading->view->at(list, i, NULL));
    *ret_count = count;
    return paths;
}

static const uint16_t *get_ports(const struct reading *reading, const struct berth_value *map,
                                 const char *key, size_t *ret_count)
{
    const struct berth_value *list = get(reading, map, key);
    size_t count = reading->view->count(list);
    uint16_t *ports = config_arena_allocate(&reading->settings->store->arena, (count + 1) * sizeof(*ports));

    for (size_t i = 0; i < count; i++)
        ports[i] = (uint16_t)reading->view->integer(reading->view->at(list, i, NULL));
    *ret_count = count;
    return ports;
}

/* Sets within sets, and system calls of one plugin. */
#define SET_DEPTH_MAX 8
#define CALLS_MAX 512

struct calls {
    const char *names[CALLS_MAX];
    size_t count;
};

/* A set of the configuration stands for what it lists; any other name for itself. What is too many or goes in
 * circles is left out. */
static void add_calls(const struct reading *reading, const struct berth_value *list, unsigned depth,
                      struct calls *calls)
{
    const struct berth_value *sets =
        get(reading, config_values_root(reading->settings->store->values), "system_call_sets");

    for (size_t i = 0; i < reading->view->count(list); i++) {
        const char *name = reading->view->string(reading->view->at(list, i, NULL));
        const struct berth_value *set = name[0] == '@' ? get(reading, sets, name + 1) : NULL;
        size_t known = 0;

        if (set != NULL) {
            if (depth < SET_DEPTH_MAX)
                add_calls(reading, set, depth + 1, calls);
            continue;
        }
        while (known < calls->count && strcmp(calls->names[known], name) != 0)
            known++;
        if (known == calls->count && calls->count < CALLS_MAX)
            calls->names[calls->count++] = name;
    }
}

static const char *const *get_calls(const struct reading *reading, const struct berth_value *map,
                                    size_t *ret_count)
{
    struct calls calls = {.count = 0};
    const char **names;

    add_calls(reading, get(reading, map, "system_calls"), 0, &calls);
    names = config_arena_allocate(&reading->settings->store->arena, (calls.count + 1) * sizeof(*names));
    for (size_t i = 0; i < calls.count; i++)
        names[i] = calls.names[i];
    *ret_count = calls.count;
    return names;
}

/* Names that may be meant: those of the system, then "@NAME" of each set of the configuration. */
struct known_calls {
    const char **names;
    size_t count, of_system;
};

static struct known_calls list_known(const struct reading *reading, const struct berth_value *sets)
{
    size_t own = reading->view->count(sets);
    struct known_calls known = {.count = calls_count(), .of_system = calls_count()};

    known.names = memory_allocate(known.count + own, sizeof(*known.names));
    calls_list(known.names);
    for (size_t i = 0; i < own; i++) {
        const char *name;

        reading->view->at(sets, i, &name);
        known.names[known.count++] = memory_format("@%s", name);
    }
    return known;
}

static void forget_known(struct known_calls *known)
{
    for (size_t i = known->of_system; i < known->count; i++)
        free((void *)(uintptr_t)known->names[i]);
    free(known->names);
}

/* Names of a built-in set that this architecture lacks are no error: it is one set for all. */
static void check_calls(const struct reading *reading, const struct known_calls *known, const char *where,
                        const struct berth_value *list, struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; list != NULL && i < reading->view->count(list); i++) {
        const struct berth_value *item = reading->view->at(list, i, NULL);
        const char *name = reading->view->string(item);
        size_t at = 0;

        while (at < known->count && strcmp(known->names[at], name) != 0)
            at++;
        if (at == known->count && diagnostics->count < CONFIG_DIAGNOSTICS_MAX)
            config_diagnostics_add(
                diagnostics, CONFIG_ERROR, &item->mark,
                "%s: \"%.100s\" is neither a system call of this architecture nor a set of "
                "them%s",
                where, name, config_hint(name, known->names, known->count).text);
    }
}

static bool has_calls(const struct reading *reading, const struct berth_value *map)
{
    for (size_t i = 0; i < reading->view->count(map); i++) {
        const struct berth_value *one = reading->view->at(map, i, NULL);

        if (reading->view->kind(one) == BERTH_VALUE_MAP &&
            reading->view->count(get(reading, one, "system_calls")) > 0)
            return true;
    }
    return false;
}

void settings_check_calls(const struct settings *settings, struct config_diagnostics *diagnostics)
{
    const struct reading reading = {(struct settings *)(uintptr_t)settings,
                                    config_values_settings(settings->store->values)};
    const struct berth_value *root = config_values_root(settings->store->values);
    const struct berth_value *sets = get(&reading, root, "system_call_sets");
    const struct berth_value *map = get(&reading, root, "isolation");
    struct known_calls known;

    if (reading.view->count(sets) == 0 && !has_calls(&reading, map))
        return;
    known = list_known(&reading, sets);
    for (size_t i = 0; i < reading.view->count(sets); i++)
        check_calls(&reading, &known, "system_call_sets", reading.view->at(sets, i, NULL), diagnostics);
    for (size_t i = 0; i < reading.view->count(map); i++) {
        const struct berth_value *one = reading.view->at(map, i, NULL);

        if (reading.view->kind(one) == BERTH_VALUE_MAP)
            check_calls(&reading, &known, "system_calls", get(&reading, one, "system_calls"), diagnostics);
    }
    forget_known(&known);
}

static void read_one(const struct reading *reading, const struct berth_value *map,
                     struct settings_isolation *isolation)
{
    const struct berth_value *files = get(reading, map, "files");

    isolation->mark = map->mark;
    isolation->worker = reading->view->string(get(reading, map, "worker"));
    isolation->user = reading->view->string(get(reading, map, "user"));
    isolation->group = reading->view->string(get(reading, map, "group"));
    isolation->memory_bytes = get_integer(reading, map, "memory");
    isolation->tasks = (uint32_t)get_integer(reading, map, "tasks");
    isolation->cpu_percent = (uint32_t)get_integer(reading, map, "cpu_quota");
    isolation->read = get_paths(reading, files, "read", &isolation->read_count);
    isolation->write = get_paths(reading, files, "write", &isolation->write_count);
    isolation->network =
        (enum settings_network)FIND_WORD(networks, reading->view->string(get(reading, map, "network")));
    isolation->connect = get_ports(reading, map, "connect", &isolation->connect_count);
    isolation->bind = get_ports(reading, map, "bind", &isolation->bind_count);
    isolation->processes = reading->view->boolean(get(reading, map, "processes"));
    isolation->required = reading->view->boolean(get(reading, map, "required"));
    isolation->system_calls = get_calls(reading, map, &isolation->system_call_count);
    isolation->restart =
        (enum settings_restart)FIND_WORD(restarts, reading->view->string(get(reading, map, "restart")));
    isolation->restart_delay_ns = get_integer(reading, map, "restart_delay");
    isolation->start_limit = (uint32_t)get_integer(reading, map, "start_limit");
    isolation->start_limit_interval_ns = get_integer(reading, map, "start_limit_interval");
    isolation->stall_after_ns = get_integer(reading, map, "stall_after");
}

void settings_fill_isolation(struct settings *settings)
{
    const struct reading reading = {settings, config_values_settings(settings->store->values)};
    const struct berth_value *map = get(&reading, config_values_root(settings->store->values), "isolation");
    size_t count = reading.view->count(map);
    struct settings_isolation *isolation =
        config_arena_allocate(&settings->store->arena, (count + 1) * sizeof(*isolation));

    for (size_t i = 0; i < count; i++) {
        const char *uri;
        const struct berth_value *one = reading.view->at(map, i, &uri);

        /* One may be wrong where errors are forgiven. */
        if (reading.view->kind(one) != BERTH_VALUE_MAP)
            continue;
        isolation[settings->plan.isolation_count].uri = uri;
        read_one(&reading, one, &isolation[settings->plan.isolation_count++]);
    }
    settings->plan.isolation = isolation;
}

const struct settings_isolation *settings_find_isolation(const struct settings *settings, const char *uri)
{
    for (size_t i = 0; i < settings->plan.isolation_count; i++)
        if (strcmp(settings->plan.isolation[i].uri, uri) == 0)
            return &settings->plan.isolation[i];
    return NULL;
}
