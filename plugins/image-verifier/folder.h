/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of the verifiers: who is in it, and may they be run? All of it blocks: for a thread's work. */
#ifndef IMAGE_VERIFIER_FOLDER_H
#define IMAGE_VERIFIER_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include <berth/error.h>

/** The most entries that are looked at. */
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
 * Reads a folder that only root and we can write to; one that is not there is fine.
 * @return BERTH_OK; or why it cannot be used. Finish it either way.
 */
enum berth_code folder_read(struct folder *folder, const char *path, struct berth_error *err);
void folder_finish(struct folder *folder);

/**
 * Finds the file behind an entry, and whether only root and we can have written it.
 * @param ret_path  malloced.
 */
enum berth_code folder_find_program(const struct folder *folder, const char *name, char **ret_path,
                                    struct berth_error *err);

#endif
