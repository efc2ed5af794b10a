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
#include <core/base/running.h>
#include <core/scan/scan.h>

#include "copy.h"
#include "mapped.h"
#include "needs.h"

struct module {
    char *path;
    const struct berth_module *table;
    bool ran_code;
    /* NULL once it was closed, although it may still be there. */
    void *handle;
    struct module_range range;
    struct residence residence;
    /* NULL if it was loaded from where it was found. */
    struct module_copy *copy;
    /* Found when somebody asks. */
    struct needs *needs;
};

/* A file that is to be loaded: the one that was scanned, or a copy of it. */
struct source {
    const struct manifest *manifest;
    const char *path;
    const struct stat *status;
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
static enum berth_code say_why_not(const struct source *source, const char *reason, struct berth_error *err)
{
    const char *path = source->path;
    const struct manifest *manifest = source->manifest;
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

/* The module and the libraries that were verified with it, before any of their code can run. */
static enum berth_code check_files(const struct source *source, struct berth_error *err)
{
    enum berth_code code = verify_same(source->path, source->status, err);

    return code == BERTH_OK ? manifest_verify_libraries(source->manifest, err) : code;
}

/*
 * The loader goes by names: asked for a path that it knows, or that some library claims as its soname, it
 * returns what it already has. So an object that was there before is compared by what is mapped.
 */
static enum berth_code check_identity(void *handle, bool was_there, const struct source *source,
                                      struct module_range *ret_range, struct berth_error *err)
{
    uint64_t inode, expected = (uint64_t)source->status->st_ino;
    struct link_map *map;

    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
        return berth_error_set(err, BERTH_INTERNAL, "%s: cannot tell what the loader loaded: %s",
                               source->path, dlerror());
    if (strcmp(map->l_name, source->path) != 0)
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: the loader returned %s instead, which has this path as its soname or is the same file",
            source->path, map->l_name);
    inode = was_there ? mapped_inode((uintptr_t)map->l_ld) : expected;
    if (inode != expected)
        return berth_error_set(err, BERTH_ALREADY_EXISTS,
                               "%s: an older file of this name is still in memory (inode %" PRIu64
                               " then, %" PRIu64 " now)",
                               source->path, inode, expected);
    *ret_range = mapped_range(map);
    return check_files(source, err);
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

/* @param module  gets what is known of the object. */
static enum berth_code open_object(const struct source *source, struct module *module,
                                   struct berth_error *err)
{
    unsigned long long loads = count_loads(), added;
    enum berth_code code;

    log_line(BERTH_LOG_DEBUG, "loading module path=%s", source->path);
    module->handle = dlopen(source->path, RTLD_NOW | RTLD_LOCAL);
    if (module->handle == NULL)
        return say_why_not(source, dlerror(), err);
    added = count_loads() - loads;
    module->ran_code = added != 1 || has_constructors(module->handle);
    code = check_identity(module->handle, added == 0, source, &module->range, err);
    if (code == BERTH_OK)
        code = find_table(module->handle, source->path, &module->table, err);
    if (code == BERTH_OK)
        code = manifest_check(module->table, source->manifest, err);
    if (added == 0)
        module->ran_code = false;
    return code;
}

/* Code of a rejected file that has run may run again; if none has, nothing refers to it. */
static void discard(struct module *module)
{
    if (module->handle != NULL && !module->ran_code)
        dlclose(module->handle);
    free(module->path);
    free(module);
}

static enum berth_code load(const struct source *source, struct module **ret_module, struct berth_error *err)
{
    enum berth_code code = check_files(source, err);
    struct module *module = code == BERTH_OK ? calloc(1, sizeof(*module)) : NULL;

    if (code != BERTH_OK)
        return code;
    if (module != NULL)
        module->path = strdup(source->path);
    if (module == NULL || module->path == NULL) {
        free(module);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for the module", source->path);
    }
    module->residence = source->manifest->residence;
    code = open_object(source, module, err);
    if (code == BERTH_OK)
        *ret_module = module;
    else
        discard(module);
    return code;
}

enum berth_code module_load(const struct manifest *manifest, struct module **ret_module,
                            struct berth_error *err)
{
    const struct source source = {
        .manifest = manifest, .path = manifest->file->path, .status = &manifest->file->status};

