/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a shared object's dynamic section and symbols out of memory, within bounds. */
#include "elf_image.h"

#include <string.h>

/* More than linkers write, little enough for a hostile file to cost nothing. */
#define SEGMENTS_MAX 256
#define DYNAMIC_MAX 8192

static struct elf_table slice(const struct elf_image *image, uint64_t offset, uint64_t length)
{
    if (offset >= image->length)
        return (struct elf_table){0};
    if (length > image->length - offset)
        length = image->length - offset;
    return (struct elf_table){.bytes = image->bytes + offset, .length = (size_t)length};
}

/* Hundreds of times for each module, mostly for the size of one entry: inlined, a few moves. */
static inline __attribute__((always_inline)) bool read_at(const struct elf_table *table, uint64_t offset,
                                                          void *ret, size_t size)
{
    if (offset > table->length || size > table->length - offset)
        return false;
    memcpy(ret, table->bytes + offset, size);
    return true;
}

bool elf_image_segment(const struct elf_image *image, size_t i, Elf64_Phdr *ret)
{
    struct elf_table headers;

    if (i >= image->header.e_phnum || i >= SEGMENTS_MAX || image->header.e_phentsize != sizeof(*ret))
        return false;
    headers = slice(image, image->header.e_phoff, SEGMENTS_MAX * sizeof(*ret));
    return read_at(&headers, i * sizeof(*ret), ret, sizeof(*ret));
}

struct elf_table elf_image_at(const struct elf_image *image, uint64_t address, uint64_t length)
{
    Elf64_Phdr segment;

    for (size_t i = 0; elf_image_segment(image, i, &segment); i++) {
        uint64_t inside = address - segment.p_vaddr;

        if (segment.p_type != PT_LOAD || address < segment.p_vaddr || inside >= segment.p_filesz)
            continue;
        if (length > segment.p_filesz - inside)
            length = segment.p_filesz - inside;
        if (segment.p_offset > UINT64_MAX - inside)
            break;
        return slice(image, segment.p_offset + inside, length);
    }
    return (struct elf_table){0};
}

static bool dynamic_entry(const struct elf_image *image, size_t i, Elf64_Dyn *ret)
{
    return read_at(&image->dynamic, i * sizeof(*ret), ret, sizeof(*ret)) && ret->d_tag != DT_NULL;
}

bool elf_image_dynamic(const struct elf_image *image, int64_t tag, size_t n, uint64_t *ret)
{
    Elf64_Dyn entry;

    for (size_t i = 0; dynamic_entry(image, i, &entry); i++) {
        if (entry.d_tag != tag || n-- > 0)
            continue;
        *ret = entry.d_un.d_val;
        return true;
    }
    return false;
}

uint64_t elf_image_flags(const struct elf_image *image, int64_t tag)
{
    uint64_t flags = 0;

    elf_image_dynamic(image, tag, 0, &flags);
    return flags;
}

const char *elf_image_string(const struct elf_image *image, uint64_t offset)
{
    return offset < image->strings.length ? (const char *)image->strings.bytes + offset : NULL;
}

bool elf_image_symbol(const struct elf_image *image, size_t i, Elf64_Sym *ret)
{
    return i < image->symbol_count && read_at(&image->symbols, i * sizeof(*ret), ret, sizeof(*ret));
}

bool elf_symbol_is_exported(const Elf64_Sym *symbol)
{
    unsigned char binding = ELF64_ST_BIND(symbol->st_info);
    unsigned char visibility = ELF64_ST_VISIBILITY(symbol->st_other);

    return symbol->st_shndx != SHN_UNDEF &&
           (binding == STB_GLOBAL || binding == STB_WEAK || binding == STB_GNU_UNIQUE) &&
           (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

bool elf_image_find_symbol(const struct elf_image *image, const char *name, Elf64_Sym *ret)
{
    Elf64_Sym symbol;

    for (size_t i = 1; elf_image_symbol(image, i, &symbol); i++) {
        const char *found = elf_image_string(image, symbol.st_name);

        if (found == NULL || strcmp(found, name) != 0 || !elf_symbol_is_exported(&symbol))
            continue;
        *ret = symbol;
        return true;
    }
    return false;
}

/* DT_HASH says how many symbols there are. */
static size_t count_by_hash(const struct elf_image *image, uint64_t address)
{
    struct elf_table table = elf_image_at(image, address, 8);
    uint32_t count;

    return read_at(&table, 4, &count, sizeof(count)) ? count : 0;
}

/* DT_GNU_HASH does not: the last chain that begins furthest back ends with the last symbol. */
static size_t count_by_gnu_hash(const struct elf_image *image, uint64_t address)
{
    struct elf_table table = elf_image_at(image, address, UINT64_MAX);
    uint32_t header[4], bucket, chain, last = 0;
    uint64_t buckets, chains;

    if (!read_at(&table, 0, header, sizeof(header)))
        return 0;
    buckets = sizeof(header) + (uint64_t)header[2] * 8;
    chains = buckets + (uint64_t)header[0] * 4;
    for (uint64_t i = 0; i < header[0] && read_at(&table, buckets + i * 4, &bucket, sizeof(bucket)); i++)
        last = bucket > last ? bucket : last;
    if (last < header[1])
        return header[1];
    for (; read_at(&table, chains + (uint64_t)(last - header[1]) * 4, &chain, sizeof(chain)); last++)
        if ((chain & 1) != 0)
            return (size_t)last + 1;
    return 0;
}

/* Cuts the table behind its last NUL, so that every string in it ends. */
static struct elf_table ended(struct elf_table table)
{
    const unsigned char *last = table.length == 0 ? NULL : memrchr(table.bytes, '\0', table.length);

    table.length = last == NULL ? 0 : (size_t)(last - table.bytes) + 1;
    return table;
}

static void read_dynamic(struct elf_image *image)
{
    uint64_t address, size;

    if (elf_image_dynamic(image, DT_STRTAB, 0, &address) && elf_image_dynamic(image, DT_STRSZ, 0, &size))
        image->strings = ended(elf_image_at(image, address, size));
    if (elf_image_dynamic(image, DT_SYMTAB, 0, &address))
        image->symbols = elf_image_at(image, address, UINT64_MAX);
    if (elf_image_dynamic(image, DT_GNU_HASH, 0, &address))
        image->symbol_count = count_by_gnu_hash(image, address);
    else if (elf_image_dynamic(image, DT_HASH, 0, &address))
        image->symbol_count = count_by_hash(image, address);
    if (image->symbol_count > image->symbols.length / sizeof(Elf64_Sym))
        image->symbol_count = image->symbols.length / sizeof(Elf64_Sym);
}

bool elf_image_init(struct elf_image *image, const void *bytes, size_t length)
{
    struct elf_table whole = {.bytes = bytes, .length = length};
    Elf64_Phdr segment;

    *image = (struct elf_image){.bytes = bytes, .length = length};
    if (!read_at(&whole, 0, &image->header, sizeof(image->header)))
        return false;
    if (memcmp(image->header.e_ident, ELFMAG, SELFMAG) != 0 ||
        image->header.e_ident[EI_CLASS] != ELFCLASS64 || image->header.e_ident[EI_DATA] != ELFDATA2LSB)
        return false;
    for (size_t i = 0; elf_image_segment(image, i, &segment); i++)
        if (segment.p_type == PT_DYNAMIC)
            image->dynamic = slice(image, segment.p_offset, segment.p_filesz);
    if (image->dynamic.length > DYNAMIC_MAX * sizeof(Elf64_Dyn))
        return false;
    read_dynamic(image);
    return true;
}
