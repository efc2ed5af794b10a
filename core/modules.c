/* SPDX-License-Identifier: Apache-2.0 */
/* Loads each file once, and unloads what nobody uses, in its own time. */
#include "modules.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <core/base/log.h>
#include <core/scan/scan.h>
#include <core/watch/watch.h>
#include <sdk/base/hash.h>
#include <sdk/base/memory.h>

/* When it is tried to unload a module: callbacks and threads may need a moment to end. After the last time it
 * is resident, and tried again whenever another module leaves. */
static const uint64_t waits_ms[] = {0, 20, 200, 1000};
#define ATTEMPTS (sizeof(waits_ms) / sizeof(waits_ms[0]))

static bool is_same_inode(const struct loaded_module *file, const struct stat *status)
{
    return file->original->status.st_dev == status->st_dev && file->original->status.st_ino == status->st_ino;
}

static bool is_same_file(const struct loaded_module *file, const struct scan_file *found)
{
    return strcmp(file->original->path, found->path) == 0 &&
           verify_is_untouched(&file->original->status, &found->status);
}

static size_t bucket_of_path(const char *path)
{
    return berth_hash(BERTH_HASH_START, path, strlen(path)) % MODULES_BUCKETS;
}

static size_t bucket_of_inode(const struct stat *status)
{
    return status->st_ino % MODULES_BUCKETS;
}

static struct loaded_module *find_file(const struct modules *modules, const struct scan_file *found)
{
    struct loaded_module *file;

    LIST_FOREACH(file, &modules->by_path[bucket_of_path(found->path)], by_path)
    if (is_same_file(file, found))
        return file;
    return NULL;
}

/* The loader would return what it has under this path or inode. */
static bool needs_copy(const struct modules *modules, const struct scan_file *found)
{
    const struct loaded_module *file;

    LIST_FOREACH(file, &modules->by_path[bucket_of_path(found->path)], by_path)
    if (file->module != NULL && strcmp(file->original->path, found->path) == 0)
        return true;
    LIST_FOREACH(file, &modules->by_inode[bucket_of_inode(&found->status)], by_inode)
    if (file->module != NULL && is_same_inode(file, &found->status))
        return true;
    return false;
}

uint64_t modules_resident_bytes(const struct modules *modules, size_t *ret_count)
{
    uint64_t bytes = 0;
    size_t count = 0;

    for (const struct loaded_module *file = modules->files; file != NULL; file = file->next) {
        if (!modules_is_resident(file))
            continue;
        bytes += file->result.bytes;
        count++;
    }
    if (ret_count != NULL)
        *ret_count = count;
    return bytes;
}

/* What the present generation of this path is certain to leave behind once the next has taken over. */
static uint64_t bytes_to_stay(const struct modules *modules, const char *path)
{
    const struct loaded_module *file;
    uint64_t bytes = 0;

    LIST_FOREACH(file, &modules->by_path[bucket_of_path(path)], by_path)
    if (file->users > 0 && file->module != NULL && strcmp(file->original->path, path) == 0 &&
        module_residence(file->module)->certain != 0)
        bytes += module_residence(file->module)->bytes;
    return bytes;
}

static enum berth_code check_bound(const struct modules *modules, const char *path, struct berth_error *err)
{
    size_t count;
    uint64_t resident = modules_resident_bytes(modules, &count), more = bytes_to_stay(modules, path);

    if (modules->max_resident == 0 || resident + more <= modules->max_resident)
        return BERTH_OK;
    return berth_error_set(
        err, BERTH_RESOURCE_EXHAUSTED,
        "%s: needs a daemon restart: %zu module%s that cannot be unloaded take %llu KiB, and "
        "%llu KiB more would exceed upgrade.max_resident (%llu KiB)",
        path, count, count == 1 ? "" : "s", (unsigned long long)resident / 1024,
        (unsigned long long)more / 1024, (unsigned long long)modules->max_resident / 1024);
}

/* Its path has something else by now. */
static bool is_replaced(const struct manifest *manifest)
{
    struct stat status;

    return lstat(manifest->file->path, &status) != 0 ||
           !verify_is_same_content(&manifest->file->status, &status);
}

