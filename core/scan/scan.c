/* SPDX-License-Identifier: Apache-2.0 */
/* Walks plugin directories in their order and reads the manifest of each file that may be trusted. */
#include "scan.h"

#include <dirent.h>
#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <config/utf8.h>

#include <core/manifest/library.h>
#include <core/manifest/library_names.h>
#include <core/manifest/note.h>
#include "verify.h"

/* Warnings about one manifest, and about all of them: a folder of modules from the future is no flood. */
#define MANIFEST_WARNINGS_MAX 8
#define ALL_WARNINGS_MAX 64

/* A file or directory that was met, as the operator gave it. */
struct seen {
    dev_t device;
    ino_t inode;
    char *path;
};

struct scanner {
    struct scan *scan;
    struct library_finder *finder;
    struct library_names names;
    char buffer[32768];
    /* Trees of struct seen, for tsearch. */
    void *files;
    void *directories;
    size_t file_capacity;
    /* How many lines there were about what is ignored in manifests, said or not. */
    size_t manifest_warnings;
};

static void *or_abort(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static char *copy(const char *text)
{
    return or_abort(strdup(text));
}

BERTH_PRINTF(2, 3)
static void warn(struct scan *scan, const char *format, ...)
{
    va_list arguments;
    char *line = NULL;

    va_start(arguments, format);
    if (vasprintf(&line, format, arguments) < 0)
        abort();
    va_end(arguments);
    scan->warnings = or_abort(realloc(scan->warnings, (scan->warning_count + 1) * sizeof(scan->warnings[0])));
    scan->warnings[scan->warning_count++] = line;
}

static void warn_of_manifest(struct scanner *scanner, const char *line)
{
    if (scanner->manifest_warnings++ < ALL_WARNINGS_MAX) {
        warn(scanner->scan, "%s", line);
        utf8_make_line(scanner->scan->warnings[scanner->scan->warning_count - 1]);
    }
}

static void refuse_directory(struct scan *scan, size_t directory, const char *given, const char *why,
                             bool is_missing)
{
    struct scan_refusal refusal = {.directory = directory, .is_missing = is_missing};

    if (asprintf(&refusal.reason, "%s: %s", given, why) < 0)
        abort();
    utf8_make_line(refusal.reason);
    scan->refusals = or_abort(realloc(scan->refusals, (scan->refusal_count + 1) * sizeof(refusal)));
    scan->refusals[scan->refusal_count++] = refusal;
}

/* With errno. */
static void refuse_unreadable(struct scan *scan, size_t directory, const char *given)
{
    bool is_missing = errno == ENOENT;
    char why[128];

    snprintf(why, sizeof(why), "cannot be read: %s", strerror(errno));
    refuse_directory(scan, directory, given, is_missing ? "no such directory" : why, is_missing);
}

static void add_file(struct scanner *scanner, const struct scan_file *file)
{
    struct scan *scan = scanner->scan;

    if (scan->count == scanner->file_capacity) {
        scanner->file_capacity = scanner->file_capacity == 0 ? 64 : scanner->file_capacity * 2;
        scan->files = or_abort(realloc(scan->files, scanner->file_capacity * sizeof(scan->files[0])));
    }
    scan->files[scan->count++] = *file;
}

static int compare_seen(const void *a, const void *b)
{
    const struct seen *left = a;
    const struct seen *right = b;

    if (left->device != right->device)
        return left->device < right->device ? -1 : 1;
    return (left->inode > right->inode) - (left->inode < right->inode);
}

static void free_seen(void *node)
{
    struct seen *seen = node;

    free(seen->path);
    free(seen);
}

/* The path under which the same thing was met before; NULL, and it is kept, where it is met first. */
static const char *meet(void **tree, const struct stat *status, const char *path)
{
    struct seen *seen = or_abort(malloc(sizeof(*seen)));
    struct seen *first;

    *seen = (struct seen){.device = status->st_dev, .inode = status->st_ino, .path = copy(path)};
    first = *(struct seen **)or_abort(tsearch(seen, tree, compare_seen));
    if (first == seen)
        return NULL;
    free_seen(seen);
    return first->path;
}

static char *reason_of(struct config_diagnostics *diagnostics)
{
    const struct config_diagnostic *first = NULL;
    char *line, *reason;

    config_diagnostics_sort(diagnostics);
    for (size_t i = 0; i < diagnostics->count && first == NULL; i++) {
        if (diagnostics->items[i].severity == CONFIG_ERROR)
            first = &diagnostics->items[i];
    }
    if (first == NULL)
        return copy("its manifest is wrong");
    line = config_diagnostic_format(first);
    if (diagnostics->error_count == 1)
        return line;
    if (asprintf(&reason, "%s (and %zu more in this manifest)", line, diagnostics->error_count - 1) < 0)
        abort();
    free(line);
    return reason;
}

/* What of a manifest is ignored; of many such things the first few are enough. */
static void warn_of_ignored(struct scanner *scanner, struct config_diagnostics *diagnostics)
{
    size_t said = 0;

    config_diagnostics_sort(diagnostics);
    for (; said < diagnostics->count && said < MANIFEST_WARNINGS_MAX; said++) {
        char *line = config_diagnostic_format(&diagnostics->items[said]);

        warn_of_manifest(scanner, line);
        free(line);
    }
    if (said < diagnostics->count) {
        char *line;

        if (asprintf(&line, "%s: and %zu more warnings about this file", diagnostics->items[0].mark.file,
                     diagnostics->count - said + diagnostics->dropped) < 0)
            abort();
        warn_of_manifest(scanner, line);
        free(line);
    }
}

static void read_manifest(struct scanner *scanner, struct scan_file *file, const char *text, size_t length)
{
    struct config_diagnostics diagnostics = {.forgives_unknown = true};

    file->manifest = manifest_parse(file->shown, text, length, &diagnostics);
    if (file->manifest == NULL) {
        file->code = BERTH_INVALID_ARGUMENT;
        file->reason = reason_of(&diagnostics);
    } else {
        warn_of_ignored(scanner, &diagnostics);
    }
    config_diagnostics_finish(&diagnostics);
}

static void read_note(struct scanner *scanner, struct scan_file *file, int fd)
{
    struct berth_error err;
    char *text = NULL;
    size_t length = 0;

    file->code = note_read(fd, file->path, &text, &length, &err);
    if (file->code == BERTH_OK)
        read_manifest(scanner, file, text, length);
    else
        file->reason = copy(err.message);
    free(text);
}

static void keep_problem(void *context, const struct library_problem *problem)
{
    struct scan_file *file = context;

    if (file->manifest->objection != NULL)
        return;
    file->manifest->objection_code = problem->code == BERTH_NOT_FOUND ? BERTH_UNAVAILABLE : problem->code;
    if (asprintf(&file->manifest->objection, "%s: %s", file->shown, problem->message) < 0)
        abort();
    utf8_make_line(file->manifest->objection);
}

static void check_image(struct scanner *scanner, struct scan_file *file, const void *bytes, size_t length)
{
    struct library_list list = {0};
    struct elf_image image;

    if (!elf_image_init(&image, bytes, length)) {
        const struct library_problem problem = {BERTH_INVALID_ARGUMENT, false,
                                                "its dynamic section is damaged or too long"};

        keep_problem(file, &problem);
        return;
    }
    library_find_all(scanner->finder, &image, file->path, keep_problem, file, &list);
    file->conflict = library_names_add(&scanner->names, scanner->finder, &image, file->shown, &list);
    library_list_finish(&list);
    if (file->conflict != NULL) {
        utf8_make_line(file->conflict);
        warn(scanner->scan, "%s: %s", file->shown, file->conflict);
    }
}

/* Most modules are small: of a thousand, reading takes a third of the time of mapping and unmapping. */
static void check_libraries(struct scanner *scanner, struct scan_file *file, int fd)
{
    size_t length = (size_t)file->status.st_size;
    ssize_t count;
    void *bytes;

    if (length <= sizeof(scanner->buffer)) {
        count = pread(fd, scanner->buffer, length, 0);
        if (count > 0)
            check_image(scanner, file, scanner->buffer, (size_t)count);
        return;
    }
    bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return;
    check_image(scanner, file, bytes, length);
    munmap(bytes, length);
}

/* A list that holds what is no text cannot be read by anybody. */
static void keep(struct scanner *scanner, struct scan_file *file)
{
    if (file->reason != NULL)
        utf8_make_line(file->reason);
    add_file(scanner, file);
}

static char *as_line(const char *path)
{
    char *line = copy(path);

    utf8_make_line(line);
    return line;
}

static void scan_file(struct scanner *scanner, const char *directory, const char *name)
{
    struct scan_file file = {0};
    struct berth_error err;
    const char *first;
    char *found;
    int fd;

    if (asprintf(&found, "%s/%s", directory, name) < 0)
        abort();
    file.code = verify_open(directory, name, &fd, &file.path, &file.status, &err);
    if (file.code != BERTH_OK) {
        file.path = found;
        file.shown = as_line(found);
        file.reason = copy(err.message);
        keep(scanner, &file);
        return;
    }
    first = meet(&scanner->files, &file.status, found);
    if (first == NULL) {
        file.shown = as_line(file.path);
        read_note(scanner, &file, fd);
        if (file.manifest != NULL)
            check_libraries(scanner, &file, fd);
        keep(scanner, &file);
    } else {
        warn(scanner->scan, "%s: is the same file as %s; it is taken once", found, first);
        free(file.path);
    }
    close(fd);
    free(found);
}

static int is_module_name(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 3 && strcmp(entry->d_name + length - 3, ".so") == 0;
}

/* By bytes, so that the order depends on no locale. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void scan_names(struct scanner *scanner, size_t index, const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_module_name, compare_names);

    if (count < 0) {
        refuse_unreadable(scanner->scan, index, directory);
        return;
    }
    for (int i = 0; i < count; i++) {
        scan_file(scanner, directory, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

static void scan_directory(struct scanner *scanner, size_t index, const char *given)
{
    char *directory = realpath(given, NULL);
    struct berth_error err;
    struct stat status;
    const char *first;

    if (directory == NULL || stat(directory, &status) != 0) {
        refuse_unreadable(scanner->scan, index, given);
    } else if (verify_directory(directory, &err) != BERTH_OK) {
        refuse_directory(scanner->scan, index, given, err.message, false);
    } else if ((first = meet(&scanner->directories, &status, given)) != NULL) {
        warn(scanner->scan, "%s: is the same plugin directory as %s; it is read once", given, first);
    } else {
        scan_names(scanner, index, directory);
    }
    free(directory);
}

void scan_directories(const char *const *directories, size_t count, struct scan *ret_scan)
{
    struct scanner scanner = {.scan = ret_scan, .finder = library_finder_create(true)};

    *ret_scan = (struct scan){0};
    for (size_t i = 0; i < count; i++)
        scan_directory(&scanner, i, directories[i]);
    if (scanner.manifest_warnings > ALL_WARNINGS_MAX)
        warn(ret_scan, "and %zu more warnings about manifests", scanner.manifest_warnings - ALL_WARNINGS_MAX);
    library_finder_destroy(scanner.finder);
    library_names_finish(&scanner.names);
    tdestroy(scanner.files, free_seen);
    tdestroy(scanner.directories, free_seen);
}

void scan_finish(struct scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        manifest_destroy(scan->files[i].manifest);
        free(scan->files[i].path);
        free(scan->files[i].shown);
        free(scan->files[i].reason);
        free(scan->files[i].conflict);
    }
    for (size_t i = 0; i < scan->warning_count; i++)
        free(scan->warnings[i]);
    for (size_t i = 0; i < scan->refusal_count; i++)
        free(scan->refusals[i].reason);
    free(scan->refusals);
    free(scan->files);
    free(scan->warnings);
    *scan = (struct scan){0};
}
