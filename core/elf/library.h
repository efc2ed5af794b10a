/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared libraries that a module needs, found where the dynamic linker would find them, and whether they
 * may be loaded: nothing that a module names for itself may lie where others could put a file. Loads nothing.
 */
#ifndef CORE_ELF_LIBRARY_H
#define CORE_ELF_LIBRARY_H

#include <sys/stat.h>

#include <berth/error.h>

#include "elf_image.h"

/** The user of a library that the module itself needs. */
#define LIBRARY_MODULE ((size_t)-1)

struct library {
    /** Its name in DT_NEEDED, and the file it was found in; borrowed from the finder. */
    const char *name;
    const char *path;
    dev_t device;
    ino_t inode;
    /** When its bytes were mapped. */
    const struct stat *status;
    const struct elf_image *image;
    /** The first user: an index of the list. */
    size_t user;
    /** Found where the machine keeps its libraries, not where a module or the environment says. */
    bool is_system;
    /** Found where the module or one of its libraries says. */
    bool is_own;
};

/** In the order in which the dynamic linker loads them. Zero-initialise. */
struct library_list {
    struct library *items;
    size_t count;
};

struct library_problem {
    /**
     * BERTH_NOT_FOUND: a library is missing. BERTH_PERMISSION_DENIED: a folder or file is not trusted.
     * BERTH_INVALID_ARGUMENT: damaged or without bounds.
     */
    enum berth_code code;
    /** It hangs on where the module lies: its path has $ORIGIN in it. */
    bool is_of_place;
    /** One sentence, without the module's path. */
    const char *message;
};

/** Files that were found and folders that were looked at, each once for many modules. */
struct library_finder;

/**
 * The first one takes what is loaded for the program's own: it is created before the first module is loaded.
 *
 * @param with_environment  LD_LIBRARY_PATH counts, as it does in this process. Aborts without memory.
 */
struct library_finder *library_finder_create(bool with_environment);
void library_finder_destroy(struct library_finder *finder);
/** Nothing found from here on is BERTH_PERMISSION_DENIED: who could have written it does not matter. */
void library_finder_trust_all(struct library_finder *finder);

/**
 * Finds everything that a module needs, and what that needs.
 *
 * @param path      where it lies, absolute, for $ORIGIN.
 * @param ret_list  to be finished; what it borrows lives as long as the finder.
 */
void library_find_all(struct library_finder *finder, const struct elf_image *module, const char *path,
                      void (*on_problem)(void *context, const struct library_problem *problem), void *context,
                      struct library_list *ret_list);
/** Finds one more by its name, for a program that has it already. @return whether it is on this machine. */
bool library_find(struct library_finder *finder, const char *name, unsigned machine,
                  struct library_list *list);
void library_list_finish(struct library_list *list);

/** Visits the program's own libraries. */
void library_each_loaded(struct library_finder *finder,
                         void (*on_library)(void *context, const struct library *library), void *context);

/**
 * Libraries of several modules that have one name: a process has one file under each, and whichever module is
 * loaded second gets it. Zero-initialise.
 */
struct library_names {
    /** Trees for tsearch: the libraries that are needed, and the sonames of modules. */
    void *needed;
    void *sonames;
};

/**
 * Adds a module and what it needs.
 *
 * @param module  its path, for messages about others.
 * @return NULL; or one sentence on the first of its libraries for which it may get another file, malloced.
 */
char *library_names_add(struct library_names *names, const struct library_finder *finder,
                        const struct elf_image *image, const char *module, const struct library_list *list);
void library_names_finish(struct library_names *names);

#endif
