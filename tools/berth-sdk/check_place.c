/* SPDX-License-Identifier: Apache-2.0 */
/* Reports who else can write to the module's path: a host loads no file that others can change. */
#include <stdlib.h>

#include <core/scan/scan.h>

#include "check_rules.h"

void check_place(const char *path, struct check_report *report)
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
