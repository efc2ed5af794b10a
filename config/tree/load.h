/* SPDX-License-Identifier: Apache-2.0 */
/* A main file and its imports, as one tree in which each value knows its file. */
#ifndef CONFIG_TREE_LOAD_H
#define CONFIG_TREE_LOAD_H

#include <stdbool.h>

#include "tree.h"

/** How deep imports may import, how many files there may be, and how many bytes in all. */
#define CONFIG_LOAD_MAX_DEPTH 8
#define CONFIG_LOAD_MAX_FILES 1000
#define CONFIG_LOAD_MAX_BYTES (16 * 1024 * 1024)

/**
 * The bytes of a file or stream, malloced and NUL-terminated; NULL with an error in `diagnostics`, also for a
 * file larger than `most`.
 */
char *config_load_bytes(const char *path, size_t most, struct config_diagnostics *diagnostics,
                        size_t *ret_length);

/** Is it "-" or one of the process's own streams, such as /dev/stdin or /dev/fd/3? */
bool config_load_is_stream(const char *path);

/**
 * Reads a file and merges the files it lists under `imports` into it, in order; later wins. Imports are file
 * names or globs relative to the importing file; the matches of a glob are sorted by bytes. Imported files
 * may import. A name without wildcards must exist; a glob may match nothing. The `imports` of imported files
 * are dropped.
 *
 * @param path  may be a stream, see config_load_is_stream; relative imports then start from the working
 * directory.
 * @param missing_is_fine  treat a missing main file as empty.
 * @param ret_is_complete  false if a file could not be read or an import failed; `diagnostics` then has at
 * least one error, and the tree holds the other files.
 * @return the tree; NULL if the main file could not be read.
 */
struct config_tree *config_load(const char *path, bool missing_is_fine,
                                struct config_diagnostics *diagnostics, bool *ret_is_complete);

#endif
