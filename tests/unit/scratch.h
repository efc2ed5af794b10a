/* SPDX-License-Identifier: Apache-2.0 */
/* Folders whose parents only root or we can write to, as plugin directories must be. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes a fresh folder, a real path, below BERTH_SCRATCH or the user's cache. */
static inline void scratch_create(char path[static PATH_MAX])
{
    char parent[PATH_MAX - 64];
    const char *given = getenv("BERTH_SCRATCH");
    const char *home = getenv("HOME");
    char *real;

    if (given != NULL) {
        snprintf(parent, sizeof(parent), "%s", given);
    } else {
        snprintf(parent, sizeof(parent), "%s/.cache", home != NULL ? home : "/root");
        mkdir(parent, 0700);
        snprintf(parent, sizeof(parent), "%s/.cache/berth-test", home != NULL ? home : "/root");
    }
    mkdir(parent, 0700);
    real = realpath(parent, NULL);
    snprintf(path, PATH_MAX, "%s/unit-XXXXXX", real != NULL ? real : parent);
    free(real);
    if (mkdtemp(path) == NULL) {
        perror(path);
        abort();
    }
}

static inline int scratch_remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    return remove(path);
}

static inline void scratch_remove(const char *path)
{
    nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
