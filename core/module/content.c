/* SPDX-License-Identifier: Apache-2.0 */
/* Reads whole files of modules. */
#include "content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <core/elf/elf.h>
#include <core/manifest/manifest.h>
#include <core/scan/scan.h>
#include <sdk/base/memory.h>

int content_open(const char *path)
{
    return open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

void *content_read(int fd, size_t *ret_length)
{
    struct stat status;
    size_t done = 0;
    char *bytes;

    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0 ||
        (size_t)status.st_size > SCAN_FILE_MAX || (bytes = malloc((size_t)status.st_size)) == NULL)
        return NULL;
    while (done < (size_t)status.st_size) {
        ssize_t got = pread(fd, bytes + done, (size_t)status.st_size - done, (off_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            free(bytes);
            return NULL;
        }
        done += (size_t)got;
    }
    *ret_length = done;
    return bytes;
}

bool content_hash(int fd, char ret_sha256[BERTH_SHA256_TEXT])
{
    struct berth_error err;
    size_t length;
    void *bytes = content_read(fd, &length);
    bool is_hashed = bytes != NULL && berth_sha256(bytes, length, ret_sha256, &err) == BERTH_OK;

    free(bytes);
    return is_hashed;
}

char *content_version(int fd, const char *path)
{
    struct config_diagnostics diagnostics = {.forgives_unknown = true};
    struct manifest *manifest = NULL;
    struct berth_error err;
    size_t length, text_length;
    void *bytes = content_read(fd, &length);
    char *text, *version;

    if (bytes == NULL)
        return NULL;
    if (note_find(bytes, length, path, &text, &text_length, &err) == BERTH_OK) {
        manifest = manifest_parse(path, text, text_length, &diagnostics);
        free(text);
    }
    free(bytes);
    version = manifest != NULL ? memory_copy(manifest->version) : NULL;
    manifest_destroy(manifest);
    config_diagnostics_finish(&diagnostics);
    return version;
}
