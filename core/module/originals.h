/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What modules were loaded from, kept open: a plugin can go back to it after its file was replaced. One
 * descriptor for each file, as long as somebody holds it.
 */
#ifndef CORE_MODULE_ORIGINALS_H
#define CORE_MODULE_ORIGINALS_H

#include <sys/queue.h>

#include <core/manifest/manifest.h>
#include <core/scan/scan.h>

/** One content of one file. Read only, except for its holders. */
struct original {
    LIST_ENTRY(original) link;
    struct originals *originals;
    size_t holders;
    /** Where the module was found, and what its file was when it was checked. */
    char *path;
    struct stat status;
    /** -1: not kept. It may be of a copy, whose status is `opened`. */
    int fd;
    struct stat opened;
    /** "greeter 1.2.0", and the version in it. */
    char *name;
    const char *version;
    /** The text of the signature that lay beside it; NULL: none. */
    char *signature;
};

#define ORIGINALS_BUCKETS 256

/** Embedded by the owner. */
struct originals {
    /** By the hash of the path. */
    LIST_HEAD(, original) by_path[ORIGINALS_BUCKETS];
    /** How many are open, and how many may be. */
    size_t open_count, open_max;
};

void originals_init(struct originals *originals);

/**
 * @param path  where the content is: that of the manifest's file, or a copy's; NULL: nothing was loaded, so
 *              that nothing is kept open.
 * @return to be dropped. It keeps nothing open where the file is another by now, or too many are open.
 */
struct original *originals_keep(struct originals *originals, const struct manifest *manifest,
                                const char *path);
/**
 * One that an earlier run has kept.
 *
 * @param name       "greeter 1.2.0"
 * @param signature  may be NULL.
 * @param fd         open; copied.
 */
struct original *originals_restore(struct originals *originals, const char *path, const char *name,
                                   const char *signature, int fd, const struct stat *opened);
/** One that is open and whose content is what this manifest was read from; or NULL. */
struct original *originals_find(const struct originals *originals, const struct manifest *manifest);

/** @return the original. */
struct original *original_hold(struct original *original);
/** Closed with its last holder. Accepts NULL. */
void original_drop(struct original *original);
/** Is it open, and has not been overwritten since? */
bool original_is_intact(const struct original *original);
bool original_is_of(const struct original *original, const struct scan_file *file);

#endif
