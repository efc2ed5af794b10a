/* SPDX-License-Identifier: Apache-2.0 */
/* Reports missing libraries and undefined symbols. */
#include <stdlib.h>
#include <string.h>

#include <core/scan/scan.h>
#include <sdk/base/memory.h>

#include "check.h"

/* Linked into every program that contains a host. */
static const char c_library[] = "libc.so.6";
static const char loop_library[] = "libuv.so.1";

/* Sorted names, borrowed from the images. */
struct names {
    const char **items;
    size_t count;
};

/*
 * The module's final path is unknown here: findings that depend on it are warnings, unless it is already
 * there.
 */
struct problems {
    struct check_report *report;
    bool is_in_place;
};

static void report_problem(void *context, const struct library_problem *problem)
{
    struct problems *problems = context;
    bool may_move = problem->is_of_place && !problems->is_in_place;

    if (problem->code == BERTH_NOT_FOUND)
        check_report_add(problems->report, CHECK_ERROR, "libraries", "%s: install it, or link without it",
                         problem->message);
    else
        check_report_add(problems->report, may_move ? CHECK_WARNING : CHECK_ERROR, "libraries", "%s",
                         problem->message);
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
        add_exports(&names, list->items[i].image);
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
                         "%.200s belongs to libuv, which the file is not linked with: link with `pkg-config "
                         "--libs libuv`",
                         name);
    else if (is_of_a_sanitizer(name))
        check_report_add(report, CHECK_WARNING, "symbols",
                         "%.200s belongs to a sanitizer: only a host built with the same one can load it",
                         name);
    else if (strncmp(name, "berth_", 6) == 0)
        check_report_add(report, CHECK_ERROR, "symbols",
                         "%.200s is undefined: the host exports no symbols, but passes a table to the plugin",
                         name);
    else
        check_report_add(report, CHECK_ERROR, "symbols",
                         "%.200s is undefined: link the library that has it, or define it", name);
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
            check_report_add(report, CHECK_ERROR, "symbols", "the name of symbol %zu is outside the file", i);
        else if (!has_name(names, name))
            report_undefined(name, loop != NULL && elf_image_find_symbol(loop, name, &ignored), report);
    }
}

#define PRINTS "bypasses the daemon's log"
#define USE_LOG "use berth_log"

/* What a plugin had better not import: it shares its process with the host and all other plugins. */
static const struct process_wide {
    const char *name;
    const char *why;
    const char *instead;
} process_wide[] = {
    {"exit", "ends the daemon", "return an error, or call berth_fail"},
    {"_exit", "ends the daemon without a trace", "return an error; in a child it is fine"},
    {"abort", "ends the daemon", "return an error, or call berth_fail"},
    {"signal", "changes a handler for the whole daemon",
     "use uv_signal_start for signals the daemon leaves alone"},
    {"sigaction", "changes a handler for the whole daemon",
     "use uv_signal_start for signals the daemon leaves alone"},
    {"chdir", "changes the directory of the whole daemon",
     "use openat and the like, or uv_process_options_t.cwd"},
    {"fork", "copies the daemon with all its descriptors", "use uv_spawn"},
    {"setenv", "changes the environment of the whole daemon, and races with getenv",
     "pass variables in uv_process_options_t.env"},
    {"setlocale", "changes the locale of the whole daemon", "use newlocale and uselocale"},
    {"pthread_key_create", "registers a destructor that runs when a thread ends, perhaps after close",
     "keep the data in the instance"},
    {"__cxa_thread_atexit_impl", "registers a destructor that runs when a thread ends, perhaps after close",
     "keep the data in the instance, not in a thread_local object"},
    {"printf", PRINTS, USE_LOG},
    {"__printf_chk", PRINTS, USE_LOG},
    {"vprintf", PRINTS, USE_LOG},
    {"__vprintf_chk", PRINTS, USE_LOG},
    {"puts", PRINTS, USE_LOG},
    {"putchar", PRINTS, USE_LOG},
    {"perror", PRINTS, USE_LOG},
    {"stdout", PRINTS, USE_LOG},
    {"stderr", PRINTS, USE_LOG},
    {"_ZSt4cout", PRINTS, USE_LOG},
    {"_ZSt4cerr", PRINTS, USE_LOG},
    {"_ZSt4clog", PRINTS, USE_LOG},
};

static void check_process_wide(const struct elf_image *image, struct check_report *report)
{
    Elf64_Sym symbol;

    for (size_t i = 1; elf_image_symbol(image, i, &symbol); i++) {
        const char *name = elf_image_string(image, symbol.st_name);

        for (size_t k = 0; name != NULL && k < sizeof(process_wide) / sizeof(process_wide[0]); k++)
            if (symbol.st_shndx == SHN_UNDEF && strcmp(process_wide[k].name, name) == 0)
                check_report_add(report, CHECK_WARNING, "process", "imports %s, which %s; %s", name,
                                 process_wide[k].why, process_wide[k].instead);
    }
}

/* A name in the host's own libraries, and the library that has it. */
struct host_name {
    const char *name;
    const struct library *library;
};

struct host_names {
    struct host_name *items;
    size_t count;
    /** The libraries themselves: who needs the same one gets what it asked for. */
    struct library *libraries;
    size_t library_count;
};

static int compare_host_names(const void *a, const void *b)
{
    return strcmp(((const struct host_name *)a)->name, ((const struct host_name *)b)->name);
}

