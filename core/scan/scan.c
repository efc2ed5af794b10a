/* SPDX-License-Identifier: Apache-2.0 */
/* Walks plugin directories in their order and hands on the bytes of each file that may be trusted. */
#include "scan.h"

#include <dirent.h>
#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <berth/trust.h>

#include <config/text/utf8.h>

#include <sdk/base/memory.h>

/* Most modules are no larger, and are read into one buffer. */
#define BUFFER_BYTES ((size_t)32 * 1024)

/* A file or directory that was found, by the path the operator gave. */
struct seen {
    dev_t device;
    ino_t inode;
    char *path;
};

struct scanner {
    struct scan *scan;
    scan_reader *read;
    void *context;
    const struct scan_rules *rules;
    /* BUFFER_BYTES, on the heap: what a start touches of its stack stays resident. */
    char *buffer;
    /* Trees of struct seen, for tsearch. */
    void *files;
    void *directories;
};

static char *as_line(char *text)
{
    utf8_make_line(text);
    return text;
}

void scan_warn(struct scan *scan, const char *format, ...)
{
    va_list arguments;

    scan->warnings = memory_grow(scan->warnings, scan->warning_count, sizeof(scan->warnings[0]));
    va_start(arguments, format);
    scan->warnings[scan->warning_count++] = as_line(memory_format_arguments(format, arguments));
    va_end(arguments);
}

static void reject_directory(struct scan *scan, size_t directory, const char *given, const char *why,
                             bool is_missing)
{
    scan->rejections = memory_grow(scan->rejections, scan->rejection_count, sizeof(scan->rejections[0]));
    scan->rejections[scan->rejection_count++] = (struct scan_rejection){
        .directory = directory,
        .is_missing = is_missing,
        .reason = as_line(memory_format("%s: %s", given, why)),
    };
}

