/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for shared libraries along the dynamic linker's usual path. */
#include "library.h"

#include <stdlib.h>
#include <string.h>

#include "cname.h"
#include "file.h"
#include "linker_cache.h"

#define LIBRARY_MAX_BYTES ((size_t)1 << 30)

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#elif defined(__riscv)
#define MULTIARCH "riscv64-linux-gnu"
#else
#define MULTIARCH "."
#endif

static const char *const default_directories[] = {
    "/lib/" MULTIARCH, "/usr/lib/" MULTIARCH, "/lib64", "/usr/lib64", "/lib", "/usr/lib",
};

struct search {
    struct library_list *list;
    const char *name;
    unsigned machine;
};

/* Takes the file where it is a library of this machine; the path becomes the list's. */
static bool try_path(void *context, const char *path)
{
    struct search *search = context;
    struct library library = {0};
    size_t length;

    if (file_read(path, LIBRARY_MAX_BYTES, &library.bytes, &length, NULL) != BERTH_OK)
        return false;
    if (!elf_image_init(&library.image, library.bytes, length) ||
        library.image.header.e_machine != search->machine) {
        free(library.bytes);
        return false;
    }
    library.name = cname_format("%s", search->name);
    library.path = cname_format("%s", path);
    search->list->items =
        reallocarray(search->list->items, search->list->count + 1, sizeof(*search->list->items));
    if (search->list->items == NULL)
        abort();
    search->list->items[search->list->count++] = library;
    return true;
}

/* One folder of a path, with $ORIGIN for the folder of the file that has the path. */
static char *expand(const char *directory, size_t length, const char *user_path)
{
    const char *slash = strrchr(user_path, '/');
    size_t origin = strncmp(directory, "$ORIGIN", 7) == 0     ? 7
                    : strncmp(directory, "${ORIGIN}", 9) == 0 ? 9
                                                              : 0;

    if (origin == 0 || origin > length)
        return cname_format("%.*s", (int)length, directory);
    return cname_format("%.*s%.*s", slash == NULL ? 1 : (int)(slash - user_path),
                        slash == NULL ? "." : user_path, (int)(length - origin), directory + origin);
}

static bool try_directories(struct search *search, const char *directories, const char *user_path)
{
    bool found = false;

    for (const char *begin = directories; !found; begin++) {
        const char *end = strchrnul(begin, ':');
        char *directory = expand(begin, (size_t)(end - begin), user_path);
        char *path = cname_format("%s/%s", directory, search->name);

        found = try_path(search, path);
        free(path);
        free(directory);
        begin = end;
        if (*end == '\0')
            break;
    }
    return found;
}

static bool try_user(struct search *search, const struct elf_image *user, const char *user_path)
{
    uint64_t offset;
    const char *directories;

    if (!elf_image_dynamic(user, DT_RUNPATH, 0, &offset) && !elf_image_dynamic(user, DT_RPATH, 0, &offset))
        return false;
    directories = elf_image_string(user, offset);
    return directories != NULL && strlen(directories) < 65536 &&
           try_directories(search, directories, user_path);
}

static bool try_default(struct search *search)
{
    for (size_t i = 0; i < sizeof(default_directories) / sizeof(default_directories[0]); i++)
        if (try_directories(search, default_directories[i], "/"))
            return true;
    return false;
}

static bool is_listed(const struct library_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return true;
    return false;
}

bool library_add(struct library_list *list, const char *name, const struct elf_image *user,
                 const char *user_path)
{
    struct search search = {.list = list, .name = name, .machine = user->header.e_machine};

    if (is_listed(list, name))
        return true;
    if (strlen(name) > 4096)
        return false;
    if (strchr(name, '/') != NULL)
        return try_path(&search, name);
    return try_user(&search, user, user_path) || linker_cache_visit(name, try_path, &search) ||
           try_default(&search);
}

void library_list_finish(struct library_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        free(list->items[i].path);
        free(list->items[i].bytes);
    }
    free(list->items);
    *list = (struct library_list){0};
}