static void keep_library(void *context, const struct library *library)
{
    struct host_names *names = context;

    names->libraries = memory_grow(names->libraries, names->library_count, sizeof(*names->libraries));
    names->libraries[names->library_count++] = *library;
}

/* This program has the same libraries as berthd, and the same loader's rules. */
static struct host_names names_of_host(struct library_finder *finder)
{
    struct host_names names = {0};
    Elf64_Sym symbol;

    library_each_loaded(finder, keep_library, &names);
    for (size_t i = 0; i < names.library_count; i++) {
        const struct elf_image *image = names.libraries[i].image;

        names.items = memory_or_abort(
            reallocarray(names.items, names.count + image->symbol_count + 1, sizeof(*names.items)));
        for (size_t j = 1; elf_image_symbol(image, j, &symbol); j++)
            if (elf_symbol_is_exported(&symbol) && elf_image_string(image, symbol.st_name) != NULL)
                names.items[names.count++] =
                    (struct host_name){elf_image_string(image, symbol.st_name), &names.libraries[i]};
    }
    if (names.count > 0)
        qsort(names.items, names.count, sizeof(*names.items), compare_host_names);
    return names;
}

static const struct library *find_in_host(const struct host_names *names, const char *name)
{
    const struct host_name key = {.name = name};
    const struct host_name *found = names->count == 0 ? NULL
                                                      : bsearch(&key, names->items, names->count,
                                                                sizeof(*names->items), compare_host_names);

    return found == NULL ? NULL : found->library;
}

/* The first of the module's libraries that has the name. */
static const struct library *provider_of(const struct library_list *list, const char *name)
{
    Elf64_Sym ignored;

    for (size_t i = 0; i < list->count; i++)
        if (elf_image_find_symbol(list->items[i].image, name, &ignored))
            return &list->items[i];
    return NULL;
}

/* The loader looks into the program and its libraries first: a bundled library's calls go to the host's. */
static void check_exported(const char *name, const struct host_names *host, struct check_report *report)
{
    const struct library *library = find_in_host(host, name);

    if (library != NULL)
        check_report_add(
            report, CHECK_ERROR, "symbols",
            "%.200s is exported, and the host's %s has it too: calls go there, not to the module's own; link "
            "with -Wl,--exclude-libs,ALL or the version script of `pkg-config "
            "--variable=modulemap berth`",
            name, library->name);
}

static bool host_has_library(const struct host_names *host, const char *name)
{
    for (size_t i = 0; i < host->library_count; i++)
        if (strcmp(host->libraries[i].name, name) == 0)
            return true;
    return false;
}

/* Where the host has the library too, whatever stands before it there (an allocator, a sanitizer) does so for
 * the host itself. */
static void check_imported(const char *name, const struct host_names *host, const struct library_list *list,
                           struct check_report *report)
{
    const struct library *library = find_in_host(host, name);
    const struct library *provider = library == NULL ? NULL : provider_of(list, name);

    if (provider != NULL && strcmp(provider->name, library->name) != 0 &&
        !host_has_library(host, provider->name))
        check_report_add(
            report, CHECK_ERROR, "symbols",
            "%.200s is imported from %s, but the host's %s has it too and comes first: link the library "
            "statically, with -Wl,--exclude-libs,ALL",
            name, provider->name, library->name);
}

/* How many findings of one kind are listed. */
#define HOST_NAMES_MAX 8

static void check_host_names(const struct elf_image *image, struct library_finder *finder,
                             const struct library_list *list, struct check_report *report)
{
    struct host_names host = names_of_host(finder);
    bool is_symbolic = elf_image_flags(image, DT_FLAGS) & DF_SYMBOLIC;
    size_t errors = report->error_count;
    Elf64_Sym symbol;

    for (size_t i = 1; elf_image_symbol(image, i, &symbol) && report->error_count < errors + HOST_NAMES_MAX;
         i++) {
        const char *name = elf_image_string(image, symbol.st_name);

        if (name == NULL)
            continue;
        if (symbol.st_shndx == SHN_UNDEF)
            check_imported(name, &host, list, report);
        else if (elf_symbol_is_exported(&symbol) && ELF64_ST_VISIBILITY(symbol.st_other) != STV_PROTECTED &&
                 !is_symbolic)
            check_exported(name, &host, report);
    }
    free(host.items);
    free(host.libraries);
}

static bool is_trusted(const char *path)
{
    struct berth_error ignored;

    return verify_way(path, &ignored) == BERTH_OK;
}

void check_symbols(const struct elf_image *image, const char *path, struct library_names *libraries,
                   struct check_report *report)
{
    struct library_finder *finder = library_finder_create(false);
    char *real = realpath(path, NULL);
    const char *place = real != NULL ? real : path;
    struct problems problems = {.report = report, .is_in_place = is_trusted(place)};
    struct library_list list = {0}, host = {0};
    struct names names;
    char *conflict;

    library_find_all(finder, image, place, report_problem, &problems, &list);
    conflict = library_names_add(libraries, finder, image, path, &list);
    if (conflict != NULL)
        check_report_add(report, CHECK_WARNING, "libraries", "%s", conflict);
    free(conflict);
    check_host_names(image, finder, &list, report);
    check_process_wide(image, report);
    library_find(finder, c_library, image->header.e_machine, &list);
    library_find(finder, loop_library, image->header.e_machine, &host);
    names = exports_of(&list);
    check_undefined(image, &names, host.count == 0 ? NULL : host.items[0].image, report);
    free(names.items);
    library_list_finish(&host);
    library_list_finish(&list);
    library_finder_destroy(finder);
    free(real);
}
