/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the files in plugin directories that may be trusted, and what each says of itself. Loads nothing. */
#ifndef CORE_SCAN_H
#define CORE_SCAN_H

#include <stddef.h>
#include <sys/stat.h>

#include "manifest.h"

/** One file that was found: either with its manifest or with the reason why it is refused. */
struct scan_file {
    /** The real path: absolute, without symlinks; where refused, perhaps the path it was found at. */
    char *path;
    /** The path for people and wires: one line of UTF-8, whatever the file is called. */
    char *shown;
    /** As fstat gave it when the manifest was read; for verify_same. */
    struct stat status;
    /** NULL where refused. */
    struct manifest *manifest;
    enum berth_code code;
    /** Why it is refused, one line that begins with the path, malloced; or NULL. */
    char *reason;
};

struct scan {
    /** In the order of the directories, names sorted by bytes within each. */
    struct scan_file *files;
    size_t count;
    /** One line each, malloced: a directory that is not there or may not be trusted, a file given twice. */
    char **warnings;
    size_t warning_count;
    /** How many directories may not be trusted or cannot be read; one that is not there is not among them. */
    size_t refused_directories;
};

/**
 * Scans directories. A bad file costs that file only, a bad directory that directory only. Files are those
 * whose names end in ".so"; what has no berth note is refused as no module. Aborts when memory is out.
 */
void scan_directories(const char *const *directories, size_t count, struct scan *ret_scan);
void scan_finish(struct scan *scan);

#endif