/* From what is kept open of it, if anything is. */
static enum berth_code make_copy(struct modules *modules, const struct manifest *manifest,
                                 struct module_copy **ret_copy, struct berth_error *err)
{
    const struct original *original = originals_find(&modules->originals, manifest);
    const struct module_kept kept = {original != NULL ? original->fd : -1,
                                     original != NULL ? &original->opened : NULL};

    return module_copy_create(manifest, original != NULL ? &kept : NULL, modules->root, ++modules->copies + 1,
                              ret_copy, err);
}

/* Its path has something else, but what it was read from is open. */
static bool is_only_kept(const struct modules *modules, const struct manifest *manifest)
{
    return originals_find(&modules->originals, manifest) != NULL && is_replaced(manifest);
}

enum berth_code modules_copy_replaced(struct modules *modules, const struct manifest *manifest,
                                      struct module_copy **ret_copy, struct berth_error *err)
{
    *ret_copy = NULL;
    return is_only_kept(modules, manifest) ? make_copy(modules, manifest, ret_copy, err) : BERTH_OK;
}

static enum berth_code load_copy(struct modules *modules, const struct manifest *manifest,
                                 struct module **ret_module, struct berth_error *err)
{
    struct module_copy *copy = NULL;
    enum berth_code code = check_bound(modules, manifest->file->path, err);

    if (code == BERTH_OK)
        code = make_copy(modules, manifest, &copy, err);
    if (code == BERTH_OK)
        code = module_load_copy(manifest, copy, ret_module, err);
    if (code != BERTH_OK)
        module_copy_destroy(copy);
    return code;
}

/* So that what its code does is blamed on its plugins. */
static void note_path(const struct manifest *manifest, const char *path)
{
    for (size_t i = 0; i < manifest->plugin_count; i++) {
        struct running_plugin *plugin =
            running_find_version(manifest->plugins[i].uri, manifest->version, manifest->path);

        if (plugin != NULL && strcmp(plugin->path, path) != 0 && running_find_by_file(path, plugin) != plugin)
            running_add_file(plugin, path);
    }
}

static void enter(struct modules *modules, struct loaded_module *file)
{
    file->next = modules->files;
    modules->files = file;
    LIST_INSERT_HEAD(&modules->by_path[bucket_of_path(file->original->path)], file, by_path);
    LIST_INSERT_HEAD(&modules->by_inode[bucket_of_inode(&file->original->status)], file, by_inode);
}

struct loaded_module *modules_load(struct modules *modules, const struct manifest *manifest,
                                   struct running_plugin *running)
{
    struct loaded_module *file = find_file(modules, manifest->file);
    struct berth_error err = {""};

    if (file != NULL)
        return file;
    file = memory_allocate(1, sizeof(*file));
    *file = (struct loaded_module){
        .begun_ns = uv_hrtime(),
    };
    running_enter(running, RUNNING_LOAD, NULL);
    file->code = BERTH_ALREADY_EXISTS;
    if (!needs_copy(modules, manifest->file) && !is_only_kept(modules, manifest))
        file->code = module_load(manifest, &file->module, &err);
    if (file->code == BERTH_ALREADY_EXISTS)
        file->code = load_copy(modules, manifest, &file->module, &err);
    if (file->code == BERTH_OK && !module_ran_code(file->module))
        tampering_note_nothing_ran();
    running_leave();
    file->took_ns = uv_hrtime() - file->begun_ns;
    file->original = originals_keep(&modules->originals, manifest,
                                    file->module != NULL ? module_path(file->module) : NULL);
    if (file->code == BERTH_OK)
        note_path(manifest, module_path(file->module));
    else
        file->reason = memory_copy(err.message);
    enter(modules, file);
    return file;
}

void modules_hold(struct loaded_module *file)
{
    file->users++;
    file->attempts = 0;
}

static void forget(struct modules *modules, struct loaded_module *file)
{
    struct loaded_module **link = &modules->files;

    while (*link != file)
        link = &(*link)->next;
    *link = file->next;
    LIST_REMOVE(file, by_path);
    LIST_REMOVE(file, by_inode);
    original_drop(file->original);
    free(file->reason);
    free(file);
}

