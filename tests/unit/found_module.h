/* SPDX-License-Identifier: Apache-2.0 */
/* Modules as catalog_read would find them, without the question whether they may be trusted. */
#ifndef TESTS_UNIT_FOUND_MODULE_H
#define TESTS_UNIT_FOUND_MODULE_H

#include <core/manifest/manifest.h>
#include <core/scan/scan.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>

struct found_module {
    struct scan_file file;
    struct manifest *manifest;
};

static inline bool found_module_read(struct found_module *found, const char *path)
{
    struct config_diagnostics diagnostics = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct elf_image image;
    struct berth_error err;
    struct stat status;
    size_t length;
    char *text;
    void *bytes;
    bool is_module;

    if (fd < 0 || fstat(fd, &status) != 0)
        fail_msg("%s: %s", path, strerror(errno));
    bytes = malloc((size_t)status.st_size);
    assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
    close(fd);
    is_module = note_find(bytes, (size_t)status.st_size, path, &text, &length, &err) == BERTH_OK;
    if (is_module) {
        *found = (struct found_module){.file = {.path = strdup(path), .status = status}};
        found->manifest = manifest_parse(path, text, length, &diagnostics);
        free(text);
        assert_non_null(found->manifest);
        found->manifest->file = &found->file;
        if (elf_image_init(&image, bytes, (size_t)status.st_size))
            residence_predict(&image, &found->manifest->residence);
        config_diagnostics_finish(&diagnostics);
    }
    free(bytes);
    return is_module;
}

/** One that is a module. */
static inline void found_module_get(struct found_module *found, const char *path)
{
    if (!found_module_read(found, path))
        fail_msg("%s: no module", path);
}

/** A fixture. */
static inline void found_module_fixture(struct found_module *found, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s.so", getenv("BERTH_FIXTURES"), name);
    found_module_get(found, path);
}

/** Is anything of a file with this in its path in memory? */
static inline bool found_module_is_mapped(const char *path)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[2 * PATH_MAX];
    bool is_found = false;

    assert_non_null(maps);
    while (!is_found && fgets(line, sizeof(line), maps) != NULL)
        is_found = strstr(line, path) != NULL;
    fclose(maps);
    return is_found;
}

static inline void found_module_finish(struct found_module *found)
{
    manifest_destroy(found->manifest);
    free(found->file.path);
    *found = (struct found_module){0};
}

#endif
