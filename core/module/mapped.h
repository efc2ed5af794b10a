/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader and the kernel say is in memory. */
#ifndef CORE_MODULE_MAPPED_H
#define CORE_MODULE_MAPPED_H

#include <stdbool.h>
#include <stdint.h>

#include <link.h>

#include "module.h"

/** Of an object of the loader's list; empty if it is not there. */
struct module_range mapped_range(const struct link_map *map);
/** The inode of the file that is mapped at an address; 0 if unknown, as where /proc cannot be read. */
uint64_t mapped_inode(uintptr_t address);
/**
 * Is anything of a file that was loaded there still in memory? The loader's list, its answer to RTLD_NOLOAD,
 * its table of addresses and, where it can be read, the kernel's list of mappings must agree that it is gone.
 */
bool mapped_is_there(const char *path, struct module_range range);

#endif
