/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker is confined to: what the operator says of its plugins, their own folders, and the paths in
 * their settings. */
#include "confinement.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <config/schema/value.h>

#include <core/scan/scan.h>

#include <sdk/base/memory.h>

#include "ownership.h"

static_assert((int)SETTINGS_NETWORK_ALL == (int)SANDBOX_NETWORK_ALL, "both have the same networks");

/* A list under `read`, `write` or `system_calls` while it is made. */
struct paths {
    const char **items;
    size_t count;
};

/* What several plugins list is there once. */
static void add(struct paths *paths, const char *path)
{
    for (size_t i = 0; i < paths->count; i++)
        if (strcmp(paths->items[i], path) == 0)
            return;
    paths->items = memory_grow(paths->items, paths->count, sizeof(*paths->items));
    paths->items[paths->count++] = path;
}

static const char *keep(struct confinement *confinement, char *path)
{
    confinement->paths =
        memory_grow(confinement->paths, confinement->path_count, sizeof(*confinement->paths));
    return confinement->paths[confinement->path_count++] = path;
}

static const char *keep_folder(struct confinement *confinement, char *path)
{
    confinement->folders =
        memory_grow(confinement->folders, confinement->folder_count, sizeof(*confinement->folders));
    return confinement->folders[confinement->folder_count++] = keep(confinement, path);
}

static void add_ports(const uint16_t **ports, size_t *count, const uint16_t *added, size_t added_count)
{
    for (size_t i = 0; i < added_count; i++) {
        uint16_t *larger;
        size_t k = 0;

        while (k < *count && (*ports)[k] != added[i])
            k++;
        if (k < *count)
            continue;
        larger = memory_grow((void *)(uintptr_t)*ports, *count, sizeof(*larger));
        larger[(*count)++] = added[i];
        *ports = larger;
    }
}

struct collecting {
    /* Of the plugin that is looked at. */
    const struct berth_settings *settings;
    struct paths read, write, calls;
    bool has_socket;
};

/* An operator who names a path to a plugin means it to be used. Those that do not exist are left out. */
static void add_setting(struct collecting *collecting, const struct berth_value *value)
{
    const char *path = value->string;

    if (path[0] != '/' || access(path, F_OK) != 0)
        return;
    switch (value->schema->format) {
    case CONFIG_FORMAT_DIRECTORY:
        add(&collecting->write, path);
        return;
    case CONFIG_FORMAT_SOCKET:
        collecting->has_socket = true;
        add(&collecting->write, path);
        return;
    case CONFIG_FORMAT_ANY:
    case CONFIG_FORMAT_ADDRESS:
    case CONFIG_FORMAT_HOST_PORT:
    case CONFIG_FORMAT_FILE:
        add(&collecting->read, path);
        return;
    }
}

static void collect(struct collecting *collecting, const struct berth_value *value)
{
    if (value->kind == BERTH_VALUE_STRING && value->schema != NULL && value->schema->kind == SCHEMA_PATH)
        add_setting(collecting, value);
    for (size_t i = 0; i < collecting->settings->count(value); i++)
        collect(collecting, collecting->settings->at(value, i, NULL));
}

/* To the next component of a path. */
static const char *next_name(const char *at)
{
    at += strspn(at, "/");
    while (at[0] == '.' && (at[1] == '/' || at[1] == '\0'))
        at += 1 + strspn(at + 1, "/");
    return at;
}

/* By their names: is it in this folder, or in one in it? */
static bool lies_below(const char *path, const char *folder)
{
    for (;;) {
        size_t length;

        path = next_name(path);
        folder = next_name(folder);
        length = strcspn(folder, "/");
        if (length == 0)
            return path[0] != '\0';
        if (strcspn(path, "/") != length || strncmp(path, folder, length) != 0)
            return false;
        path += length;
        folder += length;
    }
}

/*
 * What is in a folder that the plugin may write can be reached as it is. A rule of its own would follow a
 * link that an earlier process of the plugin has put there, to wherever it leads.
 */
static void leave_out_nested(struct paths *paths, const char *const *folders, size_t folder_count)
{
    size_t kept = 0;

    for (size_t i = 0; i < paths->count; i++) {
        bool is_nested = false;

        for (size_t j = 0; j < folder_count && !is_nested; j++)
            is_nested = lies_below(paths->items[i], folders[j]);
        if (!is_nested)
            paths->items[kept++] = paths->items[i];
    }
    paths->count = kept;
}

static enum berth_code find_user(const struct settings_isolation *isolation, struct sandbox_wanted *wanted,
                                 struct berth_error *err)
{
    const struct passwd *user = isolation->user != NULL ? getpwnam(isolation->user) : NULL;
    const struct group *group;

