/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shared object in memory, read through its program headers and dynamic section alone. Trusts no byte:
 * what lies outside the file is as if it were not there.
 */
#ifndef CORE_ELF_ELF_IMAGE_H
#define CORE_ELF_ELF_IMAGE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A table that lies entirely inside the file. */
struct elf_table {
    const unsigned char *bytes;
    size_t length;
};

struct elf_image {
    const unsigned char *bytes;
    size_t length;
    Elf64_Ehdr header;
    struct elf_table dynamic;
    struct elf_table strings;
    struct elf_table symbols;
    /** The number of symbols according to the hash table; 0 if there is none. */
    size_t symbol_count;
};

/**
 * Opens 64-bit little-endian bytes.
 * @param image  borrows the bytes.
 * @return false if they are not such an ELF file, or if it has more dynamic entries than linkers write.
 */
bool elf_image_init(struct elf_image *image, const void *bytes, size_t length);

/** The program header at `i`; false past the last, or where the file is cut. */
bool elf_image_segment(const struct elf_image *image, size_t i, Elf64_Phdr *ret);

/** The value of the `n`th entry with this tag. */
bool elf_image_dynamic(const struct elf_image *image, int64_t tag, size_t n, uint64_t *ret);
/** The flags under a tag, 0 if it is not there. */
uint64_t elf_image_flags(const struct elf_image *image, int64_t tag);
/** A string of the dynamic string table; NULL if it does not end within it. */
const char *elf_image_string(const struct elf_image *image, uint64_t offset);

bool elf_image_symbol(const struct elf_image *image, size_t i, Elf64_Sym *ret);
/** The symbol of that name that the file defines for others. */
bool elf_image_find_symbol(const struct elf_image *image, const char *name, Elf64_Sym *ret);
/** Is it defined here and seen from outside? */
bool elf_symbol_is_exported(const Elf64_Sym *symbol);

/** The file's bytes for an address range: at most `length`, fewer if the segment ends sooner. */
struct elf_table elf_image_at(const struct elf_image *image, uint64_t address, uint64_t length);

#endif
