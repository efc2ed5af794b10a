/* SPDX-License-Identifier: Apache-2.0 */
/* A main file and all that it imports, as one tree in which each value knows its file. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include <stdbool.h>

#include "tree.h"

/** How deep imports may import, how many files there may be, and how many bytes in all. */
#define CONFIG_LOAD_MAX_DEPTH 8
#define CONFIG_LOAD_MAX_FILES 1000
#define CONFIG_LOAD_MAX_BYTES (16 * 1024 * 1024)

/**
 * The bytes of a file, malloced, with a NUL behind them; NULL with an error in `diagnostics`, as for what is
 * larger than `most`.
 */
char *config_load_bytes(const char *path, size_t most, struct config_diagnostics *diagnostics,
                        size_t *ret_length);

/** Is it "-", or the name of one of the process's own streams: /dev/stdin, /dev/fd/3? */
bool config_load_is_stream(const char *path);

/**
 * Reads a file and lays upon it what it lists under `imports`: globs, relative to the file that has them, in
 * their order, the matches of one sorted by bytes; later wins. Imported files may import. A name without
 * wildcards has to be there; a pattern may match nothing. The `imports` of imported files are not kept.
 *
 * @param path  may be a stream, see config_load_is_stream; relative names in it start from the working
 * directory.
 * @param missing_is_fine  then a main file that is not there is an empty one.
 * @param ret_is_complete  false where a file could not be read or an import led nowhere; then there is at
 * least one error in `diagnostics`, and the tree holds what the other files say.
 * @return the tree; NULL where the main file could not be read.
 */
struct config_tree *config_load(const char *path, bool missing_is_fine,
                                struct config_diagnostics *diagnostics, bool *ret_is_complete);

#endif
