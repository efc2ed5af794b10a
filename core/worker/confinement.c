/* SPDX-License-Identifier: Apache-2.0 */
/* What an isolated plugin is confined to: what the operator says, its own folders, and the paths in its
 * settings. */
#include "isolated.h"

#include <assert.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config/schema/value.h>

#include <core/scan/scan.h>

#include <sdk/base/memory.h>

static_assert((int)SETTINGS_NETWORK_ALL == (int)SANDBOX_NETWORK_ALL, "both have the same networks");

/* A list under `read`, `write` or `system_calls` while it is made. */
struct paths {
    const char **items;
    size_t count;
};

static void add(struct paths *paths, const char *path)
{
    paths->items = memory_grow(paths->items, paths->count, sizeof(*paths->items));
    paths->items[paths->count++] = path;
}

static const char *keep(struct isolated_sandbox *sandbox, char *path)
{
    sandbox->paths = memory_grow(sandbox->paths, sandbox->path_count, sizeof(*sandbox->paths));
    return sandbox->paths[sandbox->path_count++] = path;
}

struct collecting {
    const struct berth_settings *settings;
    struct paths read, write;
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

enum berth_code isolated_sandbox_init(struct isolated_sandbox *sandbox,
                                      const struct isolated_options *options, struct berth_error *err)
{
    const struct settings_isolation *isolation = options->isolation;
    struct collecting collecting = {.settings = options->settings};
    struct paths calls = {0};
    enum berth_code code;

    *sandbox = (struct isolated_sandbox){0};
    code = find_user(isolation, &sandbox->wanted, err);
    list_calls(isolation, &calls);
    sandbox->wanted.system_calls = calls.items;
    sandbox->wanted.system_call_count = calls.count;
    if (code != BERTH_OK)
        return code;
    for (size_t i = 0; i < isolation->read_count; i++)
        add(&collecting.read, isolation->read[i]);
    for (size_t i = 0; i < isolation->write_count; i++)
        add(&collecting.write, isolation->write[i]);
    if (options->settings != NULL)
        collect(&collecting, options->settings->root);
    add(&collecting.read, keep(sandbox, folder_of(options->plugin->manifest->file->path)));
    if (options->copy != NULL)
        add(&collecting.read, keep(sandbox, folder_of(options->copy)));
    add(&collecting.write, keep(sandbox, memory_format("%s/%s", options->root, options->plugin->uri)));
    add(&collecting.write, keep(sandbox, memory_format("%s/%s", options->state, options->plugin->uri)));
    leave_out_nested(&collecting.write, collecting.write.items, collecting.write.count);
    leave_out_nested(&collecting.read, collecting.write.items, collecting.write.count);
    sandbox->wanted.read = collecting.read.items;
    sandbox->wanted.read_count = collecting.read.count;
    sandbox->wanted.write = collecting.write.items;
    sandbox->wanted.write_count = collecting.write.count;
    sandbox->wanted.network = (enum sandbox_network)isolation->network;
    if (collecting.has_socket && sandbox->wanted.network == SANDBOX_NETWORK_NONE)
        sandbox->wanted.network = SANDBOX_NETWORK_UNIX;
    /* What runs is a server behind a socket, which it has to listen on. */
    sandbox->wanted.runs_program = options->plugin->made_by != NULL;
    if (sandbox->wanted.runs_program && sandbox->wanted.network == SANDBOX_NETWORK_NONE)
        sandbox->wanted.network = SANDBOX_NETWORK_UNIX;
    sandbox->wanted.connect_ports = isolation->connect;
    sandbox->wanted.connect_port_count = isolation->connect_count;
    sandbox->wanted.bind_ports = isolation->bind;
    sandbox->wanted.bind_port_count = isolation->bind_count;
    sandbox->wanted.memory_bytes = isolation->memory_bytes;
    sandbox->wanted.tasks = isolation->tasks;
    sandbox->wanted.cpu_percent = isolation->cpu_percent;
    sandbox->wanted.allows_processes = isolation->processes;
    sandbox->wanted.is_required = isolation->required;
    return BERTH_OK;
}

/* Those that are made here are of the module and the plugin's own folders. */
static bool is_own(const struct isolated_sandbox *sandbox, const char *path)
{
    for (size_t i = 0; i < sandbox->path_count; i++)
        if (sandbox->paths[i] == path)
            return true;
    return false;
}

static bool has_all(const struct isolated_sandbox *sandbox, const char *const *paths, size_t count,
                    const struct isolated_sandbox *of, bool is_written)
{
    const char *const *has = is_written ? sandbox->wanted.write : sandbox->wanted.read;
    size_t has_count = is_written ? sandbox->wanted.write_count : sandbox->wanted.read_count;

    for (size_t i = 0; i < count; i++) {
        size_t k = 0;

        while (k < has_count && strcmp(has[k], paths[i]) != 0)
            k++;
        if (k == has_count && !is_own(of, paths[i]))
            return false;
    }
    return true;
}

static bool contains(const struct isolated_sandbox *one, const struct isolated_sandbox *other)
{
    const struct sandbox_wanted *wanted = &other->wanted;

    return has_all(one, wanted->read, wanted->read_count, other, false) &&
           has_all(one, wanted->write, wanted->write_count, other, true);
}

bool isolated_sandbox_is_alike(const struct isolated_sandbox *one, const struct isolated_sandbox *other)
{
    return one->wanted.network == other->wanted.network && contains(one, other) && contains(other, one);
}

void isolated_sandbox_finish(struct isolated_sandbox *sandbox)
{
    for (size_t i = 0; i < sandbox->path_count; i++)
        free(sandbox->paths[i]);
    free(sandbox->paths);
    free((void *)(uintptr_t)sandbox->wanted.system_calls);
    free((void *)(uintptr_t)sandbox->wanted.read);
    free((void *)(uintptr_t)sandbox->wanted.write);
    *sandbox = (struct isolated_sandbox){0};
}

enum berth_code isolated_judge(const struct isolated_options *options, struct sandbox_report *ret_report,
                               struct berth_error *err)
{
    struct isolated_sandbox sandbox;
    struct sandbox_kernel kernel;
    enum berth_code code = isolated_sandbox_init(&sandbox, options, err);

    if (code == BERTH_OK) {
        sandbox_kernel_ask(&kernel);
        sandbox_judge(&sandbox.wanted, &kernel, ret_report);
    }
    isolated_sandbox_finish(&sandbox);
    return code;
}

char *isolated_find_program(void)
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
    char *folder, *path;

    if (length > 0) {
        own[length] = '\0';
        folder = folder_of(own);
        path = memory_format("%s/berth-worker", folder);
        free(folder);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return memory_copy(BERTH_LIBEXEC_DIR "/berth-worker");
}
