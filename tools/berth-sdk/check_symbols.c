/* SPDX-License-Identifier: Apache-2.0 */
/* Finds what a module needs and nobody provides: libraries, and symbols of them. */
#include <stdlib.h>
#include <string.h>

#include "check_rules.h"
#include "library.h"

/* More than any module has; a hostile file could name millions. */
#define NEEDED_MAX 256

/* Every program with a host in it has these two. */
static const char c_library[] = "libc.so.6";
static const char loop_library[] = "libuv.so.1";

/* Sorted names, borrowed from the images. */
struct names {
    const char **items;
    size_t count;
};

static void add_needed(struct library_list *list, const struct elf_image *user, const char *user_path,
                       struct check_report *report)
{
    uint64_t offset;

    for (size_t i = 0; list->count < NEEDED_MAX && elf_image_dynamic(user, DT_NEEDED, i, &offset); i++) {
        const char *name = elf_image_string(user, offset);

        if (i == NEEDED_MAX || name == NULL) {
            check_report_add(report, CHECK_ERROR, "libraries", "its list of libraries is damaged");
            return;
        }
        if (!library_add(list, name, user, user_path))
            check_report_add(
                report, CHECK_ERROR, "libraries",
                "%.200s is needed by %s and is not on this machine: install it, or link without it", name,
                user_path);
    }
}

/* The closure of what the image needs, in the dynamic linker's order. */
static void add_all_needed(struct library_list *list, const struct elf_image *image, const char *path,
                           struct check_report *report)
{
    add_needed(list, image, path, report);
    for (size_t i = 0; i < list->count; i++) {
        struct elf_image user = list->items[i].image;

        add_needed(list, &user, list->items[i].path, report);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_exports(struct names *names, const struct elf_image *image)
{
    Elf64_Sym symbol;

    if (image->symbol_count == 0)
        return;
    names->items = reallocarray(names->items, names->count + image->symbol_count, sizeof(*names->items));
    if (names->items == NULL)
        abort();
    for (size_t i = 1; elf_image_symbol(image, i, &symbol); i++) {
        const char *name = elf_image_string(image, symbol.st_name);

        if (name != NULL && elf_symbol_is_exported(&symbol))
            names->items[names->count++] = name;
    }
}

static struct names exports_of(const struct library_list *list)
{
    struct names names = {0};

    for (size_t i = 0; i < list->count; i++)
        add_exports(&names, &list->items[i].image);
    if (names.count > 0)
        qsort(names.items, names.count, sizeof(*names.items), compare_names);
    return names;
}

static bool has_name(const struct names *names, const char *name)
{
    return names->count > 0 &&
           bsearch(&name, names->items, names->count, sizeof(*names->items), compare_names) != NULL;
}

static bool is_of_a_sanitizer(const char *name)
{
    static const char *const prefixes[] = {"__asan_", "__ubsan_", "__lsan_",
                                           "__tsan_", "__msan_",  "__sanitizer_"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static void report_undefined(const char *name, bool loop_has_it, struct check_report *report)
{
    if (loop_has_it)
        check_report_add(report, CHECK_WARNING, "symbols",
                         "%.200s is libuv's, which the file does not name as needed: link with `pkg-config "
                         "--libs libuv`",
                         name);
    else if (is_of_a_sanitizer(name))
        check_report_add(report, CHECK_WARNING, "symbols",
                         "%.200s is of a sanitizer: only a host built with the same one can load it", name);
    else if (strncmp(name, "berth_", 6) == 0)
        check_report_add(report, CHECK_ERROR, "symbols",
                         "%.200s is not provided by anybody: the host exports nothing, it hands in a table",
                         name);
    else
        check_report_add(report, CHECK_ERROR, "symbols",
                         "%.200s is used and no library that it needs has it: link the library, or define it",
                         name);
}

static void check_undefined(const struct elf_image *image, const struct names *names,
                            const struct elf_image *loop, struct check_report *report)
{
    Elf64_Sym symbol, ignored;

    for (size_t i = 1; elf_image_symbol(image, i, &symbol); i++) {
        const char *name = elf_image_string(image, symbol.st_name);

        if (symbol.st_shndx != SHN_UNDEF || ELF64_ST_BIND(symbol.st_info) != STB_GLOBAL)
            continue;
        if (name == NULL)
            check_report_add(report, CHECK_ERROR, "symbols", "symbol %zu has a name outside the file", i);
        else if (!has_name(names, name))
            report_undefined(name, loop != NULL && elf_image_find_symbol(loop, name, &ignored), report);
    }
}

void check_symbols(const struct elf_image *image, const char *path, struct check_report *report)
{
    struct library_list list = {0}, host = {0};
    struct names names;

    add_all_needed(&list, image, path, report);
    library_add(&list, c_library, image, path);
    library_add(&host, loop_library, image, path);
    names = exports_of(&list);
    check_undefined(image, &names, host.count == 0 ? NULL : &host.items[0].image, report);
    free(names.items);
    library_list_finish(&host);
    library_list_finish(&list);
}
