/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a command writes: completely or not at all. */
#ifndef TOOLS_CLI_TEXT_FILE_H
#define TOOLS_CLI_TEXT_FILE_H

#include <sys/types.h>

#include <berth/error.h>

/** Writes a new file. @return BERTH_OK, or the reason for the failure, such as BERTH_ALREADY_EXISTS. */
enum berth_code text_file_create(const char *path, mode_t mode, const char *text, struct berth_error *err);

/** Replaces a file, keeping its mode and owner; keeps the old one as `path`.bak. */
enum berth_code text_file_replace(const char *path, const char *text, struct berth_error *err);

#endif
