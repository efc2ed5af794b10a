/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back from an upgrade: what ran before the last one of each module, and which files are held back
 * since a rollback, until they become others or somebody asks for them.
 */
#ifndef CORE_RELOAD_ROLLBACK_H
#define CORE_RELOAD_ROLLBACK_H

#include <berth/signature.h>

#include <core/module/originals.h>

/** A file whose earlier content is used. */
struct rollback_pin {
    /** Held. */
    struct original *original;
    /** What is held back: the file as it was at the rollback, or that there was none. */
    bool had_file;
    struct stat held_back;
    /** "" if it could not be read. */
    char sha256[BERTH_SHA256_TEXT];
    /** Malloced; NULL: not known. */
    char *version;
};

/** Those in effect, or those that a change proposes. Zero-initialise. */
struct rollback_pins {
    struct rollback_pin *items;
    size_t count;
};

/** Embedded by the owner. Zero-initialise. */
struct rollback {
    struct rollback_pins pins;
    /** One for each path, held. */
    struct original **earlier;
    size_t earlier_count;
};

void rollback_finish(struct rollback *rollback);

/** A module was upgraded: what ran is what a rollback goes back to. */
void rollback_note(struct rollback *rollback, struct original *before);
/** Drops pins of files that have become others. */
void rollback_review(struct rollback *rollback);
/** Puts pins into effect; takes them over. */
void rollback_adopt(struct rollback *rollback, struct rollback_pins *pins);

/** Of those in effect, all whose file is still what was held back. */
struct rollback_pins rollback_pins_copy(const struct rollback *rollback);
/**
 * Back to what ran before the last upgrade of a file. Nothing is held back if the file has that content
 * again.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION if there was no upgrade, or nothing is left of what ran.
 */
enum berth_code rollback_pins_add(struct rollback_pins *pins, const struct rollback *rollback,
                                  const char *path, struct berth_error *err);
/** Uses the file itself, if it was held back. */
void rollback_pins_remove(struct rollback_pins *pins, const char *path);
/** For a scan: malloced, borrows from the pins. Each objection is malloced too. */
struct scan_pin *rollback_pins_for_scan(const struct rollback_pins *pins);
void rollback_pins_finish(struct rollback_pins *pins);

#endif
