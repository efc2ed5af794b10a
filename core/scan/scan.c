/* SPDX-License-Identifier: Apache-2.0 */
/* Walks plugin directories in their order and hands on the bytes of each file that may be trusted. */
#include "scan.h"

#include <dirent.h>
#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/trust.h>

#include <config/text/utf8.h>

#include <core/base/ordered.h>
#include <sdk/base/memory.h>

/* Larger files are not read ahead, so that what is kept of files that wait for their turn is bounded. */
#define AHEAD_BYTES ((size_t)256 * 1024)

/* A file or directory that was found, by the path the operator gave. */
struct seen {
    dev_t device;
    ino_t inode;
    char *path;
};

/* What a name in a directory leads to. */
struct candidate {
    /* The path by which it was found, and the place of its name in it. */
    char *found;
    const char *name;
    /* It was opened; otherwise the file has the reason. */
    bool was_opened;
    struct scan_file file;
    /* While it is open. */
    int fd;
    /* What was read ahead; NULL: nothing. */
    void *bytes, *read;
};

struct scanner {
    struct scan *scan;
    const struct scan_reader *reader;
    const struct scan_rules *rules;
    struct candidate *candidates;
    size_t candidate_count;
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

/* Into memory to be freed. @return BERTH_OK, or why not. */
static enum berth_code copy_file(struct scan_file *file, int fd, void **ret_bytes)
{
    size_t length = (size_t)file->status.st_size, done = 0;
    ssize_t count = 1;
    char *bytes;

