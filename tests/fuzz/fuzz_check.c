/* SPDX-License-Identifier: Apache-2.0 */
/* `berth-sdk check` against any bytes that call themselves a module. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_problem(void *context, const struct library_problem *problem)
{
    size_t *problems = context;

    if (problem->code == BERTH_OK || problem->message[0] == '\0')
        abort();
    ++*problems;
}

/* Its search paths and names of libraries, looked for on this machine. */
static void find_libraries(const uint8_t *data, size_t size)
{
    struct library_finder *finder;
    struct library_names names = {NULL, NULL};
    struct library_list list;
    struct elf_image image;
    size_t problems = 0;

    if (!elf_image_init(&image, data, size))
        return;
    finder = library_finder_create(false);
    library_find_all(finder, &image, "/usr/lib/fuzz.so", on_problem, &problems, &list);
    free(library_names_add(&names, finder, &image, "/usr/lib/fuzz.so", &list));
    if (list.count == 0 && problems == 0 && elf_image_flags(&image, DT_NEEDED) != 0)
        abort();
    library_names_finish(&names);
    library_list_finish(&list);
    library_finder_destroy(finder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct check_report report = {.path = "/fuzz.so"};
    FILE *out = fopen("/dev/null", "w");

    if (out == NULL)
        abort();
    find_libraries(data, size);
    check_bytes(data, size, report.path, &report);
    if (report.module == NULL && report.error_count == 0)
        abort();
    check_report_write_text(&report, out);
    check_report_write_json(&report, out);
    check_report_finish(&report);
    fclose(out);
    return 0;
}
