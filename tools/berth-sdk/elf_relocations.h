/* SPDX-License-Identifier: Apache-2.0 */
/* What the dynamic linker would write: a file's pointers are not in its bytes but in its relocations. */
#ifndef BERTH_SDK_ELF_RELOCATIONS_H
#define BERTH_SDK_ELF_RELOCATIONS_H

#include <core/manifest/elf_image.h>

/** Sorted by address. */
struct elf_relocations {
    Elf64_Rela *items;
    size_t count;
};

void elf_relocations_init(struct elf_relocations *relocations, const struct elf_image *image);
void elf_relocations_finish(struct elf_relocations *relocations);

/**
 * The pointer at an address once the file is loaded at 0; UINT64_MAX if another file defines it.
 * @return 0 for NULL and for an address outside the file.
 */
uint64_t elf_relocations_pointer(const struct elf_relocations *relocations, const struct elf_image *image,
                                 uint64_t address);

#endif
