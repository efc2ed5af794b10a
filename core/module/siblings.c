/* SPDX-License-Identifier: Apache-2.0 */
/* Finds out whether a copied module would get the libraries that its original would. */
#include "siblings.h"

#include <dlfcn.h>
#include <elf.h>
#include <inttypes.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <core/elf/elf.h>
#include <sdk/base/memory.h>

#include "mapped.h"

struct problem {
    enum berth_code code;
    struct berth_error *err;
    const char *original;
};

static void on_problem(void *context, const struct library_problem *problem)
{
    struct problem *first = context;

    if (first->code == BERTH_OK)
        first->code = berth_error_set(first->err, problem->code, "%s: %s", first->original, problem->message);
}

/* The bytes of a segment, as far as the file has them. */
static bool is_same_segment(const struct elf_image *image, const Elf64_Phdr *segment, uintptr_t base)
{
    struct elf_table table = elf_image_at(image, segment->p_vaddr, segment->p_filesz);

    return table.length == segment->p_filesz &&
           memcmp(table.bytes, (const void *)(base + segment->p_vaddr), table.length) == 0;
}

struct comparison {
    const struct library *library;
    uintptr_t base;
    bool is_same;
};

/* Code and constants are in memory as in the file; only what is written to differs. */
static int compare_loaded(struct dl_phdr_info *info, size_t size, void *context)
{
    struct comparison *comparison = context;
    const struct elf_image *image = comparison->library->image;
    Elf64_Phdr segment;

    (void)size;
    if (info->dlpi_addr != comparison->base)
        return 0;
    comparison->is_same = info->dlpi_phnum == image->header.e_phnum;
    for (size_t i = 0; comparison->is_same && i < info->dlpi_phnum; i++) {
        comparison->is_same = elf_image_segment(image, i, &segment) &&
                              memcmp(&segment, &info->dlpi_phdr[i], sizeof(segment)) == 0;
        if (comparison->is_same && segment.p_type == PT_LOAD && (segment.p_flags & PF_W) == 0)
            comparison->is_same = is_same_segment(image, &segment, info->dlpi_addr);
    }
    return 1;
}

static bool is_loaded_from(const struct library *library, const struct link_map *map)
{
    struct comparison comparison = {.library = library, .base = map->l_addr};

    if (mapped_inode((uintptr_t)map->l_ld) == (uint64_t)library->inode)
        return true;
    dl_iterate_phdr(compare_loaded, &comparison);
    return comparison.is_same;
}

/* Asked for a name without a slash, the loader looks first at what is loaded, as it will for the copy. */
static enum berth_code look_at(const struct library *library, const char *original, struct siblings *siblings,
                               struct berth_error *err)
{
    void *handle = dlopen(library->name, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    const char *soname = NULL;
    struct link_map *map;
    uint64_t offset;
    bool is_same;

    if (handle != NULL) {
        is_same = dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && is_loaded_from(library, map);
        dlclose(handle);
        return is_same ? BERTH_OK
                       : berth_error_set(err, BERTH_FAILED_PRECONDITION,
                                         "%s: needs a daemon restart: %s changed since it was loaded",
                                         original, library->path);
    }
    if (elf_image_dynamic(library->image, DT_SONAME, 0, &offset))
        soname = elf_image_string(library->image, offset);
    if (soname == NULL || strcmp(soname, library->name) != 0)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: needs a daemon restart: it links %s as %s, but the library's soname is "
                               "%s, so a copy of the module would not find it; link it with -Wl,-soname,%s",
                               original, library->path, library->name, soname != NULL ? soname : "not set",
                               library->name);
    siblings->items = memory_grow(siblings->items, siblings->count, sizeof(*siblings->items));
    siblings->items[siblings->count++] = (struct sibling){
        .path = memory_copy(library->path), .device = library->device, .inode = library->inode};
    return BERTH_OK;
}

enum berth_code siblings_find(const void *bytes, size_t length, const char *original,
                              struct siblings *ret_siblings, struct berth_error *err)
{
    struct problem problem = {.err = err, .original = original};
    struct library_finder *finder;
    struct library_list list = {0};
    struct siblings siblings = {0};
    struct elf_image image;
    enum berth_code code;

    if (!elf_image_init(&image, bytes, length))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: its dynamic section is damaged or too long",
                               original);
    finder = library_finder_create(true);
    library_find_all(finder, &image, original, on_problem, &problem, &list);
    code = problem.code;
    for (size_t i = 0; code == BERTH_OK && i < list.count; i++)
        if (!list.items[i].is_system)
            code = look_at(&list.items[i], original, &siblings, err);
    library_list_finish(&list);
    library_finder_destroy(finder);
    if (code == BERTH_OK)
        *ret_siblings = siblings;
    else
        siblings_finish(&siblings);
    return code;
}

/* One that another of them needs may have to come first: whatever loads is loaded, until nothing more does.
 */
enum berth_code siblings_load(const struct siblings *siblings, void **ret_handles, struct berth_error *err)
{
    size_t loaded = 0, before;

    for (size_t i = 0; i < siblings->count; i++)
        ret_handles[i] = NULL;
    do {
        before = loaded;
        for (size_t i = siblings->count; i-- > 0;) {
            const struct sibling *sibling = &siblings->items[i];
            struct stat status;

            if (ret_handles[i] != NULL)
                continue;
            if (stat(sibling->path, &status) != 0 || status.st_dev != sibling->device ||
                status.st_ino != sibling->inode) {
                siblings_drop(ret_handles, siblings->count);
                return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                                       "%s: was replaced since it was checked; try again", sibling->path);
            }
            ret_handles[i] = dlopen(sibling->path, RTLD_NOW | RTLD_LOCAL);
            if (ret_handles[i] != NULL)
                loaded++;
            else
                berth_error_set(err, BERTH_UNAVAILABLE, "%s", dlerror());
        }
    } while (loaded < siblings->count && loaded > before);
    if (loaded == siblings->count)
        return BERTH_OK;
    siblings_drop(ret_handles, siblings->count);
    return BERTH_UNAVAILABLE;
}

void siblings_drop(void **handles, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (handles[i] != NULL)
            dlclose(handles[i]);
}

void siblings_finish(struct siblings *siblings)
{
    for (size_t i = 0; i < siblings->count; i++)
        free(siblings->items[i].path);
    free(siblings->items);
    *siblings = (struct siblings){0};
}
