/* SPDX-License-Identifier: Apache-2.0 */
/* What the dynamic linker would write where: a file's pointers are not in its bytes but in its relocations.
 */
#ifndef BERTH_SDK_ELF_RELOCATIONS_H
#define BERTH_SDK_ELF_RELOCATIONS_H

#include <core/manifest/elf_image.h>

/** Sorted by place. */
struct elf_relocations {
    Elf64_Rela *items;
    size_t count;
};

void elf_relocations_init(struct elf_relocations *relocations, const struct elf_image *image);
void elf_relocations_finish(struct elf_relocations *relocations);

/**
 * The pointer at an address once the file is loaded at 0. What another file defines is UINT64_MAX.
 * @return 0 for NULL and for an address that the file does not have.
 */
uint64_t elf_relocations_pointer(const struct elf_relocations *relocations, const struct elf_image *image,
                                 uint64_t address);

#endif
