/* SPDX-License-Identifier: Apache-2.0 */
/* The folders that a plugin asks for: below the place for temporary files, and gone with the test. */
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

enum berth_code fake_folder_get(char **folder, const char **ret_path, struct berth_error *err)
{
    const char *temporary = getenv("TMPDIR");
    char *path;

    if (*folder == NULL) {
        path = fake_format("%s/berth-testing-XXXXXX", temporary == NULL ? "/tmp" : temporary);
        if (mkdtemp(path) == NULL) {
            berth_error_set(err, BERTH_UNAVAILABLE, "%s: cannot be made: %s", path, strerror(errno));
            free(path);
            return BERTH_UNAVAILABLE;
        }
        *folder = path;
    }
    *ret_path = *folder;
    return BERTH_OK;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    remove(path);
    return 0;
}

void fake_folder_remove(char *folder)
{
    if (folder == NULL)
        return;
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
}
