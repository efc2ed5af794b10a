/* SPDX-License-Identifier: Apache-2.0 */
/* The content of modules' files, which others may write to or truncate meanwhile: read, never mapped. */
#ifndef CORE_MODULE_CONTENT_H
#define CORE_MODULE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

#include <berth/signature.h>

/** For reading it; symlinks are not followed, and nothing blocks. @return -1, and errno. */
int content_open(const char *path);
/**
 * Reads a regular file of 1 to SCAN_FILE_MAX bytes.
 *
 * @return malloced; NULL: it is another kind of file, it shrank meanwhile, or there is no memory.
 */
void *content_read(int fd, size_t *ret_length);
/** @return false if it cannot be read. */
bool content_hash(int fd, char ret_sha256[BERTH_SHA256_TEXT]);
/** The version that a module's manifest states, whether or not it may run; malloced. NULL: unknown. */
char *content_version(int fd, const char *path);

#endif
