/* SPDX-License-Identifier: Apache-2.0 */
/* Loads one file and proves that the object in memory is the file that was checked. */
#include "module.h"

#include <dlfcn.h>
#include <elf.h>
#include <inttypes.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include <core/base/log.h>
#include <core/scan/scan.h>

struct module {
    char *path;
    const struct berth_module *table;
    bool ran_code;
};

/* The part of the loader's message between `before` and `after`, or NULL. Malloced. */
static char *cut_out(const char *sentence, const char *before, const char *after)
{
    const char *start = strstr(sentence, before);
    const char *end = start != NULL ? strstr(start + strlen(before), after) : NULL;

    return end != NULL ? strndup(start + strlen(before), (size_t)(end - start) - strlen(before)) : NULL;
}

static enum berth_code say_undefined(const char *path, const char *reason, const char *symbol,
                                     struct berth_error *err)
{
    size_t length = strlen(path);
    const char *space = strchr(symbol, ' ');
    size_t name_length = strcspn(symbol, ", ");

    if (strncmp(reason, path, length) == 0 && reason[length] == ':')
        return berth_error_set(err, BERTH_UNAVAILABLE,
                               "%s: needs the symbol %.*s%s, found neither in it nor in any library it "
                               "links: link the one that has it",
                               path, (int)name_length, symbol, space != NULL ? space : "");
    return berth_error_set(err, BERTH_UNAVAILABLE, "%s: a library it links needs an undefined symbol: %s",
                           path, reason);
}

/* A symbol that one library lacks may be in another of the same name. */
static enum berth_code add_conflict(const struct manifest *manifest, enum berth_code code,
                                    struct berth_error *err)
{
    size_t length = err == NULL ? 0 : strlen(err->message);

    if (err != NULL)
        snprintf(err->message + length, sizeof(err->message) - length, "; %s", manifest->conflict);
    return code;
}

/* Rewords the loader's messages that we know so that the missing thing comes first. */
static enum berth_code say_why_not(const struct manifest *manifest, const char *reason,
                                   struct berth_error *err)
{
    const char *path = manifest->file->path;
    static const char undefined[] = "undefined symbol: ";
    const char *symbol = strstr(reason, undefined);
    char *library = cut_out(reason, "", ": cannot open shared object file: No such file or directory");
    enum berth_code code;

    if (symbol != NULL)
        code = say_undefined(path, reason, symbol + sizeof(undefined) - 1, err);
    else if (library != NULL && strcmp(library, path) != 0)
        code = berth_error_set(err, BERTH_UNAVAILABLE, "%s: needs the library %s, which is not installed",
                               path, library);
    else
        code = berth_error_set(err, BERTH_UNAVAILABLE, "%s: cannot be loaded: %s", path, reason);
    free(library);
    return manifest->conflict == NULL ? code : add_conflict(manifest, code, err);
}

static int on_object(struct dl_phdr_info *info, size_t size, void *ret_loads)
{
    *(unsigned long long *)ret_loads = info->dlpi_adds;
    return 1;
}

/* The number of objects this process has loaded until now. */
static unsigned long long count_loads(void)
{
    unsigned long long loads = 0;

    dl_iterate_phdr(on_object, &loads);
    return loads;
}

/* The inode of the file that is mapped at an address, or 0. */
static uint64_t mapped_inode(uintptr_t address)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t capacity = 0;
    uint64_t inode = 0;

    while (maps != NULL && inode == 0 && getline(&line, &capacity, maps) > 0) {
        uintptr_t start, end;
        uint64_t found;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64, &start, &end, &found) == 3 &&
            address >= start && address < end)
            inode = found;
    }
    free(line);
    if (maps != NULL)
        fclose(maps);
    return inode;
}

/*
 * The loader goes by names: asked for a path that it knows, or that some library claims as its soname, it
 * returns what it already has. So an object that was there before is compared by what is mapped.
 */
static enum berth_code check_identity(void *handle, bool was_there, const struct scan_file *file,
                                      struct berth_error *err)
{
    struct link_map *map;
    uint64_t inode;

    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
        return berth_error_set(err, BERTH_INTERNAL, "%s: cannot tell what the loader loaded: %s", file->path,
                               dlerror());
    if (strcmp(map->l_name, file->path) != 0)
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: the loader returned %s instead, which has this path as its soname or is the same file",
            file->path, map->l_name);
    inode = was_there ? mapped_inode((uintptr_t)map->l_ld) : (uint64_t)file->status.st_ino;
    if (inode != (uint64_t)file->status.st_ino)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: an older file of this name is still in memory (inode %" PRIu64
                               " then, %" PRIu64 " now); restart berthd",
                               file->path, inode, (uint64_t)file->status.st_ino);
    return verify_same(file->path, &file->status, err);
}

