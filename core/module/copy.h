/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader of a copy needs to know beyond its path. */
#ifndef CORE_MODULE_COPY_H
#define CORE_MODULE_COPY_H

#include <stddef.h>
#include <sys/stat.h>

#include "module.h"
#include "siblings.h"

struct module_copy {
    /** `<root>/modules/<sha256>-<generation>`, and the file in it. */
    char *folder, *path;
    /** Of the file, once it was written. */
    struct stat status;
    struct siblings siblings;
};

/** Frees it and leaves the files, which are in use. NULL is fine. */
void module_copy_forget(struct module_copy *copy);

#endif
