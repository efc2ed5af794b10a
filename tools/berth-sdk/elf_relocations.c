/* SPDX-License-Identifier: Apache-2.0 */
/* Looks up relocations by the address that they change. */
#include "elf_relocations.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#define RELOCATION_RELATIVE R_X86_64_RELATIVE
#elif defined(__aarch64__)
#define RELOCATION_RELATIVE R_AARCH64_RELATIVE
#elif defined(__riscv)
#define RELOCATION_RELATIVE R_RISCV_RELATIVE
#elif defined(__loongarch__)
#define RELOCATION_RELATIVE R_LARCH_RELATIVE
#elif defined(__powerpc64__)
#define RELOCATION_RELATIVE R_PPC64_RELATIVE
#else
#error "name this machine's relative relocation here"
#endif

static int compare(const void *a, const void *b)
{
    const Elf64_Rela *left = a, *right = b;

    return left->r_offset < right->r_offset ? -1 : left->r_offset > right->r_offset;
}

void elf_relocations_init(struct elf_relocations *relocations, const struct elf_image *image)
{
    uint64_t address = 0;
    struct elf_table table = {0};

    *relocations = (struct elf_relocations){0};
    if (elf_image_dynamic(image, DT_RELA, 0, &address))
        table = elf_image_at(image, address, elf_image_flags(image, DT_RELASZ));
    relocations->count = table.length / sizeof(Elf64_Rela);
    if (relocations->count == 0)
        return;
    relocations->items = malloc(relocations->count * sizeof(Elf64_Rela));
    if (relocations->items == NULL)
        abort();
    memcpy(relocations->items, table.bytes, relocations->count * sizeof(Elf64_Rela));
    qsort(relocations->items, relocations->count, sizeof(Elf64_Rela), compare);
}

void elf_relocations_finish(struct elf_relocations *relocations)
{
    free(relocations->items);
    *relocations = (struct elf_relocations){0};
}

static uint64_t target(const struct elf_image *image, const Elf64_Rela *relocation)
{
    Elf64_Sym symbol;

    if (ELF64_R_TYPE(relocation->r_info) == RELOCATION_RELATIVE)
        return (uint64_t)relocation->r_addend;
    if (!elf_image_symbol(image, ELF64_R_SYM(relocation->r_info), &symbol) || symbol.st_shndx == SHN_UNDEF)
        return UINT64_MAX;
    return symbol.st_value + (uint64_t)relocation->r_addend;
}

uint64_t elf_relocations_pointer(const struct elf_relocations *relocations, const struct elf_image *image,
                                 uint64_t address)
{
    Elf64_Rela wanted = {.r_offset = address};
    const Elf64_Rela *found =
        relocations->count == 0
            ? NULL
            : bsearch(&wanted, relocations->items, relocations->count, sizeof(Elf64_Rela), compare);
    struct elf_table bytes;
    uint64_t value = 0;

    if (found != NULL)
        return target(image, found);
    /* Packed relative relocations leave the value in place. */
    bytes = elf_image_at(image, address, sizeof(value));
    if (bytes.length == sizeof(value))
        memcpy(&value, bytes.bytes, sizeof(value));
    return value;
}
