/* SPDX-License-Identifier: Apache-2.0 */
/* Reads /etc/ld.so.cache in the format that glibc writes since 2.2 (its sysdeps/generic/dl-cache.h). */
#include "linker_cache.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

void linker_cache_init(struct linker_cache *cache)
{
    int fd = open(cache_path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    void *bytes = MAP_FAILED;

    *cache = (struct linker_cache){NULL, 0};
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && (size_t)status.st_size > sizeof(struct cache_header) &&
        (size_t)status.st_size <= CACHE_MAX_BYTES)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes != MAP_FAILED)
        *cache = (struct linker_cache){bytes, (size_t)status.st_size};
}

void linker_cache_finish(struct linker_cache *cache)
{
    if (cache->bytes != NULL)
        munmap((void *)(uintptr_t)cache->bytes, cache->length);
    *cache = (struct linker_cache){NULL, 0};
}

/* Offsets count from the header. */
static const char *string_at(const struct linker_cache *cache, uint32_t offset)
{
    if (offset >= cache->length || memchr(cache->bytes + offset, '\0', cache->length - offset) == NULL)
        return "";
    return cache->bytes + offset;
}

bool linker_cache_visit(const struct linker_cache *cache, const char *name,
                        bool (*on_path)(void *context, const char *path), void *context)
{
    struct cache_header header;

    if (cache->bytes == NULL)
        return false;
    memcpy(&header, cache->bytes, sizeof(header));
    if (memcmp(header.magic, magic, sizeof(header.magic)) != 0)
        return false;
    for (size_t i = 0; i < header.count && i < (cache->length - sizeof(header)) / sizeof(struct cache_entry);
         i++) {
        struct cache_entry entry;

        memcpy(&entry, cache->bytes + sizeof(header) + i * sizeof(entry), sizeof(entry));
        if (strcmp(string_at(cache, entry.name), name) == 0 && on_path(context, string_at(cache, entry.path)))
            return true;
    }
    return false;
}
