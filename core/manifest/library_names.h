/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries of several modules that have one name: a process has one file under each, and who comes second
 * gets it. */
#ifndef CORE_MANIFEST_LIBRARY_NAMES_H
#define CORE_MANIFEST_LIBRARY_NAMES_H

#include "library.h"

/** Zero-initialise. */
struct library_names {
    /* Trees for tsearch: what is needed, and what modules call themselves. */
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