    if (length > SCAN_FILE_MAX) {
        file->reason = memory_format("%s: has %zu bytes; files over %zu bytes are not read", file->path,
                                     length, SCAN_FILE_MAX);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    bytes = malloc(length > 0 ? length : 1);
    if (bytes == NULL) {
        file->reason = memory_format("%s: no memory for its %zu bytes", file->path, length);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    while (done < length && count > 0) {
        count = TEMP_FAILURE_RETRY(pread(fd, bytes + done, length - done, (off_t)done));
        done += count > 0 ? (size_t)count : 0;
    }
    if (count >= 0 && done == length) {
        *ret_bytes = bytes;
        return BERTH_OK;
    }
    file->reason = count < 0 ? memory_format("%s: cannot be read: %s", file->path, strerror(errno))
                             : memory_format("%s: was truncated while it was read; try again", file->path);
    free(bytes);
    return count < 0 ? BERTH_UNAVAILABLE : BERTH_INVALID_ARGUMENT;
}

/* The only time that the file is read. */
static enum berth_code read_file(struct scanner *scanner, struct scan_file *file, int fd)
{
    const struct scan_reader *reader = scanner->reader;
    size_t length = (size_t)file->status.st_size;
    void *bytes;
    enum berth_code code = copy_file(file, fd, &bytes);

    if (code != BERTH_OK)
        return code;
    code = reader->take(reader->context, file, bytes, length,
                        reader->read(reader->context, file, bytes, length), &file->reason);
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

/* What depends on this file alone. One that is pinned, or large, is read in its turn. */
static void read_ahead(void *context, size_t item)
{
    struct scanner *scanner = context;
    struct candidate *candidate = &scanner->candidates[item];
    struct scan_file *file = &candidate->file;
    char *slash = (char *)candidate->name - 1;
    struct berth_error err;

    *slash = '\0';
    file->code = verify_open(slash == candidate->found ? "/" : candidate->found, candidate->name,
                             scanner->rules->needs_owner, &candidate->fd, &file->path, &file->status, &err);
    *slash = '/';
    candidate->was_opened = file->code == BERTH_OK;
    if (!candidate->was_opened) {
        file->path = memory_copy(candidate->found);
        file->reason = memory_copy(err.message);
    }
    file->shown = as_line(memory_copy(file->path));
    if (!candidate->was_opened || (size_t)file->status.st_size > AHEAD_BYTES ||
        find_pin(scanner, file->path) != NULL)
        return;
    file->code = copy_file(file, candidate->fd, &candidate->bytes);
    if (file->code == BERTH_OK)
        candidate->read = scanner->reader->read(scanner->reader->context, file, candidate->bytes,
                                                (size_t)file->status.st_size);
    close(candidate->fd);
    candidate->fd = -1;
}

static enum berth_code take_read(struct scanner *scanner, struct candidate *candidate)
{
    const struct scan_reader *reader = scanner->reader;
    struct scan_file *file = &candidate->file;
    void *read = candidate->read;

    if (candidate->fd >= 0)
        return read_file(scanner, file, candidate->fd);
    candidate->read = NULL;
    return read == NULL ? file->code
                        : reader->take(reader->context, file, candidate->bytes, (size_t)file->status.st_size,
                                       read, &file->reason);
}

static void finish_candidate(struct scanner *scanner, struct candidate *candidate)
{
    if (candidate->read != NULL)
        scanner->reader->drop(candidate->read);
    if (candidate->fd >= 0)
        close(candidate->fd);
    free(candidate->bytes);
    free(candidate->found);
    free(candidate->file.path);
    free(candidate->file.shown);
    free(candidate->file.reason);
    *candidate = (struct candidate){.fd = -1};
}

static void take_candidate(void *context, size_t item)
{
    struct scanner *scanner = context;
    struct candidate *candidate = &scanner->candidates[item];
    struct scan_file *file = &candidate->file;
    const char *first = candidate->was_opened ? meet(&scanner->files, &file->status, candidate->found) : NULL;

    if (first != NULL) {
        scan_warn(scanner->scan, "%s: same file as %s; used once", candidate->found, first);
    } else if (!use_pin(scanner, file->path)) {
        if (candidate->was_opened)
            file->code = take_read(scanner, candidate);
        keep(scanner->scan, *file);
        *file = (struct scan_file){0};
    }
    finish_candidate(scanner, candidate);
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

static void add_candidate(struct scanner *scanner, const char *directory, const char *name)
{
    const char *folder = strcmp(directory, "/") == 0 ? "" : directory;
    char *found = memory_format("%s/%s", folder, name);

    scanner->candidates =
        memory_grow(scanner->candidates, scanner->candidate_count, sizeof(*scanner->candidates));
    scanner->candidates[scanner->candidate_count++] =
        (struct candidate){.found = found, .name = found + strlen(folder) + 1, .fd = -1};
}

/* Those that are pinned and come before a name, and are no longer in the directory; NULL: all that is left.
 */
static const char *add_pinned(struct scanner *scanner, const char *directory, const char *pinned,
                              const char *before)
{
    while (pinned != NULL && (before == NULL || strcmp(pinned, before) < 0)) {
        add_candidate(scanner, directory, pinned);
        pinned = next_pinned(scanner, directory, pinned);
    }
    if (pinned != NULL && strcmp(pinned, before) == 0)
        return next_pinned(scanner, directory, pinned);
    return pinned;
}

static void add_names(struct scanner *scanner, size_t index, const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_module_name, compare_names);
    const char *pinned = next_pinned(scanner, directory, "");

    if (count < 0) {
        reject_unreadable(scanner->scan, index, directory);
        return;
    }
    for (int i = 0; i < count; i++) {
        pinned = add_pinned(scanner, directory, pinned, entries[i]->d_name);
        add_candidate(scanner, directory, entries[i]->d_name);
        free(entries[i]);
    }
    add_pinned(scanner, directory, pinned, NULL);
    free(entries);
}

static void look_into_directory(struct scanner *scanner, size_t index, const char *given)
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
        add_names(scanner, index, directory);
    free(directory);
}

void scan_directories(const char *const *directories, size_t count, const struct scan_rules *rules,
                      const struct scan_reader *reader, struct scan *ret_scan)
{
    struct scanner scanner = {.scan = ret_scan, .reader = reader, .rules = rules};
    struct ordered files = {
        .work = read_ahead, .take = take_candidate, .context = &scanner, .is_cancelled = rules->is_cancelled};

    *ret_scan = (struct scan){0};
    for (size_t i = 0; i < count; i++)
        look_into_directory(&scanner, i, directories[i]);
    files.count = scanner.candidate_count;
    for (size_t i = ordered_run(&files); i < files.count; i++)
        finish_candidate(&scanner, &scanner.candidates[i]);
    free(scanner.candidates);
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
