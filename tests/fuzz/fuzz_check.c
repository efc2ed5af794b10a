/* SPDX-License-Identifier: Apache-2.0 */
/* `berth-sdk check` against any bytes that call themselves a module. */
#include <stdint.h>
#include <stdlib.h>

#include "check_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct check_report report = {.path = "/fuzz.so"};
    FILE *out = fopen("/dev/null", "w");

    if (out == NULL)
        abort();
    check_bytes(data, size, report.path, &report);
    if (report.module == NULL && report.error_count == 0)
        abort();
    check_report_write_text(&report, out);
    check_report_write_json(&report, out);
    check_report_finish(&report);
    fclose(out);
    return 0;
}
