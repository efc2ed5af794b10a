/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of a built module, and the report of what they find. */
#ifndef BERTH_SDK_CHECK_H
#define BERTH_SDK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <core/elf/elf.h>
#include <core/manifest/manifest.h>

enum check_severity {
    CHECK_ERROR,
    CHECK_WARNING,
    /** Good to know; counted as neither. */
    CHECK_NOTE,
};

struct check_finding {
    enum check_severity severity;
    /** The check that found it: "symbols". Static. */
    const char *check;
    char *message;
};

/** Zero-initialise, except the path. */
struct check_report {
    const char *path;
    /** "greeter 1.2.0", and the URIs of its plugins; NULL if the manifest could not be read. */
    char *module;
    char **plugins;
    size_t plugin_count;
    struct check_finding *findings;
    size_t count;
    size_t error_count;
};

__attribute__((format(printf, 4, 5))) void check_report_add(struct check_report *report,
                                                            enum check_severity severity, const char *check,
                                                            const char *format, ...);
/** A message without the file's name in front, which starts every line of the report. */
const char *check_report_strip(const struct check_report *report, const char *message);
void check_report_write_text(const struct check_report *report, FILE *out);
/** One JSON object without a newline. */
void check_report_write_json(const struct check_report *report, FILE *out);
void check_report_finish(struct check_report *report);

/**
 * All checks that need only the bytes. Reads no other file; used by the fuzzer.
 * @param path  for messages.
 */
void check_bytes(const void *bytes, size_t length, const char *path, struct check_report *report);

/**
 * The libraries it needs, where they are searched, symbols that none of them has, and symbols that would come
 * from the host instead. Reads those libraries.
 * @param libraries  of the modules checked so far.
 */
void check_symbols(const struct elf_image *image, const char *path, struct library_names *libraries,
                   struct check_report *report);
#endif
