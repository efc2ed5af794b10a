/* SPDX-License-Identifier: Apache-2.0 */
/* berth-sdk check: says what would make a built module fail on a host, without running any of it. */
#include <getopt.h>
#include <stdlib.h>

#include "check_rules.h"
#include "command.h"
#include "file.h"

#define MODULE_MAX_BYTES ((size_t)1 << 30)

const char check_help[] =
    "usage: berth-sdk check [--json] FILE.so...\n"
    "\n"
    "Says everything that would make a built module fail on a host, or that a host should\n"
    "not be asked to take. Nothing of the file is run.\n"
    "\n"
    "errors:    manifest and its note; contract and libuv it was built for; a stale build;\n"
    "           libraries that are missing, symbols that nobody provides; executable stack;\n"
    "           segments that are writable and executable; text relocations; an RPATH that\n"
    "           depends on the working directory\n"
    "warnings:  more than one exported symbol; constructors (the compiler's own, one in each\n"
    "           file, is not counted); RPATH and RUNPATH; no -z now, no RELRO; static TLS;\n"
    "           a file or folder that others may write to, which a host refuses to load from\n"
    "\n"
    "      --json  one JSON array: an object with path, module, plugins and findings a file\n"
    "\n"
    "exit codes: 0 no errors, 1 errors, 2 usage\n";

static void check_file(struct check_report *report)
{
    struct elf_image image;
    struct berth_error err;
    size_t length;
    char *bytes;

    if (file_read(report->path, MODULE_MAX_BYTES, &bytes, &length, &err) != BERTH_OK) {
        check_report_add(report, CHECK_ERROR, "file", "%s", err.message);
        return;
    }
    check_bytes(bytes, length, report->path, report);
    if (elf_image_init(&image, bytes, length) && image.header.e_type == ET_DYN)
        check_symbols(&image, report->path, report);
    check_place(report->path, report);
    free(bytes);
}

static int check_files(char **paths, size_t count, bool json)
{
    int code = EXIT_FINE;

    for (size_t i = 0; i < count; i++) {
        struct check_report report = {.path = paths[i]};

        check_file(&report);
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
    if (json)
        puts("]");
    return fflush(stdout) == 0 ? code : EXIT_BAD;
}

int command_check(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {0},
    };
    bool json = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'j')
            return command_usage("check", "an option is not known");
        json = true;
    }
    if (optind == argc)
        return command_usage("check", "a file is wanted");
    return check_files(argv + optind, (size_t)(argc - optind), json);
}
