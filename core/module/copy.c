/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies a module to a path that was never used before, so that the loader takes it for another file while
 * the original is loaded. Never a link: it would be the same file to the loader, and what somebody installs
 * over the original would change code that runs.
 */
#include "copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <berth/signature.h>

#include <core/elf/elf.h>
#include <core/scan/scan.h>
#include <sdk/base/error_code.h>
#include <sdk/base/write_all.h>

#define FOLDER_NAME "modules"
/* Before the digest is known. */
#define UNFINISHED "unfinished-"
#define CHUNK_BYTES 16384
/* Far above any module, and little enough for a state folder. */
#define COPY_MAX_BYTES ((off_t)1 << 30)

static enum berth_code fail(const char *path, const char *doing, int error, struct berth_error *err)
{
    return berth_error_set(err, berth_code_of_errno(error, BERTH_UNAVAILABLE), "%s: cannot %s: %s", path,
                           doing, strerror(error));
}

/* Ours, and others can neither list nor write it; whoever can write to `root` could replace it otherwise. */
static enum berth_code check_folder(const char *path, struct berth_error *err)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return fail(path, "access it", errno, err);
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 0066) != 0)
        return berth_error_set(err, BERTH_PERMISSION_DENIED,
                               "%s: must be a directory of user %u with mode 0700; move it away", path,
                               (unsigned)geteuid());
    return BERTH_OK;
}

static enum berth_code make_folder(const char *path, struct berth_error *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(path, "create it", errno, err);
    return check_folder(path, err);
}

/* @param from  the file that was checked, open. */
static enum berth_code copy_bytes(int from, int to, const struct scan_file *file, const char *path,
                                  struct berth_error *err)
{
    off_t left = file->status.st_size;
    char chunk[CHUNK_BYTES];

    if (left > COPY_MAX_BYTES)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "%s: cannot be copied: it has %lld MiB, the maximum is %lld", file->path,
                               (long long)left >> 20, (long long)COPY_MAX_BYTES >> 20);
    while (left > 0) {
        ssize_t got = pread(from, chunk, left < CHUNK_BYTES ? (size_t)left : sizeof(chunk),
                            file->status.st_size - left);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(file->path, "read it", errno, err);
        if (got == 0)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s: shrank while being copied; try again",
                                   file->path);
        if (!berth_write_all(to, chunk, (size_t)got))
            return fail(path, "write it", errno, err);
        left -= got;
    }
    return BERTH_OK;
}

/* The manifest that everything was planned by is that of the copy, and so are its libraries. */
static enum berth_code check_bytes(const void *bytes, size_t length, const struct manifest *manifest,
                                   struct module_copy *copy, struct berth_error *err)
{
    const char *original = manifest->file->path;
    size_t text_length;
    char *text;
    enum berth_code code = note_find(bytes, length, original, &text, &text_length, err);

    if (code != BERTH_OK)
        return code;
    if (manifest_hash(text, text_length) != manifest->hash)
        code = berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: its manifest changed since it was checked; try again", original);
    free(text);
    return code == BERTH_OK ? siblings_find(bytes, length, original, &copy->siblings, err) : code;
}

/* Where files are signed or locked, the scan has hashed what it read. */
static enum berth_code check_copy(int fd, const struct manifest *manifest, struct module_copy *copy,
                                  char ret_digest[BERTH_SHA256_TEXT], struct berth_error *err)
{
    const char *original = manifest->file->path;
    size_t length = (size_t)copy->status.st_size;
    void *bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
    enum berth_code code;

    if (bytes == MAP_FAILED)
        return fail(copy->path, "map it", errno, err);
    code = check_bytes(bytes, length, manifest, copy, err);
    if (code == BERTH_OK)
        code = berth_sha256(bytes, length, ret_digest, err);
    munmap(bytes, length);
    if (code == BERTH_OK && manifest->sha256 != NULL && strcmp(manifest->sha256, ret_digest) != 0)
        code = berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s: changed since it was checked (sha256 %s then, %s now); try again",
                               original, manifest->sha256, ret_digest);
    return code;
}

