/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the files in plugin directories that may be trusted, and what each says of itself. Loads nothing. */
#ifndef CORE_SCAN_SCAN_H
#define CORE_SCAN_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include <core/manifest/manifest.h>

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
    /** Of a library of another file under the same name, which it may get instead of its own; malloced, or
     * NULL. */
    char *conflict;
};

/** One of the directories, from which nothing is read. */
struct scan_refusal {
    /** Its place among those that were given. */
    size_t directory;
    /** Nothing is there. Else it may not be trusted or cannot be read. */
    bool is_missing;
    /** One line that begins with the path, malloced. */
    char *reason;
};

struct scan {
    /** In the order of the directories, names sorted by bytes within each. */
    struct scan_file *files;
    size_t count;
    /** In the order of the directories. */
    struct scan_refusal *refusals;
    size_t refusal_count;
    /** One line each, malloced: a file or directory given twice, libraries of one name. */
    char **warnings;
    size_t warning_count;
};

/**
 * Scans directories. A bad file costs that file only, a bad directory that directory only. Files are those
 * whose names end in ".so"; what has no berth note is refused as no module. Aborts when memory is out.
 */
void scan_directories(const char *const *directories, size_t count, struct scan *ret_scan);
void scan_finish(struct scan *scan);

#endif
