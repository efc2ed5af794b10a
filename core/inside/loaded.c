/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the modules of a worker, each once. */
#include "loaded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <core/elf/elf.h>
#include <core/manifest/manifest.h>
#include <core/module/module.h>
#include <core/scan/scan.h>
#include <sdk/base/memory.h>

struct loaded {
    struct loaded *next;
    struct scan_file file;
    struct module *module;
};

/* Of this process, whose loader has one list of them, too. */
static struct loaded *all;

/* Only the file that the daemon checked. The text lives as long as the process. */
static struct manifest *read_manifest(const struct plugin_start *start, struct berth_error *err)
{
    struct config_diagnostics diagnostics = {0};
    int fd = open(start->path, O_RDONLY | O_CLOEXEC);
    size_t size = (size_t)start->status.st_size, length;
    struct manifest *manifest;
    enum berth_code code;
    char *text;
    void *file;

    if (fd < 0) {
        berth_error_set(err, BERTH_PERMISSION_DENIED, "%s: cannot be opened by its isolated process: %s",
                        start->path, strerror(errno));
        return NULL;
    }
    code = verify_same_open(fd, start->path, &start->status, err);
    file = code == BERTH_OK ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    if (code != BERTH_OK)
        return NULL;
    if (file == MAP_FAILED) {
        berth_error_set(err, BERTH_UNAVAILABLE, "%s: cannot be read: %s", start->path, strerror(errno));
        return NULL;
    }
    if (note_find(file, size, start->path, &text, &length, err) != BERTH_OK)
        return NULL;
    munmap(file, size);
    manifest = manifest_parse(start->path, text, length, &diagnostics);
    if (manifest == NULL)
        berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: its manifest cannot be read", start->path);
    config_diagnostics_finish(&diagnostics);
    return manifest;
}

static struct module *find(const struct plugin_start *start)
{
    for (const struct loaded *loaded = all; loaded != NULL; loaded = loaded->next)
        if (strcmp(loaded->file.path, start->path) == 0 &&
            verify_is_same_content(&loaded->file.status, &start->status))
            return loaded->module;
    return NULL;
}

static struct module *load(const struct plugin_start *start, struct berth_error *err)
{
    struct manifest *manifest = read_manifest(start, err);
    struct loaded *loaded;

    if (manifest == NULL)
        return NULL;
    loaded = memory_allocate(1, sizeof(*loaded));
    loaded->file = (struct scan_file){.path = memory_copy(start->path), .status = start->status};
    manifest->file = &loaded->file;
    if (module_load(manifest, &loaded->module, err) == BERTH_OK) {
        loaded->next = all;
        all = loaded;
    }
    manifest_destroy(manifest);
    return loaded->module;
}

const struct berth_plugin *loaded_find(const struct plugin_start *start, struct berth_error *err)
{
    struct module *module = find(start);
    const struct berth_plugin *plugin;

    if (module == NULL)
        module = load(start, err);
    if (module == NULL)
        return NULL;
    plugin = module_find(module, start->type, start->id);
    if (plugin == NULL)
        berth_error_set(err, BERTH_NOT_FOUND, "%s has no plugin %s", start->path, start->uri);
    return plugin;
}
