/* SPDX-License-Identifier: Apache-2.0 */
/* Finds modules that need different libraries under one name. */
#include "library_names.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Who came first under a name: a library and the module that needs it, or a module by its own soname. */
struct named {
    char *name;
    dev_t device;
    ino_t inode;
    char *path;
    char *module;
};

static void *or_abort(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static void free_named(void *node)
{
    struct named *entry = node;

    free(entry->name);
    free(entry->path);
    free(entry->module);
    free(entry);
}

static const struct named *find(void *const *tree, const char *name)
{
    const struct named key = {.name = (char *)(uintptr_t)name};
    struct named *const *found = tfind(&key, tree, compare);

    return found == NULL ? NULL : *found;
}

static void keep(void **tree, const struct library *library, const char *module)
{
    struct named *entry;

    if (find(tree, library->name) != NULL)
        return;
    entry = or_abort(malloc(sizeof(*entry)));
    *entry = (struct named){.name = or_abort(strdup(library->name)),
                            .device = library->device,
                            .inode = library->inode,
                            .path = or_abort(strdup(library->path)),
                            .module = or_abort(strdup(module))};
    or_abort(tsearch(entry, tree, compare));
}

static bool is_other(const struct named *entry, const struct library *library)
{
    return entry != NULL && (entry->device != library->device || entry->inode != library->inode);
}

static const char advice[] = "give one of the two another soname";

__attribute__((format(printf, 1, 2))) static char *sentence(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    return text;
}

static char *compare_library(struct library_names *names, const struct library_finder *finder,
                             const struct library *library)
{
    const struct named *needed = find(&names->needed, library->name);
    const struct named *soname = find(&names->sonames, library->name);
    dev_t device = 0;
    ino_t inode = 0;
    const char *loaded = library_find_loaded(finder, library->name, &device, &inode);

    if (loaded != NULL && (device != library->device || inode != library->inode))
        return sentence("it is linked to %s, but gets the host's own %s, which has the same name; %s",
                        library->path, loaded, advice);
    if (is_other(needed, library))
        return sentence(
            "it is linked to %s, and %s to %s, which has the same name: whichever module is loaded second "
            "gets the library of the first; %s",
            library->path, needed->module, needed->path, advice);
    if (is_other(soname, library))
        return sentence(
            "it is linked to %s, and the module %s has that name as its soname: it may get the module "
            "instead; %s",
            library->path, soname->module, advice);
    return NULL;
}

/* A module that calls itself as a library that others need. */
static char *compare_soname(struct library_names *names, const struct library_finder *finder,
                            const char *soname)
{
    const struct named *needed = find(&names->needed, soname);
    dev_t device;
    ino_t inode;
    const char *loaded = library_find_loaded(finder, soname, &device, &inode);

    if (loaded == NULL && needed == NULL)
        return NULL;
    return sentence("its soname %.200s is also that of %s: who needs the library may get this module; %s",
                    soname, loaded != NULL ? loaded : needed->path, advice);
}

char *library_names_add(struct library_names *names, const struct library_finder *finder,
                        const struct elf_image *image, const char *module, const struct library_list *list)
{
    uint64_t offset;
    const char *soname =
        elf_image_dynamic(image, DT_SONAME, 0, &offset) ? elf_image_string(image, offset) : NULL;
    const struct library self = {.name = soname, .path = module};
    char *conflict = NULL;

    for (size_t i = 0; i < list->count; i++) {
        if (conflict == NULL)
            conflict = compare_library(names, finder, &list->items[i]);
        keep(&names->needed, &list->items[i], module);
    }
    if (soname == NULL)
        return conflict;
    if (conflict == NULL)
        conflict = compare_soname(names, finder, soname);
    keep(&names->sonames, &self, module);
    return conflict;
}

void library_names_finish(struct library_names *names)
{
    tdestroy(names->needed, free_named);
    tdestroy(names->sonames, free_named);
    *names = (struct library_names){NULL, NULL};
}
