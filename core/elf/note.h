/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the manifest's text in an ELF file, from its program headers alone. Trusts no byte of it. */
#ifndef CORE_ELF_NOTE_H
#define CORE_ELF_NOTE_H

#include <stddef.h>

#include <berth/error.h>

/**
 * Finds the note in a file's bytes.
 *
 * @param path      for messages.
 * @param ret_text  malloced, NUL-ended, the caller frees; without the NUL that ends the note's text.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for anything but a shared object for this machine, for one that is
 *         truncated or absurd, or has a note of another layout; BERTH_NOT_FOUND if there is no berth note:
 *         it may be an ordinary library.
 */
enum berth_code note_find(const void *file, size_t file_length, const char *path, char **ret_text,
                          size_t *ret_length, struct berth_error *err);

#endif
