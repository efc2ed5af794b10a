/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps files open that modules were loaded from. */
#include "originals.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sdk/base/hash.h>
#include <sdk/base/memory.h>

/* Of the descriptors that this process may have, most are for connections. */
#define OPEN_MAX_MODULES 1024
#define OPEN_SHARE 4

void originals_init(struct originals *originals)
{
    struct rlimit limit;

    *originals = (struct originals){.open_max = OPEN_MAX_MODULES};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / OPEN_SHARE < OPEN_MAX_MODULES)
        originals->open_max = limit.rlim_cur / OPEN_SHARE;
}

static size_t bucket_of(const char *path)
{
    return berth_hash(BERTH_HASH_START, path, strlen(path)) % ORIGINALS_BUCKETS;
}

/* A copy is another file, and nobody else can write to it. */
static bool is_what_was_checked(const struct original *original, const struct stat *status, const char *path)
{
    return strcmp(original->path, path) != 0 || verify_is_same_content(&original->status, status);
}

static void open_content(struct original *original, const char *path)
{
    struct originals *originals = original->originals;
    int fd;

    if (originals->open_count >= originals->open_max)
        return;
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return;
    if (fstat(fd, &original->opened) != 0 || !is_what_was_checked(original, &original->opened, path)) {
        close(fd);
        return;
    }
    original->fd = fd;
    originals->open_count++;
}

struct original *originals_keep(struct originals *originals, const struct manifest *manifest,
                                const char *path)
{
    struct original *original = memory_allocate(1, sizeof(*original));

    *original = (struct original){
        .originals = originals,
        .holders = 1,
        .path = memory_copy(manifest->file->path),
        .status = manifest->file->status,
        .fd = -1,
        .name = memory_format("%s %s", manifest->module, manifest->version),
        .signature = manifest->signature != NULL ? memory_copy(manifest->signature) : NULL,
    };
    original->version = original->name + strlen(manifest->module) + 1;
    LIST_INSERT_HEAD(&originals->by_path[bucket_of(original->path)], original, link);
    if (path != NULL)
        open_content(original, path);
    return original;
}

struct original *originals_restore(struct originals *originals, const char *path, const char *name,
                                   const char *signature, int fd, const struct stat *opened)
{
    struct original *original = memory_allocate(1, sizeof(*original));
    const char *space;

    *original = (struct original){
        .originals = originals,
        .holders = 1,
        .path = memory_copy(path),
        .status = *opened,
        .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
        .opened = *opened,
        .name = memory_copy(name),
        .signature = signature != NULL ? memory_copy(signature) : NULL,
    };
    space = strchr(original->name, ' ');
    original->version = space != NULL ? space + 1 : "";
    originals->open_count += original->fd >= 0;
    LIST_INSERT_HEAD(&originals->by_path[bucket_of(original->path)], original, link);
    return original;
}

bool original_is_intact(const struct original *original)
{
    struct stat status;

    return original->fd >= 0 && fstat(original->fd, &status) == 0 &&
           verify_is_same_content(&original->opened, &status);
}

bool original_is_of(const struct original *original, const struct scan_file *file)
{
    return strcmp(original->path, file->path) == 0 &&
           verify_is_same_content(&original->status, &file->status);
}

struct original *originals_find(const struct originals *originals, const struct manifest *manifest)
{
    struct original *original;

    LIST_FOREACH(original, &originals->by_path[bucket_of(manifest->file->path)], link)
    if (original_is_of(original, manifest->file) && original_is_intact(original))
        return original;
    return NULL;
}

struct original *original_hold(struct original *original)
{
    original->holders++;
    return original;
}

void original_drop(struct original *original)
{
    if (original == NULL || --original->holders > 0)
        return;
    LIST_REMOVE(original, link);
    if (original->fd >= 0) {
        close(original->fd);
        original->originals->open_count--;
    }
    free(original->path);
    free(original->name);
    free(original->signature);
    free(original);
}