/* With errno. */
static void reject_unreadable(struct scan *scan, size_t directory, const char *given)
{
    bool is_missing = errno == ENOENT;
    char why[128];

    snprintf(why, sizeof(why), "cannot be read: %s", strerror(errno));
    reject_directory(scan, directory, given, is_missing ? "no such directory" : why, is_missing);
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

/* The path under which the same file or directory was found before; else remembers it and returns NULL. */
static const char *meet(void **tree, const struct stat *status, const char *path)
{
    struct seen *seen = memory_allocate(1, sizeof(*seen));
    struct seen *first;

    *seen = (struct seen){.device = status->st_dev, .inode = status->st_ino, .path = memory_copy(path)};
    first = *(struct seen **)memory_or_abort(tsearch(seen, tree, compare_seen));
    if (first == seen)
        return NULL;
    free_seen(seen);
    return first->path;
}

/* Into the buffer, or if it is larger into memory to be freed. @return BERTH_OK, or why not. */
static enum berth_code copy_file(struct scanner *scanner, struct scan_file *file, int fd, void **ret_bytes)
{
    size_t length = (size_t)file->status.st_size, done = 0;
    ssize_t count = 1;
    char *bytes = scanner->buffer;

    if (length > SCAN_COPY_MAX) {
        file->reason = memory_format("%s: has %zu bytes; files over %zu bytes cannot be verified", file->path,
                                     length, SCAN_COPY_MAX);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    if (length > BUFFER_BYTES && (bytes = malloc(length)) == NULL) {
        file->reason = memory_format("%s: no memory for its %zu bytes", file->path, length);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    while (done < length && count > 0) {
        count = TEMP_FAILURE_RETRY(pread(fd, bytes + done, length - done, (off_t)done));
        done += count > 0 ? (size_t)count : 0;
    }
    *ret_bytes = bytes;
    if (count < 0)
        file->reason = memory_format("%s: cannot be read: %s", file->path, strerror(errno));
    else if (done < length)
        file->reason = memory_format("%s: shrank while being read; try again", file->path);
    return count < 0 ? BERTH_UNAVAILABLE : done < length ? BERTH_INVALID_ARGUMENT : BERTH_OK;
}

static enum berth_code map_file(struct scan_file *file, int fd, void **ret_bytes)
{
    *ret_bytes = mmap(NULL, (size_t)file->status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (*ret_bytes != MAP_FAILED)
        return BERTH_OK;
    file->reason = memory_format("%s: cannot be read: %s", file->path, strerror(errno));
    return BERTH_UNAVAILABLE;
}

/* The only time that the file is read. Most modules are small, and for those reading takes a third of the
 * time of mapping and unmapping. */
static enum berth_code read_file(struct scanner *scanner, struct scan_file *file, int fd)
{
    size_t length = (size_t)file->status.st_size;
    bool is_mapped = !scanner->rules->needs_copy && length > BUFFER_BYTES;
    void *bytes = scanner->buffer;
    enum berth_code code = is_mapped ? map_file(file, fd, &bytes) : copy_file(scanner, file, fd, &bytes);

    if (code == BERTH_OK)
        code = scanner->read(scanner->context, file, bytes, length, &file->reason);
    if (is_mapped && bytes != MAP_FAILED)
        munmap(bytes, length);
    else if (!is_mapped && bytes != scanner->buffer)
        free(bytes);
    return code;
}

static void keep(struct scan *scan, struct scan_file file)
{
    if (file.reason != NULL)
        utf8_make_line(file.reason);
    scan->files = memory_grow(scan->files, scan->count, sizeof(file));
    scan->files[scan->count++] = file;
}

static struct scan_pin *find_pin(const struct scanner *scanner, const char *path)
{
    for (size_t i = 0; i < scanner->rules->pin_count; i++)
        if (strcmp(scanner->rules->pins[i].path, path) == 0)
            return &scanner->rules->pins[i];
    return NULL;
}

/* The same rules apply to it as to a file. @return has it been used? */
static bool read_pinned(struct scanner *scanner, struct scan_pin *pin)
{
    struct scan_file file = {.path = memory_copy(pin->path),
                             .shown = as_line(memory_copy(pin->path)),
                             .status = pin->status,
                             .pin = pin};
    struct berth_error err;
    struct stat status;

    if (fstat(pin->fd, &status) != 0 || !verify_is_same_content(&pin->opened, &status))
        file.reason = memory_format("%s: its earlier content was overwritten", pin->path);
    else if (scanner->rules->needs_owner && berth_trust_status(pin->path, &status, &err) != BERTH_OK)
        file.reason = memory_copy(err.message);
    else
        file.code = read_file(scanner, &file, pin->fd);
    file.pin = NULL;
    if (file.reason == NULL) {
        file.held_back = memory_copy(pin->held_back != NULL ? pin->held_back : "");
        keep(scanner->scan, file);
        return true;
    }
    free(pin->objection);
    pin->objection = as_line(file.reason);
    free(file.shown);
    free(file.path);
    return false;
}

/* @return has its pin been used instead? */
static bool use_pin(struct scanner *scanner, const char *path)
{
    struct scan_pin *pin = find_pin(scanner, path);

    if (pin == NULL || pin->fd >= 0)
        return pin != NULL && read_pinned(scanner, pin);
    scan_warn(scanner->scan,
              "%s: held back by a rollback to %s, until another file is installed or `berthctl plugins "
              "upgrade` is run",
              path, pin->instead);
    return true;
}

static void scan_file(struct scanner *scanner, const char *directory, const char *name)
{
    char *found = memory_format("%s/%s", directory, name);
    struct scan_file file = {0};
    struct berth_error err;
    const char *first;
    int fd;

    file.code =
        verify_open(directory, name, scanner->rules->needs_owner, &fd, &file.path, &file.status, &err);
    if (file.code != BERTH_OK && use_pin(scanner, found)) {
        free(found);
        return;
    }
    if (file.code != BERTH_OK) {
        file.path = found;
        file.shown = as_line(memory_copy(found));
        file.reason = memory_copy(err.message);
        keep(scanner->scan, file);
        return;
    }
    first = meet(&scanner->files, &file.status, found);
    if (first == NULL && use_pin(scanner, file.path)) {
        free(file.path);
    } else if (first == NULL) {
        file.shown = as_line(memory_copy(file.path));
        file.code = read_file(scanner, &file, fd);
        keep(scanner->scan, file);
    } else {
        scan_warn(scanner->scan, "%s: same file as %s; used once", found, first);
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

/* The name of a pin for a file of this directory; NULL: it is of another. */
static const char *name_in(const char *directory, const struct scan_pin *pin)
{
    size_t length = strlen(directory);
    const char *rest = pin->path + length;

    if (strncmp(pin->path, directory, length) != 0 || rest[0] != '/' || strchr(rest + 1, '/') != NULL)
        return NULL;
    return rest + 1;
}

/* The first name after `after`, in the order of bytes, of a file that is pinned; NULL: none. */
static const char *next_pinned(const struct scanner *scanner, const char *directory, const char *after)
{
    const char *next = NULL;

    for (size_t i = 0; i < scanner->rules->pin_count; i++) {
        const char *name = name_in(directory, &scanner->rules->pins[i]);

        if (name != NULL && strcmp(name, after) > 0 && (next == NULL || strcmp(name, next) < 0))
            next = name;
    }
    return next;
}

/* Those that are pinned and come before a name, and are no longer in the directory; NULL: all that is left.
 */
static const char *scan_pinned(struct scanner *scanner, const char *directory, const char *pinned,
                               const char *before)
{
    while (pinned != NULL && (before == NULL || strcmp(pinned, before) < 0)) {
        scan_file(scanner, directory, pinned);
        pinned = next_pinned(scanner, directory, pinned);
    }
    if (pinned != NULL && strcmp(pinned, before) == 0)
        return next_pinned(scanner, directory, pinned);
    return pinned;
}

static void scan_names(struct scanner *scanner, size_t index, const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_module_name, compare_names);
    const char *pinned = next_pinned(scanner, directory, "");

    if (count < 0) {
        reject_unreadable(scanner->scan, index, directory);
        return;
    }
    for (int i = 0; i < count; i++) {
        pinned = scan_pinned(scanner, directory, pinned, entries[i]->d_name);
        scan_file(scanner, directory, entries[i]->d_name);
        free(entries[i]);
    }
    scan_pinned(scanner, directory, pinned, NULL);
    free(entries);
}

static void scan_directory(struct scanner *scanner, size_t index, const char *given)
{
    char *directory = realpath(given, NULL);
    struct berth_error err;
    struct stat status;
    const char *first;

    if (directory == NULL || stat(directory, &status) != 0)
        reject_unreadable(scanner->scan, index, given);
    else if (scanner->rules->needs_owner && berth_trust_folder(directory, &err) != BERTH_OK)
        reject_directory(scanner->scan, index, given, err.message, false);
    else if ((first = meet(&scanner->directories, &status, given)) != NULL)
        scan_warn(scanner->scan, "%s: same plugin directory as %s; read once", given, first);
    else
        scan_names(scanner, index, directory);
    free(directory);
}

void scan_directories(const char *const *directories, size_t count, const struct scan_rules *rules,
                      scan_reader *read, void *context, struct scan *ret_scan)
{
    struct scanner scanner = {.scan = ret_scan, .read = read, .context = context, .rules = rules};

    scanner.buffer = memory_allocate(1, BUFFER_BYTES);
    *ret_scan = (struct scan){0};
    for (size_t i = 0; i < count; i++)
        scan_directory(&scanner, i, directories[i]);
    free(scanner.buffer);
    tdestroy(scanner.files, free_seen);
    tdestroy(scanner.directories, free_seen);
}

void scan_finish(struct scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        free(scan->files[i].path);
        free(scan->files[i].shown);
        free(scan->files[i].reason);
        free(scan->files[i].held_back);
    }
    for (size_t i = 0; i < scan->warning_count; i++)
        free(scan->warnings[i]);
    for (size_t i = 0; i < scan->rejection_count; i++)
        free(scan->rejections[i].reason);
    free(scan->rejections);
    free(scan->files);
    free(scan->warnings);
    *scan = (struct scan){0};
}
