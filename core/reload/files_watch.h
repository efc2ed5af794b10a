/* SPDX-License-Identifier: Apache-2.0 */
/* Notices that files in some directories have changed, also where a directory or a link to it is replaced. */
#ifndef CORE_RELOAD_FILES_WATCH_H
#define CORE_RELOAD_FILES_WATCH_H

#include <stddef.h>

#include <uv.h>

struct files_watch;

/**
 * Watches nothing yet.
 *
 * @param on_change  from the top of the loop, once all has been quiet for a second: a file was written and
 *                   closed, moved or removed, or a directory appeared, vanished or was replaced.
 * @return NULL, and errno, if the kernel has no room for it.
 */
struct files_watch *files_watch_create(uv_loop_t *loop, void (*on_change)(void *context), void *context);
/** Watches these directories instead of earlier ones. Those that do not exist are noticed when they appear.
 */
void files_watch_set(struct files_watch *watch, const char *const *directories, size_t count);
/** Closes its handles and frees it. Accepts NULL. */
void files_watch_destroy(struct files_watch *watch);

#endif
