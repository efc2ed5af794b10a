/* SPDX-License-Identifier: Apache-2.0 */
/* Reads /etc/ld.so.cache in the format that glibc writes since 2.2 (its sysdeps/generic/dl-cache.h). */
#include "linker_cache.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

static const char cache_path[] = "/etc/ld.so.cache";
static const char magic[] = "glibc-ld.so.cache1.1";

#define CACHE_MAX_BYTES ((size_t)64 << 20)

struct cache_header {
    char magic[sizeof(magic) - 1];
    uint32_t count;
    uint32_t strings_length;
    uint8_t flags, padding[3];
    uint32_t extension_offset;
    uint32_t unused[3];
};

struct cache_entry {
    int32_t flags;
    uint32_t name, path;
    uint32_t os_version;
    uint64_t hardware;
};

/* Offsets count from the header; file_read has put a NUL behind all. */
static const char *string_at(const char *bytes, size_t length, uint32_t offset)
{
    return offset < length ? bytes + offset : "";
}

static bool visit(const char *bytes, size_t length, const char *name,
                  bool (*on_path)(void *context, const char *path), void *context)
{
    struct cache_header header;

    if (length < sizeof(header))
        return false;
    memcpy(&header, bytes, sizeof(header));
    if (memcmp(header.magic, magic, sizeof(header.magic)) != 0)
        return false;
    for (size_t i = 0; i < header.count && i < (length - sizeof(header)) / sizeof(struct cache_entry); i++) {
        struct cache_entry entry;

        memcpy(&entry, bytes + sizeof(header) + i * sizeof(entry), sizeof(entry));
        if (strcmp(string_at(bytes, length, entry.name), name) == 0 &&
            on_path(context, string_at(bytes, length, entry.path)))
            return true;
    }
    return false;
}

bool linker_cache_visit(const char *name, bool (*on_path)(void *context, const char *path), void *context)
{
    size_t length;
    char *bytes;
    bool taken;

    if (file_read(cache_path, CACHE_MAX_BYTES, &bytes, &length, NULL) != BERTH_OK)
        return false;
    taken = visit(bytes, length, name, on_path, context);
    free(bytes);
    return taken;
}
