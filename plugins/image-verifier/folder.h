/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of the verifiers: its programs, and whether they may be run. All of it blocks; call it on a
 * worker thread.
 */
#ifndef IMAGE_VERIFIER_FOLDER_H
#define IMAGE_VERIFIER_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include <berth/error.h>

/** Maximum number of entries read. */
#define FOLDER_ENTRIES_MAX 4096

/** Zero-initialise. */
struct folder {
    /** Its real path. */
    char *path;
    bool exists;
    /** In byte order. */
    char **names;
    size_t count;
};

/**
 * Reads a directory that only root and the daemon's user can write to; a missing one is not an error.
 * @return BERTH_OK; or why it cannot be used. To be finished in either case.
 */
enum berth_code folder_read(struct folder *folder, const char *path, struct berth_error *err);
void folder_finish(struct folder *folder);

/**
 * Resolves an entry to a file, and checks that only root and the daemon's user can write to it.
 * @param ret_path  malloced.
 */
enum berth_code folder_find_program(const struct folder *folder, const char *name, char **ret_path,
                                    struct berth_error *err);

#endif
