/* SPDX-License-Identifier: Apache-2.0 */
/* Says who else may write where a module lies: a host takes nothing that others could change. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_rules.h"

/* Adds one finding and says so where the path is not root's or ours, or others may write to it. */
static bool is_open_to_others(const char *path, struct check_report *report)
{
    struct stat status;
    const char *kind;

    if (stat(path, &status) != 0)
        return false;
    kind = S_ISDIR(status.st_mode) ? "folder" : "file";
    if (status.st_uid != 0 && status.st_uid != geteuid())
        check_report_add(
            report, CHECK_WARNING, "place",
            "where it lies a host refuses it: the %s %s belongs to user %u, neither root nor you", kind, path,
            (unsigned)status.st_uid);
    else if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        check_report_add(
            report, CHECK_WARNING, "place",
            "where it lies a host refuses it: the %s %s has mode %04o, so others may write to it; "
            "install it into a plugin folder",
            kind, path, (unsigned)status.st_mode & 07777);
    else
        return false;
    return true;
}

void check_place(const char *path, struct check_report *report)
{
    char *real = realpath(path, NULL);

    if (real == NULL)
        return;
    while (!is_open_to_others(real, report) && strcmp(real, "/") != 0) {
        char *slash = strrchr(real, '/');

        slash[slash == real ? 1 : 0] = '\0';
    }
    free(real);
}