    wanted->user = geteuid();
    wanted->group = getegid();
    if (isolation->user != NULL && user == NULL)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s:%u:%u: isolation: user \"%s\" does not exist", isolation->mark.file,
                               isolation->mark.line, isolation->mark.column, isolation->user);
    if (user != NULL) {
        wanted->user = user->pw_uid;
        wanted->group = user->pw_gid;
    }
    group = isolation->group != NULL ? getgrnam(isolation->group) : NULL;
    if (isolation->group != NULL && group == NULL)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s:%u:%u: isolation: group \"%s\" does not exist", isolation->mark.file,
                               isolation->mark.line, isolation->mark.column, isolation->group);
    if (group != NULL)
        wanted->group = group->gr_gid;
    wanted->has_user = user != NULL || group != NULL;
    return BERTH_OK;
}

/* What the daemon may not look at is not judged here: the worker may be another user, or fail with a reason.
 */
static enum berth_code check_paths(const struct settings_isolation *isolation, const char *const *paths,
                                   size_t count, const char *list, struct berth_error *err)
{
    struct stat status;

    for (size_t i = 0; i < count; i++)
        if (stat(paths[i], &status) != 0 && (errno == ENOENT || errno == ENOTDIR))
            return berth_error_set(
                err, BERTH_FAILED_PRECONDITION,
                "%s:%u:%u: isolation: files.%s: %s does not exist; create it, or remove it "
                "from files.%s",
                isolation->mark.file, isolation->mark.line, isolation->mark.column, list, paths[i], list);
    return BERTH_OK;
}

enum berth_code confinement_check_files(const struct confined *confined, size_t count,
                                        struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < count && code == BERTH_OK; i++) {
        const struct settings_isolation *isolation = confined[i].isolation;

        code = check_paths(isolation, isolation->read, isolation->read_count, "read", err);
        if (code == BERTH_OK)
            code = check_paths(isolation, isolation->write, isolation->write_count, "write", err);
    }
    return code;
}

/* Sets become what they hold. Names that are unknown were errors of the configuration. */
static void list_calls(const struct settings_isolation *isolation, struct paths *calls)
{
    for (size_t i = 0; i < isolation->system_call_count; i++) {
        const char *name = isolation->system_calls[i];
        const char *const *set = name[0] == '@' ? calls_find_set(name) : NULL;

        if (set == NULL && calls_is_known(name))
            add(calls, name);
        for (; set != NULL && *set != NULL; set++)
            if (calls_is_known(*set))
                add(calls, *set);
    }
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL || slash == path ? memory_copy("/")
                                          : memory_format("%.*s", (int)(slash - path), path);
}

static void collect_one(struct confinement *confinement, struct collecting *collecting,
                        const struct confined *one, const char *root, const char *state)
{
    const struct settings_isolation *isolation = one->isolation;
    struct sandbox_wanted *wanted = &confinement->wanted;

    for (size_t i = 0; i < isolation->read_count; i++)
        add(&collecting->read, isolation->read[i]);
    for (size_t i = 0; i < isolation->write_count; i++)
        add(&collecting->write, isolation->write[i]);
    collecting->settings = one->settings;
    if (one->settings != NULL)
        collect(collecting, one->settings->root);
    add(&collecting->read, keep(confinement, folder_of(one->plugin->manifest->file->path)));
    if (one->copy != NULL)
        add(&collecting->read, keep(confinement, folder_of(one->copy)));
    add(&collecting->write, keep_folder(confinement, memory_format("%s/%s", root, one->plugin->uri)));
    add(&collecting->write, keep_folder(confinement, memory_format("%s/%s", state, one->plugin->uri)));
    add_ports(&wanted->connect_ports, &wanted->connect_port_count, isolation->connect,
              isolation->connect_count);
    add_ports(&wanted->bind_ports, &wanted->bind_port_count, isolation->bind, isolation->bind_count);
    list_calls(isolation, &collecting->calls);
}

enum berth_code confinement_init(struct confinement *confinement, const struct confined *confined,
                                 size_t count, const char *root, const char *state, struct berth_error *err)
{
    const struct settings_isolation *isolation = confined->isolation;
    struct sandbox_wanted *wanted = &confinement->wanted;
    struct collecting collecting = {.has_socket = false};
    enum berth_code code;

    *confinement = (struct confinement){0};
    code = find_user(isolation, wanted, err);
    for (size_t i = 0; i < count; i++)
        collect_one(confinement, &collecting, &confined[i], root, state);
    leave_out_nested(&collecting.write, collecting.write.items, collecting.write.count);
    leave_out_nested(&collecting.read, collecting.write.items, collecting.write.count);
    wanted->system_calls = collecting.calls.items;
    wanted->system_call_count = collecting.calls.count;
    wanted->read = collecting.read.items;
    wanted->read_count = collecting.read.count;
    wanted->write = collecting.write.items;
    wanted->write_count = collecting.write.count;
    wanted->network = (enum sandbox_network)isolation->network;
    if (collecting.has_socket && wanted->network == SANDBOX_NETWORK_NONE)
        wanted->network = SANDBOX_NETWORK_UNIX;
    /* What runs is a server behind a socket, which it has to listen on. */
    wanted->runs_program = confined->plugin->made_by != NULL;
    if (wanted->runs_program && wanted->network == SANDBOX_NETWORK_NONE)
        wanted->network = SANDBOX_NETWORK_UNIX;
    wanted->memory_bytes = isolation->memory_bytes;
    wanted->tasks = isolation->tasks;
    wanted->cpu_percent = isolation->cpu_percent;
    wanted->allows_processes = isolation->processes;
    wanted->is_required = isolation->required;
    return code;
}

