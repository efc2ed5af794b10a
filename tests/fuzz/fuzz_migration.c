/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the sections of three plugins that were one, migrated by what their manifest declares, and
 * again. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <core/settings/settings.h>

static const char manifest_text[] =
    "module: m\nversion: 1.0.0\nplugins:\n"
    "  - {type: io.a.v1, id: a, config_version: 4, formerly: [old], config: {port: {type: int, default: "
    "1}}}\n"
    "  - {type: io.a.v1, id: b, config_version: 4, formerly: [io.a.v1.a, old], leaves: [time],\n"
    "     renames: [{before: 3, from: image, to: pinned.sandbox}, {before: 3, from: r.*.snap, to: "
    "p.*.snap},\n"
    "               {before: 2, from: pinned, to: image}, {before: 4, from: x.*.y.*.z, to: z.*.*.y, wrap: "
    "true}],\n"
    "     config: {pinned: {type: map, items: {type: string}}, p: {type: map, items: {type: any}}, z: {type: "
    "any},\n"
    "              time: {type: duration}}}\n"
    "  - {type: io.a.v1, id: c, config_version: 4, formerly: [io.a.v1.a, old, io.a.v1.b], callbacks: "
    "[migrate],\n"
    "     migrates: listed,\n"
    "     renames: [{before: 4, from: cni.dir, to: cni.dirs, wrap: true}, {before: 3, from: untrusted},\n"
    "               {before: 3, from: r.*.mode, to: r.*.box}],\n"
    "     config: {cni: {type: object, fields: {dirs: {type: list, items: {type: string}}}}, time: {type: "
    "int},\n"
    "              r: {type: map, items: {type: object, fields: {snap: {type: string}, box: {type: "
    "string}}}}}}\n";

static struct manifest *manifest;
static struct catalog catalog;
static int file = -1;
static char path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct config_diagnostics diagnostics = {0};

    manifest = manifest_parse("m.so", manifest_text, strlen(manifest_text), &diagnostics);
    assert(manifest != NULL);
    catalog_init(&catalog, (const struct manifest *const *)&manifest, 1);
    file = memfd_create("berthd.yaml", 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    return 0;
}

static void put(const void *data, size_t size)
{
    assert(ftruncate(file, 0) == 0);
    assert(pwrite(file, data, size, 0) == (ssize_t)size);
}

static enum berth_code on_migrate(void *context, const struct manifest_plugin *plugin,
                                  const struct berth_migration *migration, struct berth_error *err)
{
    const struct berth_settings *settings = migration->settings;
    const struct berth_value *value = settings->find(settings->root, "untrusted");
    enum berth_code code = migration->move(migration, "untrusted", "r.untrusted", err);

    if (code == BERTH_OK)
        code = migration->set(migration, "r.\"a.b\"", settings->count(value) > 0 ? "{box: x}" : "[]", err);
    return code == BERTH_ALREADY_EXISTS ? BERTH_OK : code;
}

/* As the daemon does it, without the code of plugins. True if the configuration is valid. */
static bool load(bool lenient)
{
    bool is_valid;
    struct settings_options options = {.path = path, .lenient = lenient};
    struct config_diagnostics diagnostics = {0};
    struct settings *settings = settings_load(&options, &diagnostics);
    char *text;

    is_valid = settings != NULL && settings_check_plugins(settings, &catalog, false, &diagnostics);
    if (is_valid) {
        text = settings_print(settings, &(struct config_print_options){.origins = true});
        free(text);
    }
    settings_destroy(settings);
    config_diagnostics_finish(&diagnostics);
    return is_valid;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct settings_migration migration = {.catalog = &catalog, .on_migrate = on_migrate};
    struct config_diagnostics diagnostics = {0}, again = {0};
    char *once, *twice;
    size_t changed;

    put(data, size);
    load(true);
    if (settings_migrate_file(path, &migration, &once, &changed, &diagnostics)) {
        put(once, strlen(once));
        /* What has been migrated and is valid needs no migration. */
        if (load(false)) {
            assert(settings_migrate_file(path, &migration, &twice, &changed, &again));
            assert(changed == 0 && strcmp(once, twice) == 0);
            free(twice);
        }
        free(once);
    }
    config_diagnostics_finish(&diagnostics);
    config_diagnostics_finish(&again);
    return 0;
}
