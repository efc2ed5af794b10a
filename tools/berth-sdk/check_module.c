/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the host's own check on a module's constant and tables, without loading the module. */
#include <string.h>

#include <core/manifest/manifest.h>

#include "check_rules.h"
#include "module_image.h"

static const char check[] = "abi";

static void check_tables(const struct elf_image *image, const Elf64_Sym *symbol,
                         const struct manifest *manifest, struct check_report *report)
{
    struct berth_error err;
    struct module_image *module = module_image_create(image, symbol->st_value, symbol->st_size, &err);

    if (module == NULL || manifest_check(module_image_get(module), manifest, &err) != BERTH_OK)
        check_report_add(report, CHECK_ERROR, check, "%s", check_report_strip(report, err.message));
    module_image_destroy(module);
}

void check_module(const struct elf_image *image, const struct manifest *manifest, struct check_report *report)
{
    struct elf_table head;
    Elf64_Sym symbol;
    uint32_t members[2];

    if (!elf_image_find_symbol(image, BERTH_MODULE_SYMBOL, &symbol)) {
        check_report_add(
            report, CHECK_ERROR, check,
            "does not export %s: link the source that berth-sdk generate writes, or use BERTH_MODULE",
            BERTH_MODULE_SYMBOL);
        return;
    }
    head = elf_image_at(image, symbol.st_value, sizeof(members));
    if (head.length < sizeof(members) || symbol.st_size < sizeof(members)) {
        check_report_add(report, CHECK_ERROR, check, "%s is not a constant in this file",
                         BERTH_MODULE_SYMBOL);
        return;
    }
    memcpy(members, head.bytes, sizeof(members));
    if (members[0] == BERTH_ABI && symbol.st_size < members[1])
        check_report_add(report, CHECK_ERROR, check,
                         "%s has %llu bytes but declares %u: build it against this SDK", BERTH_MODULE_SYMBOL,
                         (unsigned long long)symbol.st_size, members[1]);
    else if (manifest != NULL)
        check_tables(image, &symbol, manifest, report);
}
