/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollbacks that later starts of the daemon keep to. `<root>/rollbacks` has the content of each module that
 * is used, named by its hash, and an index, which is replaced as a whole.
 */
#ifndef CORE_MODULE_HELD_H
#define CORE_MODULE_HELD_H

#include <berth/error.h>
#include <berth/signature.h>

#include <core/scan/scan.h>

/** One file that is held back. */
struct held_item {
    /** A real path. */
    char *path;
    /** Hash of what is used in its place, and "greeter 1.0.0"; "": nothing is, because `instead` is used. */
    char content[BERTH_SHA256_TEXT];
    char *name;
    /** The other file of the same rollback, whose module had another path; NULL: none. */
    char *instead;
    /** Hash and version of what is held back; "": there was no file. NULL: no version. */
    char held[BERTH_SHA256_TEXT];
    char *held_version;
    /** The signature that lay beside the content; NULL: none. */
    char *signature;
    /** The content, open, once it has been read; otherwise -1. */
    int fd;
    struct stat opened;
};

/** Zero-initialise. */
struct held_files {
    struct held_item *items;
    size_t count;
    /** The index as it was read; NULL: there is none. */
    char *text;
};

/**
 * Reads and opens all that is kept, and leaves out files that have become others since.
 *
 * @param ret_kept  to be finished in any case.
 * @return BERTH_OK, also without an index; else why nothing could be read, with the path.
 */
enum berth_code held_read(const char *root, struct held_files *ret_kept, struct berth_error *err);
/** For a scan: malloced, borrows from the items. */
struct scan_pin *held_pins(const struct held_files *kept);
/** The content for a path cannot be used: nothing is held back for it any more. */
void held_drop(struct held_files *kept, const char *path);
void held_finish(struct held_files *kept);

/** Stores a module's content; blocks. The index does not name it yet. */
enum berth_code held_store(const char *root, int fd, char ret_content[BERTH_SHA256_TEXT],
                           struct berth_error *err);
/** The index with these items, malloced; NULL without any. */
char *held_format(const struct held_files *kept);
/** Replaces the index, and removes what it does not name any more. */
enum berth_code held_write(const char *root, const struct held_files *kept, struct berth_error *err);

#endif
