/* SPDX-License-Identifier: Apache-2.0 */
/* What the bytes of a shared object say: its note, its symbols, the libraries it needs. The door of this
 * room. */
#ifndef CORE_ELF_ELF_H
#define CORE_ELF_ELF_H

#include "elf_image.h"
#include "library.h"
#include "note.h"
#include "residence.h"

#endif
