/* SPDX-License-Identifier: Apache-2.0 */
/* Reports exports besides the one constant that a host looks up. */
#include <string.h>

#include <berth/plugin.h>

#include "check_rules.h"

static const char check[] = "exports";

/* How many names a message lists; others are only counted. */
#define NAMES_MAX 5

struct names {
    char text[512];
    size_t count;
};

static void add_name(struct names *names, const char *name)
{
    size_t length = strlen(names->text);

    if (names->count++ < NAMES_MAX)
        snprintf(names->text + length, sizeof(names->text) - length, "%s%.80s", length == 0 ? "" : ", ",
                 name);
    else if (names->count == NAMES_MAX + 1)
        snprintf(names->text + length, sizeof(names->text) - length, ", …");
}

void check_exports(const struct elf_image *image, struct check_report *report)
{
    struct names names = {0}, unique = {0};
    Elf64_Sym symbol;

    for (size_t i = 1; elf_image_symbol(image, i, &symbol); i++) {
        const char *name = elf_image_string(image, symbol.st_name);

        if (name == NULL || !elf_symbol_is_exported(&symbol) || strcmp(name, BERTH_MODULE_SYMBOL) == 0)
            continue;
        if (ELF64_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE)
            add_name(&unique, name);
        else if (ELF64_ST_TYPE(symbol.st_info) != STT_SECTION && symbol.st_shndx != SHN_ABS)
            add_name(&names, name);
    }
    if (names.count > 0)
        check_report_add(report, CHECK_WARNING, check,
                         "exports %zu symbols besides %s: %s; link with the version script of "
                         "`pkg-config --variable=modulemap berth`",
                         names.count, BERTH_MODULE_SYMBOL, names.text);
    if (unique.count > 0)
        check_report_add(report, CHECK_WARNING, check,
                         "%zu unique symbols prevent unloading: %s; compile with -fno-gnu-unique or link "
                         "with the version script",
                         unique.count, unique.text);
}
