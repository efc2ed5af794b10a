/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of containerd 1.x that no rename can carry over: runtimes outside the list of runtimes, and empty
 * leftovers. */
#include "cri-plugin.h"

#include <stdio.h>
#include <string.h>

static const struct berth_value *find(const struct berth_migration *migration, const char *name)
{
    const struct berth_settings *settings = migration->settings;

    return settings->find(settings->find(settings->root, "containerd"), name);
}

static bool is_blank(const struct berth_migration *migration, const struct berth_value *value)
{
    const char *text = migration->settings->string(value);

    return text != NULL && *text == '\0';
}

/* A runtime that containerd 1.x kept in a setting of its own; without a type it is unused. */
static enum berth_code move_runtime(const struct berth_migration *migration, const char *name,
                                    const char *from, const char *to, struct berth_error *err)
{
    const struct berth_value *runtime = find(migration, name);
    const struct berth_value *type = migration->settings->find(runtime, "runtime_type");
    enum berth_code code;

    if (runtime == NULL)
        return BERTH_NOT_FOUND;
    if (type == NULL || is_blank(migration, type)) {
        migration->remove(migration, from);
        return BERTH_NOT_FOUND;
    }
    code = migration->move(migration, from, to, err);
    return code == BERTH_ALREADY_EXISTS ? BERTH_OK : code;
}

/* `containerd config default` of 1.x printed these for every runtime; empty ones have no meaning. */
static void remove_blanks(const struct berth_migration *migration)
{
    static const char *const names[] = {"runtime_engine", "runtime_root", "runtime_path", "base_runtime_spec",
                                        "cni_conf_dir"};
    const struct berth_settings *settings = migration->settings;
    const struct berth_value *runtimes = find(migration, "runtimes"), *runtime;
    const char *key;
    char path[512];

    for (size_t i = 0; (runtime = settings->at(runtimes, i, &key)) != NULL; i++) {
        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
            if (!is_blank(migration, settings->find(runtime, names[j])))
                continue;
            snprintf(path, sizeof(path), "containerd.runtimes.\"%.300s\".%s", key, names[j]);
            migration->remove(migration, path);
        }
    }
}

/* Switches that no longer exist. One that is on stays in the section, so that it is reported as an error. */
static void remove_off(const struct berth_migration *migration)
{
    static const char *const names[] = {"disable_cgroup", "systemd_cgroup"};
    const struct berth_settings *settings = migration->settings;
    const struct berth_value *value;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = settings->find(migration->settings->root, names[i]);
        if (value != NULL && !settings->boolean(value))
            migration->remove(migration, names[i]);
    }
    value = find(migration, "no_pivot");
    if (value != NULL && !settings->boolean(value))
        migration->remove(migration, "containerd.no_pivot");
}

enum berth_code runtime_migrate(const struct berth_migration *migration, struct berth_error *err)
{
    enum berth_code code =
        move_runtime(migration, "untrusted_workload_runtime", "containerd.untrusted_workload_runtime",
                     "containerd.runtimes.untrusted", err);

    if (code == BERTH_OK || code == BERTH_NOT_FOUND)
        code = move_runtime(migration, "default_runtime", "containerd.default_runtime",
                            "containerd.runtimes.default", err);
    if (code == BERTH_OK)
        code = migration->set(migration, "containerd.default_runtime_name", "default", err);
    if (code != BERTH_OK && code != BERTH_NOT_FOUND)
        return code;
    remove_blanks(migration);
    remove_off(migration);
    return BERTH_OK;
}
