/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that a built module is held against, a file each. */
#ifndef BERTH_SDK_CHECK_RULES_H
#define BERTH_SDK_CHECK_RULES_H

#include <core/manifest/elf_image.h>
#include <core/manifest/library.h>
#include <core/manifest/manifest.h>

#include "check_report.h"

/**
 * Everything that the bytes alone tell. Reads no other file: what the fuzzer drives.
 * @param path  for messages.
 */
void check_bytes(const void *bytes, size_t length, const char *path, struct check_report *report);

/** The note: is there one, and does it hold a manifest? @return to be destroyed, or NULL. */
struct manifest *check_manifest(const void *bytes, size_t length, const char *path,
                                struct check_report *report);
/** The constant `berth_module` against this SDK's contract and the manifest, which may be NULL. */
void check_module(const struct elf_image *image, const struct manifest *manifest,
                  struct check_report *report);
/** What it exports beside that constant. */
void check_exports(const struct elf_image *image, struct check_report *report);
/** Segments, relocations, constructors and flags that a host should not be asked to take. */
void check_hardening(const struct elf_image *image, struct check_report *report);
/**
 * The libraries it needs, where they are looked for, the symbols that none of them has, and those that it
 * would get of the host. Reads those libraries.
 * @param libraries  of the modules checked so far.
 */
void check_symbols(const struct elf_image *image, const char *path, struct library_names *libraries,
                   struct check_report *report);
/** Who may write where the file lies. */
void check_place(const char *path, struct check_report *report);

#endif