static enum berth_code check_source(int from, const struct module_kept *kept, const struct scan_file *file,
                                    struct berth_error *err)
{
    struct stat status;

    if (kept == NULL)
        return verify_same_open(from, file->path, &file->status, err);
    if (fstat(from, &status) != 0)
        return fail(file->path, "access what was kept of it", errno, err);
    if (!verify_is_same_content(kept->opened, &status))
        return berth_error_set(
            err, BERTH_FAILED_PRECONDITION,
            "%s: what was kept of it was overwritten in place; install files by renaming them", file->path);
    return BERTH_OK;
}

/* It did not change meanwhile. */
static enum berth_code copy_checked(int from, const struct module_kept *kept, int to,
                                    const struct scan_file *file, const char *path, struct berth_error *err)
{
    enum berth_code code = check_source(from, kept, file, err);

    if (code == BERTH_OK)
        code = copy_bytes(from, to, file, path, err);
    return code == BERTH_OK ? check_source(from, kept, file, err) : code;
}

static enum berth_code write_copy(int from, const struct module_kept *kept, const struct scan_file *file,
                                  const char *path, int *ret_fd, struct berth_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0500);
    enum berth_code code =
        fd < 0 ? fail(path, "create it", errno, err) : copy_checked(from, kept, fd, file, path, err);

    if (code == BERTH_OK)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return code;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static char *join(const char *folder, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static void remove_folder(const char *folder)
{
    DIR *listing = opendir(folder);
    const struct dirent *entry;

    while (listing != NULL && (entry = readdir(listing)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(listing), entry->d_name, 0);
    if (listing != NULL)
        closedir(listing);
    rmdir(folder);
}

/* Gives the folder its name, once all of it is there. */
static enum berth_code settle(struct module_copy *copy, const char *parent, const char *digest,
                              uint64_t generation, const char *name, struct berth_error *err)
{
    char *folder, *path = NULL;

    if (asprintf(&folder, "%s/%s-%" PRIu64, parent, digest, generation) < 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for its path", copy->path);
    /* Of a generation that failed before its copy was removed. */
    remove_folder(folder);
    path = join(folder, name);
    if (path == NULL || rename(copy->folder, folder) != 0) {
        enum berth_code code = fail(folder, "create it", path == NULL ? ENOMEM : errno, err);

        free(folder);
        free(path);
        return code;
    }
    free(copy->folder);
    free(copy->path);
    copy->folder = folder;
    copy->path = path;
    return BERTH_OK;
}

static enum berth_code fill(struct module_copy *copy, const struct manifest *manifest,
                            const struct module_kept *kept, const char *parent, uint64_t generation,
                            struct berth_error *err)
{
    const struct scan_file *file = manifest->file;
    int from = kept != NULL ? kept->fd : -1, fd = -1;
    char digest[BERTH_SHA256_TEXT];
    enum berth_code code;

    if (kept == NULL)
        from = open(file->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (from < 0)
        return fail(file->path, "open it", errno, err);
    code = write_copy(from, kept, file, copy->path, &fd, err);
    if (code == BERTH_OK && (fchmod(fd, 0500) != 0 || fstat(fd, &copy->status) != 0))
        code = fail(copy->path, "write it", errno, err);
    if (code == BERTH_OK)
        code = check_copy(fd, manifest, copy, digest, err);
    if (code == BERTH_OK)
        code = settle(copy, parent, digest, generation, name_of(file->path), err);
    /* Its change time is another since the folder got its name. */
    if (code == BERTH_OK && fstat(fd, &copy->status) != 0)
        code = fail(copy->path, "access it", errno, err);
    if (fd >= 0)
        close(fd);
    if (kept == NULL)
        close(from);
    return code;
}

enum berth_code module_copy_create(const struct manifest *manifest, const struct module_kept *kept,
                                   const char *root, uint64_t generation, struct module_copy **ret_copy,
                                   struct berth_error *err)
{
    struct module_copy *copy = calloc(1, sizeof(*copy));
    char *parent = join(root, FOLDER_NAME);
    enum berth_code code = BERTH_OK;

    if (copy != NULL && parent != NULL &&
        asprintf(&copy->folder, "%s/" UNFINISHED "%" PRIu64, parent, generation) >= 0)
        copy->path = join(copy->folder, name_of(manifest->file->path));
    if (copy == NULL || copy->path == NULL)
        code =
            berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for a copy", manifest->file->path);
    if (code == BERTH_OK)
        code = make_folder(parent, err);
    if (code == BERTH_OK) {
        remove_folder(copy->folder);
        code = make_folder(copy->folder, err);
    }
    if (code == BERTH_OK)
        code = fill(copy, manifest, kept, parent, generation, err);
    free(parent);
    if (code == BERTH_OK)
        *ret_copy = copy;
    else
        module_copy_destroy(copy);
    return code;
}

const char *module_copy_path(const struct module_copy *copy)
{
    return copy->path;
}

const struct stat *module_copy_status(const struct module_copy *copy)
{
    return &copy->status;
}

enum berth_code module_copy_show(struct module_copy *copy, const struct manifest *manifest,
                                 struct berth_error *err)
{
    char *parent = strdup(copy->folder), *slash = parent != NULL ? strrchr(parent, '/') : NULL;
    enum berth_code code = BERTH_OK;

    if (slash != NULL)
        *slash = '\0';
    if (slash == NULL || chmod(parent, 0711) != 0 || chmod(copy->folder, 0711) != 0 ||
        chmod(copy->path, manifest->file->status.st_mode & 0555) != 0 || stat(copy->path, &copy->status) != 0)
        code = fail(copy->path, "let others read it", slash == NULL ? ENOMEM : errno, err);
    free(parent);
    return code;
}

void module_copy_destroy(struct module_copy *copy)
{
    if (copy != NULL && copy->folder != NULL)
        remove_folder(copy->folder);
    module_copy_forget(copy);
}

void module_copy_forget(struct module_copy *copy)
{
    if (copy == NULL)
        return;
    siblings_finish(&copy->siblings);
    free(copy->folder);
    free(copy->path);
    free(copy);
}

/* "<64 hexadecimal digits>-<number>", or one that was never finished. */
static bool is_copy_name(const char *name)
{
    size_t digits = strspn(name, "0123456789abcdef");
    const char *number = name + digits + 1;

    if (strncmp(name, UNFINISHED, sizeof(UNFINISHED) - 1) == 0)
        number = name + sizeof(UNFINISHED) - 1;
    else if (digits != BERTH_SHA256_TEXT - 1 || name[digits] != '-')
        return false;
    return number[0] != '\0' && number[strspn(number, "0123456789")] == '\0';
}

size_t module_copies_tidy(const char *root)
{
    char *parent = join(root, FOLDER_NAME);
    DIR *listing = parent == NULL || check_folder(parent, NULL) != BERTH_OK ? NULL : opendir(parent);
    const struct dirent *entry;
    size_t count = 0;

    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        char *folder = is_copy_name(entry->d_name) ? join(parent, entry->d_name) : NULL;

        if (folder != NULL) {
            remove_folder(folder);
            count++;
        }
        free(folder);
    }
    if (listing != NULL)
        closedir(listing);
    free(parent);
    return count;
}

enum berth_code module_copies_check(const char *root, struct berth_error *err)
{
    char path[PATH_MAX];
    struct statvfs status;

    if (snprintf(path, sizeof(path), "%s", root) >= (int)sizeof(path))
        return BERTH_OK;
    /* What is to be created lies on the file system of the first folder that exists. */
    while (statvfs(path, &status) != 0) {
        char *slash = strrchr(path, '/');

        if (errno != ENOENT || slash == NULL || slash == path)
            return BERTH_OK;
        *slash = '\0';
    }
    if ((status.f_flag & ST_NOEXEC) == 0)
        return BERTH_OK;
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "root: %s: mounted noexec, so modules cannot be upgraded from copies in it; set "
                           "`root` to a folder on another file system, or mount this one without noexec",
                           root);
}
