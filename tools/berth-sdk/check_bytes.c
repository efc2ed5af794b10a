/* SPDX-License-Identifier: Apache-2.0 */
/* Runs all checks that need nothing but the file's bytes. */
#include "check_rules.h"

void check_bytes(const void *bytes, size_t length, const char *path, struct check_report *report)
{
    struct manifest *manifest = check_manifest(bytes, length, path, report);
    struct elf_image image;

    if (!elf_image_init(&image, bytes, length) || image.header.e_type != ET_DYN)
        goto out;
    if (image.dynamic.length == 0) {
        check_report_add(report, CHECK_ERROR, "dynamic", "no dynamic section: link with -shared");
        goto out;
    }
    check_module(&image, manifest, report);
    check_exports(&image, report);
    check_hardening(&image, report);
out:
    manifest_destroy(manifest);
}
