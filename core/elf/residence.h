/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a loaded module stays in memory although the host unloads it, as far as its file shows. dlclose(3)
 * reports success whatever happens, so authors and operators are told before.
 */
#ifndef CORE_ELF_RESIDENCE_H
#define CORE_ELF_RESIDENCE_H

#include <stddef.h>
#include <stdint.h>

#include "elf_image.h"

enum residence_cause {
    /** A symbol that the loader keeps unique in the process (STB_GNU_UNIQUE). */
    RESIDENCE_UNIQUE = 1 << 0,
    /** Linked with -z nodelete. */
    RESIDENCE_NODELETE = 1 << 1,
    /** A destructor of a thread_local variable is pending, which some thread runs when it ends. */
    RESIDENCE_THREAD_LOCAL = 1 << 2,
    /** A thread runs its code, or began in it. */
    RESIDENCE_THREAD = 1 << 3,
    /** A destructor of thread-specific data, which any thread runs when it ends. */
    RESIDENCE_KEY = 1 << 4,
    /** The handler of a signal. */
    RESIDENCE_SIGNAL = 1 << 5,
    /** A POSIX timer or a notification that calls a function on a thread of the C library. */
    RESIDENCE_NOTIFICATION = 1 << 6,
    /** An exit handler that dlclose does not run: on_exit(3). */
    RESIDENCE_EXIT = 1 << 7,
    /** A handle or a request on the loop. */
    RESIDENCE_LOOP = 1 << 8,
    /** The loader keeps it for another file, or for a reason that nothing shows. */
    RESIDENCE_LOADER = 1 << 9,
};

#define RESIDENCE_CAUSES 10

/** What a file's bytes predict. */
struct residence {
    /** Bits of enum residence_cause: what keeps it whatever it does, and what may if it does not clean up. */
    uint32_t certain, possible;
    /** The memory it is mapped to: whole pages, including variables that are not in the file. */
    uint64_t bytes;
};

void residence_predict(const struct elf_image *image, struct residence *ret_residence);
/** "unique symbols" */
const char *residence_name(enum residence_cause cause);
/**
 * Writes "will stay resident after an upgrade (36 KiB): unique symbols; build with -fno-gnu-unique", or "may
 * stay resident …". Empty if nothing keeps it.
 */
void residence_format(const struct residence *residence, char *text, size_t size);

#endif
