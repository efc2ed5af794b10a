/* SPDX-License-Identifier: Apache-2.0 */
/* Follows the loader's lists of what loaded objects need, by the names it knows them under. */
#include "needs.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

#include "mapped.h"

struct needs {
    struct needed {
        const struct link_map *map;
        struct module_range range;
        bool is_hosts;
    } * items;
    size_t count;
};

static bool is_listed(const struct needs *needs, const struct link_map *map)
{
    for (size_t i = 0; i < needs->count; i++)
        if (needs->items[i].map == map)
            return true;
    return false;
}

/* Most processors' loaders write addresses into the section, others leave offsets. */
static const void *table_of(const struct link_map *map, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return (const void *)(entry->d_un.d_ptr < map->l_addr ? map->l_addr + entry->d_un.d_ptr
                                                                  : entry->d_un.d_ptr);
    return NULL;
}

/* What is not defined stands before what is hashed; without that table, among all symbols. */
static size_t count_undefined(const struct link_map *map)
{
    const uint32_t *gnu_hash = table_of(map, DT_GNU_HASH), *hash = table_of(map, DT_HASH);

    return gnu_hash != NULL ? gnu_hash[1] : hash != NULL ? hash[1] : 0;
}

bool needs_object_imports(const struct link_map *map, const char *name)
{
    const char *strings = table_of(map, DT_STRTAB);
    const ElfW(Sym) *symbols = table_of(map, DT_SYMTAB);
    size_t count = count_undefined(map);

    for (size_t i = 1; strings != NULL && symbols != NULL && i < count; i++)
        if (symbols[i].st_shndx == SHN_UNDEF && strcmp(strings + symbols[i].st_name, name) == 0)
            return true;
    return false;
}

static void add_needed_of(struct needs *needs, const struct link_map *map, bool is_hosts)
{
    const char *strings = table_of(map, DT_STRTAB);

    for (const ElfW(Dyn) *entry = map->l_ld; strings != NULL && entry->d_tag != DT_NULL; entry++) {
        void *handle = entry->d_tag == DT_NEEDED
                           ? dlopen(strings + entry->d_un.d_val, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD)
                           : NULL;
        struct link_map *found;

        if (handle == NULL)
            continue;
        if (dlinfo(handle, RTLD_DI_LINKMAP, &found) == 0 && !is_listed(needs, found)) {
            needs->items = memory_grow(needs->items, needs->count, sizeof(*needs->items));
            needs->items[needs->count++] =
                (struct needed){.map = found, .range = mapped_range(found), .is_hosts = is_hosts};
        }
        dlclose(handle);
    }
}

static void add_all_of(struct needs *needs, const struct link_map *map, bool is_hosts)
{
    size_t first = needs->count;

    add_needed_of(needs, map, is_hosts);
    for (size_t i = first; i < needs->count; i++)
        add_needed_of(needs, needs->items[i].map, is_hosts);
}

struct needs *needs_find(void *handle)
{
    struct needs *needs = memory_allocate(1, sizeof(*needs));
    void *program = dlopen(NULL, RTLD_LAZY);
    struct link_map *map;

    if (program != NULL && dlinfo(program, RTLD_DI_LINKMAP, &map) == 0)
        add_all_of(needs, map, true);
    if (program != NULL)
        dlclose(program);
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0)
        add_all_of(needs, map, false);
    return needs;
}

bool needs_import(const struct needs *needs, const char *name)
{
    for (size_t i = 0; i < needs->count; i++)
        if (!needs->items[i].is_hosts && needs_object_imports(needs->items[i].map, name))
            return true;
    return false;
}

bool needs_has_address(const struct needs *needs, uintptr_t address)
{
    for (size_t i = 0; i < needs->count; i++)
        if (!needs->items[i].is_hosts && address >= needs->items[i].range.start &&
            address < needs->items[i].range.end)
            return true;
    return false;
}

void needs_destroy(struct needs *needs)
{
    if (needs == NULL)
        return;
    free(needs->items);
    free(needs);
}
