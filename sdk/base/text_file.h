/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: read within a bound, written completely or not at all. */
#ifndef SDK_BASE_TEXT_FILE_H
#define SDK_BASE_TEXT_FILE_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <berth/error.h>

/**
 * Reads a regular file.
 *
 * @param max_bytes  larger files are refused.
 * @param ret_text   malloced and NUL-terminated.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a file that is too large or not a regular one; the system's
 * error.
 */
enum berth_code text_file_read(const char *path, size_t max_bytes, char **ret_text, size_t *ret_length,
                               struct berth_error *err);

/** Writes a new file. @return BERTH_OK, or the reason for the failure, such as BERTH_ALREADY_EXISTS. */
enum berth_code text_file_create(const char *path, mode_t mode, const char *text, struct berth_error *err);

/**
 * Writes a program's own record, replacing what is there. Its neighbour `path`.new is replaced as well: one
 * process writes it at a time.
 *
 * @param like  whose owner and mode it takes; NULL: the process's own and 0600.
 */
enum berth_code text_file_keep(const char *path, const char *text, const struct stat *like,
                               struct berth_error *err);

/** Replaces a file, keeping its mode and owner; keeps the old one as `path`.bak. */
enum berth_code text_file_replace(const char *path, const char *text, struct berth_error *err);

/** Writes generated text, which may be written again: replaces what is there and does not wait for the disk.
 */
enum berth_code text_file_write(const char *path, const char *text, struct berth_error *err);

#endif
