/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of a built module, one file each. */
#ifndef BERTH_SDK_CHECK_RULES_H
#define BERTH_SDK_CHECK_RULES_H

#include <core/manifest/elf_image.h>
#include <core/manifest/library.h>
#include <core/manifest/manifest.h>

#include "check_report.h"

/**
 * All checks that need only the bytes. Reads no other file; used by the fuzzer.
 * @param path  for messages.
 */
void check_bytes(const void *bytes, size_t length, const char *path, struct check_report *report);

/** The note and its manifest. @return to be destroyed, or NULL. */
struct manifest *check_manifest(const void *bytes, size_t length, const char *path,
                                struct check_report *report);
/** The constant `berth_module`, compared with this SDK's contract and the manifest, which may be NULL. */
void check_module(const struct elf_image *image, const struct manifest *manifest,
                  struct check_report *report);
/** Exports besides that constant. */
void check_exports(const struct elf_image *image, struct check_report *report);
/** Segments, relocations, constructors and flags that a host should not load. */
void check_hardening(const struct elf_image *image, struct check_report *report);
/**
 * The libraries it needs, where they are searched, symbols that none of them has, and symbols that would come
 * from the host instead. Reads those libraries.
 * @param libraries  of the modules checked so far.
 */
void check_symbols(const struct elf_image *image, const char *path, struct library_names *libraries,
                   struct check_report *report);
/** Who can write to the file's path. */
void check_place(const char *path, struct check_report *report);

#endif
