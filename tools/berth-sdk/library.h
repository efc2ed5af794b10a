/* SPDX-License-Identifier: Apache-2.0 */
/* Finds and reads the shared libraries that a file needs, where the dynamic linker would find them. */
#ifndef BERTH_SDK_LIBRARY_H
#define BERTH_SDK_LIBRARY_H

#include "elf_image.h"

struct library {
    /** As it stands under DT_NEEDED, and the file it was found in. */
    char *name;
    char *path;
    char *bytes;
    struct elf_image image;
};

/** In the order in which the dynamic linker loads them. Zero-initialise. */
struct library_list {
    struct library *items;
    size_t count;
};

/**
 * Finds a library by name: the folders of RPATH or RUNPATH of who needs it, the dynamic linker's cache, the
 * default folders. The environment is not asked: the host's is another.
 *
 * @param user       who needs it: the machine must be the same.
 * @param user_path  where it lies, for $ORIGIN.
 * @return false where there is none of this machine.
 */
bool library_add(struct library_list *list, const char *name, const struct elf_image *user,
                 const char *user_path);
void library_list_finish(struct library_list *list);

#endif
