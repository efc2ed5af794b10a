/* SPDX-License-Identifier: Apache-2.0 */
/* Writes whole files: all of the text is there afterwards, or none of it. */
#ifndef CORE_COMMANDS_TEXT_FILE_H
#define CORE_COMMANDS_TEXT_FILE_H

#include <sys/types.h>

#include <berth/error.h>

/** Writes a file that is not there yet. @return BERTH_OK, or what stood in the way. */
enum berth_code text_file_create(const char *path, mode_t mode, const char *text, struct berth_error *err);

/** Replaces a file, keeping its mode and owner; the old one stays as `path`.bak. */
enum berth_code text_file_replace(const char *path, const char *text, struct berth_error *err);

#endif
