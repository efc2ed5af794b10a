/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the loader and the kernel what is in memory; believes that something is gone only if all agree. */
#include "mapped.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct search {
    /* One of the two. */
    const char *path;
    const struct link_map *map;
    struct module_range range;
};

static int find_range(struct dl_phdr_info *info, size_t size, void *context)
{
    struct search *search = context;

    (void)size;
    if (search->map != NULL
            ? info->dlpi_addr != search->map->l_addr || strcmp(info->dlpi_name, search->map->l_name) != 0
            : strcmp(info->dlpi_name, search->path) != 0)
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

struct module_range mapped_range(const struct link_map *map)
{
    struct search search = {.map = map};

#ifdef DLFO_STRUCT_HAS_EH_DBASE
    /* glibc keeps a table by address; the list has all objects. */
    struct dl_find_object found;

    if (_dl_find_object(map->l_ld, &found) == 0 && found.dlfo_link_map == map)
        return (struct module_range){(uintptr_t)found.dlfo_map_start, (uintptr_t)found.dlfo_map_end};
#endif
    dl_iterate_phdr(find_range, &search);
    return search.range;
}

struct mapping {
    uintptr_t start, end;
    uint64_t inode;
    /** Empty if it has none; " (deleted)" may follow. */
    const char *path;
};

/* Visits the kernel's list until the visitor returns true. @return whether it did. */
static bool each_mapping(bool (*on_mapping)(void *context, const struct mapping *mapping), void *context)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t capacity = 0;
    bool is_done = false;

    while (maps != NULL && !is_done && getline(&line, &capacity, maps) > 0) {
        struct mapping mapping;
        int length = 0;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64 " %n", &mapping.start, &mapping.end,
                   &mapping.inode, &length) != 3)
            continue;
        line[strcspn(line, "\n")] = '\0';
        mapping.path = length > 0 ? line + length : "";
        is_done = on_mapping(context, &mapping);
    }
    free(line);
    if (maps != NULL)
        fclose(maps);
    return is_done;
}

struct inode_search {
    uintptr_t address;
    uint64_t inode;
};

static bool take_inode(void *context, const struct mapping *mapping)
{
    struct inode_search *search = context;

    if (search->address < mapping->start || search->address >= mapping->end)
        return false;
    search->inode = mapping->inode;
    return true;
}

uint64_t mapped_inode(uintptr_t address)
{
    struct inode_search search = {.address = address};

    each_mapping(take_inode, &search);
    return search.inode;
}

struct place {
    const char *path;
    struct module_range range;
};

static bool is_mapping_of(void *context, const struct mapping *mapping)
{
    const struct place *place = context;

    return mapping->start < place->range.end && mapping->end > place->range.start &&
           strncmp(mapping->path, place->path, strlen(place->path)) == 0;
}

static int is_object(struct dl_phdr_info *info, size_t size, void *context)
{
    const struct place *place = context;

    (void)size;
    return info->dlpi_addr >= place->range.start && info->dlpi_addr < place->range.end &&
           strcmp(info->dlpi_name, place->path) == 0;
}

static bool is_answered(const struct place *place)
{
    void *handle = dlopen(place->path, RTLD_LAZY | RTLD_NOLOAD);
    struct link_map *map = NULL;
    bool is_it;

    if (handle == NULL)
        return false;
    /* The loader also answers for a later file of the same path. */
    is_it = dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 ||
            ((uintptr_t)map->l_ld >= place->range.start && (uintptr_t)map->l_ld < place->range.end);
    dlclose(handle);
    return is_it;
}

static bool has_address(const struct place *place)
{
    Dl_info info;

    return dladdr((const void *)place->range.start, &info) != 0 && strcmp(info.dli_fname, place->path) == 0;
}

bool mapped_is_there(const char *path, struct module_range range)
{
    struct place place = {.path = path, .range = range};

    return dl_iterate_phdr(is_object, &place) != 0 || is_answered(&place) || has_address(&place) ||
           each_mapping(is_mapping_of, &place);
}