/* Those that are made here are of the modules and the plugins' own folders. */
static bool is_own(const struct confinement *confinement, const char *path)
{
    for (size_t i = 0; i < confinement->path_count; i++)
        if (confinement->paths[i] == path)
            return true;
    return false;
}

static bool has_all(const struct confinement *confinement, const char *const *paths, size_t count,
                    const struct confinement *of, bool is_written)
{
    const char *const *has = is_written ? confinement->wanted.write : confinement->wanted.read;
    size_t has_count = is_written ? confinement->wanted.write_count : confinement->wanted.read_count;

    for (size_t i = 0; i < count; i++) {
        size_t k = 0;

        while (k < has_count && strcmp(has[k], paths[i]) != 0)
            k++;
        if (k == has_count && !is_own(of, paths[i]))
            return false;
    }
    return true;
}

static bool contains(const struct confinement *one, const struct confinement *other)
{
    const struct sandbox_wanted *wanted = &other->wanted;

    return has_all(one, wanted->read, wanted->read_count, other, false) &&
           has_all(one, wanted->write, wanted->write_count, other, true);
}

bool confinement_is_alike(const struct confinement *one, const struct confinement *other)
{
    return one->wanted.network == other->wanted.network && contains(one, other) && contains(other, one);
}

enum berth_code confinement_give_folders(const struct confinement *confinement, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;

    for (size_t i = 0; i < confinement->folder_count && code == BERTH_OK; i++)
        code = ownership_give(confinement->folders[i], confinement->wanted.user, confinement->wanted.group,
                              true, err);
    return code;
}

void confinement_finish(struct confinement *confinement)
{
    for (size_t i = 0; i < confinement->path_count; i++)
        free(confinement->paths[i]);
    free(confinement->paths);
    free(confinement->folders);
    free((void *)(uintptr_t)confinement->wanted.system_calls);
    free((void *)(uintptr_t)confinement->wanted.read);
    free((void *)(uintptr_t)confinement->wanted.write);
    free((void *)(uintptr_t)confinement->wanted.connect_ports);
    free((void *)(uintptr_t)confinement->wanted.bind_ports);
    *confinement = (struct confinement){0};
}

enum berth_code confinement_judge(const struct confined *confined, size_t count, const char *root,
                                  const char *state, struct sandbox_report *ret_report,
                                  struct berth_error *err)
{
    struct confinement confinement;
    struct sandbox_kernel kernel;
    enum berth_code code = confinement_init(&confinement, confined, count, root, state, err);

    if (code == BERTH_OK)
        code = confinement_check_files(confined, count, err);
    if (code == BERTH_OK) {
        sandbox_kernel_ask(&kernel);
        sandbox_judge(&confinement.wanted, &kernel, ret_report);
    }
    confinement_finish(&confinement);
    return code;
}

/* The plan has rejected those who disagree, but looked at no others than those that are to run. */
static bool may_share(const struct settings_isolation *one, const struct manifest_plugin *plugin,
                      const struct settings_isolation *other, const struct manifest_plugin *other_plugin)
{
    char *disagreement = settings_find_disagreement(one, other);
    bool agrees = disagreement == NULL;

    free(disagreement);
    /* A program of its own is no process to share. */
    return agrees && plugin->made_by == NULL && other_plugin->made_by == NULL &&
           settings_share_worker(one, plugin->manifest->module, other, other_plugin->manifest->module);
}

struct confined *confinement_find_sharers(const struct plan *plan, const struct settings *settings,
                                          const char *uri, size_t *ret_count)
{
    const struct settings_plan *all = &settings->plan;
    const struct manifest_plugin *plugin = plan->entries[plan_find(plan, uri)].plugin;
    const struct settings_isolation *own = settings_find_isolation(settings, uri);
    struct confined *confined = memory_allocate(all->isolation_count, sizeof(*confined));

    *ret_count = 0;
    for (size_t i = 0; i < all->isolation_count; i++) {
        const struct settings_isolation *isolation = &all->isolation[i];
        size_t entry = plan_find(plan, isolation->uri);

        if (entry == PLAN_NONE || plan->entries[entry].state == BERTH_STATE_REJECTED ||
            manifest_find_obstacle(plan->entries[entry].plugin) != NULL)
            continue;
        if (isolation != own && !may_share(own, plugin, isolation, plan->entries[entry].plugin))
            continue;
        confined[(*ret_count)++] = (struct confined){.plugin = plan->entries[entry].plugin,
                                                     .settings = settings_of_plugin(settings, isolation->uri),
                                                     .isolation = isolation};
    }
    return confined;
}
