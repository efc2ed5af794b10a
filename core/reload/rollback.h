/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back from an upgrade: what ran before the last one of each module, and which files are held back
 * since a rollback, until they become others or somebody asks for them.
 */
#ifndef CORE_RELOAD_ROLLBACK_H
#define CORE_RELOAD_ROLLBACK_H

#include <berth/plugin.h>
#include <berth/signature.h>

#include <core/module/held.h>
#include <core/module/originals.h>

/** A file that is held back: its earlier content is used, or nothing is, because another file is. */
struct rollback_pin {
    /** Malloced, as all its texts. */
    char *path;
    /** What is used in its place, held; NULL: nothing, because `instead` is used. */
    struct original *original;
    /** The other file of the same rollback, whose module had another path; NULL: none. */
    char *instead;
    /** What is held back: the file as it was at the rollback, or that there was none. */
    bool had_file;
    struct stat held_back;
    /** "" if it could not be read. */
    char sha256[BERTH_SHA256_TEXT];
    /** NULL: not known. */
    char *version;
    /** Later starts of the daemon keep to it; and the hash of the original, as it was stored for them. */
    bool is_kept;
    char content[BERTH_SHA256_TEXT];
};

/** Those in effect, or those that a change proposes. Zero-initialise. */
struct rollback_pins {
    struct rollback_pin *items;
    size_t count;
};

/** What ran before the last upgrade, and the path from which its successor was loaded. */
struct rollback_earlier {
    struct original *original;
    char *path;
};

/** Embedded by the owner. Zero-initialise. */
struct rollback {
    struct rollback_pins pins;
    /** One for each path. */
    struct rollback_earlier *earlier;
    size_t earlier_count;
    /** The index of what later starts keep to, as it is on the disk; NULL: there is none. */
    char *kept;
};

void rollback_finish(struct rollback *rollback);

/** A module was upgraded: what ran is what a rollback goes back to. @param path  of what runs instead. */
void rollback_note(struct rollback *rollback, struct original *before, const char *path);
/** Drops pins of files that have become others. */
void rollback_review(struct rollback *rollback);
/** Puts pins into effect; takes them over. */
void rollback_adopt(struct rollback *rollback, struct rollback_pins *pins);

/** Puts into effect what an earlier run has kept. @param originals  outlives the rollback. */
void rollback_restore(struct rollback *rollback, const struct held_files *kept, struct originals *originals);
/** Stores the content of all pins of these paths, and marks them as kept. Blocks. */
enum berth_code rollback_pins_keep(struct rollback_pins *pins, const char *root,
                                   const struct berth_strings *paths, struct berth_error *err);
/** Tells later starts which pins in effect they keep to, unless they know. */
enum berth_code rollback_save(struct rollback *rollback, const char *root, struct berth_error *err);

/** Of those in effect, all whose file is still what was held back. */
struct rollback_pins rollback_pins_copy(const struct rollback *rollback);
/**
 * Back to what ran before the last upgrade of a file. Nothing is held back if the file has that content
 * again. If the module had another path, both files are held back.
 *
 * @param ret_path  where the module will be, borrowed.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if there was no upgrade, or nothing is left of what ran.
 */
enum berth_code rollback_pins_add(struct rollback_pins *pins, const struct rollback *rollback,
                                  const char *path, const char **ret_path, struct berth_error *err);
const struct rollback_pin *rollback_pins_find(const struct rollback_pins *pins, const char *path);
/** Is a file used because it, or another in its favour, is held back? */
bool rollback_pins_hold(const struct rollback_pins *pins, const char *path);
/** Uses the file itself, if it was held back, and the other one of the same rollback. */
void rollback_pins_remove(struct rollback_pins *pins, const char *path);
/** For a scan: malloced, borrows from the pins. Each objection is malloced too. */
struct scan_pin *rollback_pins_for_scan(const struct rollback_pins *pins);
void rollback_pins_finish(struct rollback_pins *pins);

#endif