    return load(&source, ret_module, err);
}

enum berth_code module_load_copy(const struct manifest *manifest, struct module_copy *copy,
                                 struct module **ret_module, struct berth_error *err)
{
    const struct source source = {.manifest = manifest, .path = copy->path, .status = &copy->status};
    size_t count = copy->siblings.count;
    void **handles = calloc(count > 0 ? count : 1, sizeof(*handles));
    struct module *module = NULL;
    enum berth_code code;

    if (handles == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for the module", copy->path);
    code = siblings_load(&copy->siblings, handles, err);
    if (code == BERTH_OK) {
        code = load(&source, &module, err);
        siblings_drop(handles, count);
    }
    free(handles);
    if (code != BERTH_OK)
        return code;
    /* Their constructors have run. */
    module->ran_code = module->ran_code || count > 0;
    module->copy = copy;
    *ret_module = module;
    return BERTH_OK;
}

static void free_module(struct module *module)
{
    needs_destroy(module->needs);
    free(module->path);
    free(module);
}

void module_destroy(struct module *module)
{
    if (module == NULL)
        return;
    module_copy_forget(module->copy);
    free_module(module);
}

/* The first cause that explains it. */
static enum residence_cause cause_of(const struct residence *residence)
{
    if ((residence->certain & RESIDENCE_NODELETE) != 0)
        return RESIDENCE_NODELETE;
    if ((residence->certain & RESIDENCE_UNIQUE) != 0)
        return RESIDENCE_UNIQUE;
    if ((residence->possible & RESIDENCE_THREAD_LOCAL) != 0)
        return RESIDENCE_THREAD_LOCAL;
    return RESIDENCE_LOADER;
}

bool module_unload(struct module *module, enum residence_cause *ret_cause)
{
    if (module->handle != NULL)
        dlclose(module->handle);
    module->handle = NULL;
    /* What it names may be gone, too. */
    needs_destroy(module->needs);
    module->needs = NULL;
    if (mapped_is_there(module->path, module->range)) {
        *ret_cause = cause_of(&module->residence);
        return false;
    }
    running_remove_file(module->path);
    module_copy_destroy(module->copy);
    free_module(module);
    return true;
}

const char *module_path(const struct module *module)
{
    return module->path;
}

const struct residence *module_residence(const struct module *module)
{
    return &module->residence;
}

static const struct needs *needs_of(struct module *module)
{
    if (module->needs == NULL && module->handle != NULL)
        module->needs = needs_find(module->handle);
    return module->needs;
}

bool module_has_address(struct module *module, const void *address)
{
    uintptr_t at = (uintptr_t)address;

    if (at >= module->range.start && at < module->range.end)
        return true;
    return needs_of(module) != NULL && needs_has_address(needs_of(module), at);
}

/* A symbol of the object that has this address, and not of one that it needs; NULL: it has none. */
static const void *find_in_object_of(const void *address, const char *name)
{
    const void *symbol;
    Dl_info object, found;
    void *handle;

    if (dladdr(address, &object) == 0 || (handle = dlopen(object.dli_fname, RTLD_LAZY | RTLD_NOLOAD)) == NULL)
        return NULL;
    symbol = dlsym(handle, name);
    if (symbol != NULL && (dladdr(symbol, &found) == 0 || found.dli_fbase != object.dli_fbase))
        symbol = NULL;
    /* Whatever else holds it still does. */
    dlclose(handle);
    return symbol;
}

/* The creator may be the host's code, or a library's, where a function of a module calls as its last act. */
static bool is_of_another(void *context, const void *creator)
{
    return !module_has_address(context, creator) && find_in_object_of(creator, BERTH_MODULE_SYMBOL) != NULL;
}

bool module_library_disowns(struct module *module, const void *address)
{
    bool (*each_user)(bool (*on_user)(void *, const void *), void *) =
        (bool (*)(bool (*)(void *, const void *), void *))(uintptr_t)find_in_object_of(
            address, "berth_library_each_user");

    return each_user != NULL && each_user(is_of_another, module);
}

bool module_imports(struct module *module, const char *function)
{
    struct link_map *map;

    if (module->handle == NULL || dlinfo(module->handle, RTLD_DI_LINKMAP, &map) != 0)
        return true;
    return needs_object_imports(map, function) || needs_import(needs_of(module), function);
}

bool module_ran_code(const struct module *module)
{
    return module->ran_code;
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
