/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of the verifiers: its programs, and whether they may be run. */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <berth/trust.h>

static enum berth_code say_no_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the names of the verifiers");
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static enum berth_code add_name(struct folder *folder, const char *name, struct berth_error *err)
{
    if (folder->count == FOLDER_ENTRIES_MAX)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "%.1500s: contains more than %d files; keep only image verifiers there",
                               folder->path, FOLDER_ENTRIES_MAX);
    folder->names[folder->count] = strdup(name);
    if (folder->names[folder->count] == NULL)
        return say_no_memory(err);
    folder->count++;
    return BERTH_OK;
}

static enum berth_code read_names(struct folder *folder, DIR *stream, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;
    struct dirent *entry;

    folder->names = calloc(FOLDER_ENTRIES_MAX, sizeof(folder->names[0]));
    if (folder->names == NULL)
        return say_no_memory(err);
    for (errno = 0; code == BERTH_OK && (entry = readdir(stream)) != NULL; errno = 0)
        if (!is_dots(entry->d_name))
            code = add_name(folder, entry->d_name, err);
    if (code == BERTH_OK && errno != 0)
        code = berth_error_set(err, BERTH_UNAVAILABLE, "%.1500s: cannot be read: %s", folder->path,
                               strerror(errno));
    return code;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;

    return strcmp(*left, *right);
}

static enum berth_code read_all(struct folder *folder, struct berth_error *err)
{
    enum berth_code code = berth_trust_folder(folder->path, err);
    DIR *stream;

    if (code != BERTH_OK)
        return code;
    stream = opendir(folder->path);
    if (stream == NULL)
        return berth_error_set(err, BERTH_UNAVAILABLE, "%.1500s: cannot be read: %s", folder->path,
                               strerror(errno));
    code = read_names(folder, stream, err);
    closedir(stream);
    qsort(folder->names, folder->count, sizeof(folder->names[0]), compare_names);
    return code;
}

enum berth_code folder_read(struct folder *folder, const char *path, struct berth_error *err)
{
    folder->path = realpath(path, NULL);
    folder->exists = folder->path != NULL;
    if (folder->exists)
        return read_all(folder, err);
    if (errno == ENOENT)
        return BERTH_OK;
    if (errno == ENOMEM)
        return say_no_memory(err);
    return berth_error_set(err, BERTH_UNAVAILABLE, "%.1500s: cannot be accessed: %s", path, strerror(errno));
}

void folder_finish(struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++)
        free(folder->names[i]);
    free(folder->names);
    free(folder->path);
    *folder = (struct folder){0};
}

static enum berth_code check_file(const char *path, struct berth_error *err)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return berth_error_set(err, BERTH_NOT_FOUND, "%.1500s: cannot be accessed: %s", path,
                               strerror(errno));
    if (!S_ISREG(status.st_mode))
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%.1500s: is not a regular file; keep only programs there", path);
    return berth_trust_status(path, &status, err);
}

/* If the file is in the folder itself, the folders above it have already been checked. */
static enum berth_code check_program(const struct folder *folder, char *path, struct berth_error *err)
{
    char *slash = strrchr(path, '/');
    enum berth_code code = BERTH_OK;

    *slash = '\0';
    if (strcmp(path, folder->path) != 0)
        code = berth_trust_folder(slash != path ? path : "/", err);
    *slash = '/';
    return code == BERTH_OK ? check_file(path, err) : code;
}

enum berth_code folder_find_program(const struct folder *folder, const char *name, char **ret_path,
                                    struct berth_error *err)
{
    enum berth_code code;
    char *entry, *path;

    if (asprintf(&entry, "%s/%s", folder->path, name) < 0)
        return say_no_memory(err);
    path = realpath(entry, NULL);
    if (path != NULL)
        code = check_program(folder, path, err);
    else
        code =
            berth_error_set(err, BERTH_NOT_FOUND, "%.1500s: cannot be accessed: %s", entry, strerror(errno));
    free(entry);
    if (code == BERTH_OK)
        *ret_path = path;
    else
        free(path);
    return code;
}
