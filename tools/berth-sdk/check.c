/* SPDX-License-Identifier: Apache-2.0 */
/* berth-sdk check: reports what would make a built module fail on a host, without running any of its code. */
#include <stdlib.h>

#include <core/scan/scan.h>
#include <sdk/base/text_file.h>

#include "check.h"
#include "command.h"

#define MODULE_MAX_BYTES ((size_t)1 << 30)

/* A host takes nothing that others could change. */
static void check_place(const char *path, struct check_report *report)
{
    char *real = realpath(path, NULL);
    struct berth_error err;

    if (real == NULL)
        return;
    if (verify_way(real, &err) != BERTH_OK)
        check_report_add(report, CHECK_WARNING, "place", "a host refuses to load it from here: %s",
                         err.message);
    free(real);
}

static void check_file(struct library_names *libraries, struct check_report *report)
{
    struct elf_image image;
    struct berth_error err;
    size_t length;
    char *bytes;

    if (text_file_read(report->path, MODULE_MAX_BYTES, &bytes, &length, &err) != BERTH_OK) {
        check_report_add(report, CHECK_ERROR, "file", "%s", err.message);
        return;
    }
    check_bytes(bytes, length, report->path, report);
    if (elf_image_init(&image, bytes, length) && image.header.e_type == ET_DYN)
        check_symbols(&image, report->path, libraries, report);
    check_place(report->path, report);
    free(bytes);
}

static int check_files(char **paths, size_t count, bool json)
{
    struct library_names libraries = {NULL, NULL};
    int code = EXIT_FINE;

    for (size_t i = 0; i < count; i++) {
        struct check_report report = {.path = paths[i]};

        check_file(&libraries, &report);
        if (json) {
            fputs(i == 0 ? "[" : ",\n ", stdout);
            check_report_write_json(&report, stdout);
        } else {
            check_report_write_text(&report, stdout);
        }
        if (report.error_count > 0)
            code = EXIT_BAD;
        check_report_finish(&report);
    }
    library_names_finish(&libraries);
    if (json)
        puts("]");
    return code;
}

int command_check(const struct command_options *options)
{
    const struct cli_line *line = options->line;

    return check_files(line->words, line->word_count, cli_has(line, "json"));
}
