/* SPDX-License-Identifier: Apache-2.0 */
/* How many files the daemon may have open. */
#ifndef CORE_OPEN_FILES_H
#define CORE_OPEN_FILES_H

/**
 * Raises the soft limit of open files to the hard one. Children of fork(2), and so of uv_spawn, get back the
 * limit that the daemon was started with; those of posix_spawn(3) and system(3) do not. Once, before any
 * thread is started.
 */
void open_files_raise_limit(void);

#endif