/* Finds the constant in this object itself, not in one of its libraries, and at least as large as it claims.
 */
static enum berth_code find_table(void *handle, const char *path, const struct berth_module **ret_table,
                                  struct berth_error *err)
{
    const struct berth_module *table = dlsym(handle, BERTH_MODULE_SYMBOL);
    const size_t head = offsetof(struct berth_module, size) + sizeof(table->size);
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    if (table == NULL || dladdr1(table, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0 ||
        strcmp(info.dli_fname, path) != 0)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: does not export " BERTH_MODULE_SYMBOL
                               ": use BERTH_MODULE(…), or link the output of berth-sdk generate",
                               path);
    if (symbol == NULL || info.dli_saddr != table || symbol->st_size < head ||
        (table->abi == BERTH_ABI && symbol->st_size < table->size))
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION, "%s: " BERTH_MODULE_SYMBOL " has %zu bytes, expected %zu", path,
            symbol != NULL ? (size_t)symbol->st_size : 0,
            symbol != NULL && symbol->st_size >= head ? (size_t)table->size : sizeof(*table));
    *ret_table = table;
    return BERTH_OK;
}

/* An entry of the dynamic section; 0 if it has none. */
static uintptr_t dynamic_value(const ElfW(Dyn) * entry, ElfW(Sxword) tag)
{
    while (entry->d_tag != DT_NULL && entry->d_tag != tag)
        entry++;
    return entry->d_tag == tag ? entry->d_un.d_val : 0;
}

/*
 * Does the loader run anything of an object but what each compiler puts into it? That is an empty _init and
 * the first entry of the array, frame_dummy; both come from the same start files.
 */
static bool has_constructors(void *handle)
{
    struct link_map *map;

    return dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || dynamic_value(map->l_ld, DT_INIT) == 0 ||
           dynamic_value(map->l_ld, DT_INIT_ARRAYSZ) > sizeof(void *);
}

static enum berth_code open_object(const struct manifest *manifest, void **ret_handle, bool *ret_ran_code,
                                   struct berth_error *err)
{
    const struct scan_file *file = manifest->file;
    unsigned long long loads = count_loads(), added;
    enum berth_code code;
    void *handle;

    log_line(BERTH_LOG_DEBUG, "loading module path=%s", file->path);
    handle = dlopen(file->path, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL)
        return say_why_not(manifest, dlerror(), err);
    added = count_loads() - loads;
    code = check_identity(handle, added == 0, file, err);
    if (code != BERTH_OK)
        return code;
    *ret_handle = handle;
    *ret_ran_code = added > 1 || has_constructors(handle);
    return BERTH_OK;
}

enum berth_code module_load(const struct manifest *manifest, struct module **ret_module,
                            struct berth_error *err)
{
    const struct scan_file *file = manifest->file;
    enum berth_code code = verify_same(file->path, &file->status, err);
    const struct berth_module *table = NULL;
    struct module *module;
    bool ran_code = true;
    void *handle = NULL;

    if (code == BERTH_OK)
        code = open_object(manifest, &handle, &ran_code, err);
    if (code != BERTH_OK)
        return code;
    code = find_table(handle, file->path, &table, err);
    if (code == BERTH_OK)
        code = manifest_check(table, manifest, err);
    if (code != BERTH_OK)
        return code;
    module = malloc(sizeof(*module));
    if (module == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for the module", file->path);
    *module = (struct module){.path = strdup(file->path), .table = table, .ran_code = ran_code};
    if (module->path == NULL) {
        free(module);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for the module", file->path);
    }
    *ret_module = module;
    return BERTH_OK;
}

void module_destroy(struct module *module)
{
    if (module == NULL)
        return;
    free(module->path);
    free(module);
}

bool module_ran_code(const struct module *module)
{
    return module->ran_code;
}

struct search {
    const char *path;
    struct module_range range;
};

static int find_range(struct dl_phdr_info *info, size_t size, void *context)
{
    struct search *search = context;

    if (strcmp(info->dlpi_name, search->path) != 0)
        return 0;
    search->range.start = UINTPTR_MAX;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        if (start < search->range.start)
            search->range.start = start;
        if (start + info->dlpi_phdr[i].p_memsz > search->range.end)
            search->range.end = start + info->dlpi_phdr[i].p_memsz;
    }
    return 1;
}

struct module_range module_range(const char *path)
{
    struct search search = {.path = path};

    dl_iterate_phdr(find_range, &search);
    return search.range;
}

const struct berth_plugin *module_find(const struct module *module, const char *type, const char *id)
{
    for (size_t i = 0; module->table->plugins[i] != NULL; i++) {
        const struct berth_plugin *plugin = module->table->plugins[i];

        if (strcmp(plugin->id, id) == 0 && strcmp(plugin->type, type) == 0)
            return plugin;
    }
    return NULL;
}
