/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: read within a bound, written at once or not at all. */
#ifndef BERTH_SDK_FILE_H
#define BERTH_SDK_FILE_H

#include <stddef.h>

#include <berth/error.h>

/**
 * Reads a regular file.
 *
 * @param max_bytes  what is longer is refused.
 * @param ret_text   malloced, with a NUL behind it; the caller frees.
 * @return BERTH_OK; BERTH_NOT_FOUND; BERTH_PERMISSION_DENIED; BERTH_INVALID_ARGUMENT for what is no regular
 *         file or too long; BERTH_UNAVAILABLE where reading fails.
 */
enum berth_code file_read(const char *path, size_t max_bytes, char **ret_text, size_t *ret_length,
                          struct berth_error *err);

/** Writes a file by way of a temporary one beside it; replaces what is there. */
enum berth_code file_write(const char *path, const char *text, size_t length, struct berth_error *err);

#endif