bool modules_is_resident(const struct loaded_module *file)
{
    return file->users == 0 && file->module != NULL && file->attempts >= ATTEMPTS;
}

/* @return is it gone? */
static bool try_to_unload(struct modules *modules, struct loaded_module *file)
{
    bool was_resident = modules_is_resident(file), is_gone;

    /* Its destructors run. */
    running_enter(running_find_by_file(module_path(file->module), NULL), RUNNING_UNLOAD, NULL);
    is_gone = unloading_run(file->module, modules->loop, &file->result);
    running_leave();
    if (is_gone) {
        log_line(BERTH_LOG_DEBUG, "unloaded module %s path=%s", file->original->name, file->original->path);
        forget(modules, file);
        return true;
    }
    file->attempts += file->attempts < ATTEMPTS;
    if (modules_is_resident(file) && !was_resident)
        log_line(BERTH_LOG_INFO, "module %s stays resident until the next restart: %s bytes=%llu path=%s",
                 file->original->name, file->result.reason, (unsigned long long)file->result.bytes,
                 file->original->path);
    return false;
}

static void on_timer(uv_timer_t *timer);

static bool is_leaving(const struct loaded_module *file)
{
    return file->users == 0 && file->module != NULL && file->attempts < ATTEMPTS;
}

/* For the one that has been tried least. */
static void set_timer(struct modules *modules)
{
    const struct loaded_module *first = NULL;

    for (const struct loaded_module *file = modules->files; file != NULL; file = file->next)
        if (is_leaving(file) && (first == NULL || file->attempts < first->attempts))
            first = file;
    if (first != NULL)
        uv_timer_start(&modules->timer, on_timer, waits_ms[first->attempts], 0);
}

static void list_residents(struct modules *modules)
{
    size_t before = modules->resident_count, count;

    modules_resident_bytes(modules, &count);
    free(modules->residents);
    modules->residents = memory_allocate(count, sizeof(*modules->residents));
    modules->resident_count = 0;
    for (const struct loaded_module *file = modules->files; file != NULL; file = file->next)
        if (modules_is_resident(file))
            modules->residents[modules->resident_count++] = (struct berth_resident){
                file->original->name, file->original->path, file->result.reason, file->result.bytes};
    if (modules->on_residents != NULL && (before > 0 || count > 0))
        modules->on_residents(modules->context);
}

static void on_timer(uv_timer_t *timer)
{
    struct modules *modules = timer->data;
    struct loaded_module *next;
    bool has_gone = false;

    for (struct loaded_module *file = modules->files; file != NULL; file = next) {
        next = file->next;
        if (is_leaving(file))
            has_gone = try_to_unload(modules, file) || has_gone;
    }
    /* What kept another may have gone with it. */
    for (struct loaded_module *file = modules->files; has_gone && file != NULL; file = next) {
        next = file->next;
        if (modules_is_resident(file))
            try_to_unload(modules, file);
    }
    list_residents(modules);
    set_timer(modules);
}

void modules_release(struct modules *modules, struct loaded_module *file)
{
    if (file->users > 0)
        file->users--;
    if (file->users == 0 && modules->timer.data != NULL)
        set_timer(modules);
}

void modules_forget_failures(struct modules *modules)
{
    struct loaded_module *next;

    for (struct loaded_module *file = modules->files; file != NULL; file = next) {
        next = file->next;
        if (file->module == NULL)
            forget(modules, file);
    }
}

void modules_init(struct modules *modules, uv_loop_t *loop, const char *root, uint64_t max_resident)
{
    *modules = (struct modules){.loop = loop, .root = root, .max_resident = max_resident};
    originals_init(&modules->originals);
    uv_timer_init(loop, &modules->timer);
    uv_unref((uv_handle_t *)&modules->timer);
    modules->timer.data = modules;
}

void modules_stop(struct modules *modules)
{
    if (modules->timer.data == NULL)
        return;
    modules->timer.data = NULL;
    uv_close((uv_handle_t *)&modules->timer, NULL);
}

void modules_finish(struct modules *modules)
{
    while (modules->files != NULL) {
        module_destroy(modules->files->module);
        forget(modules, modules->files);
    }
    free(modules->residents);
}
