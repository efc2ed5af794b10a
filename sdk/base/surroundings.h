/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to the whole process, so that a plugin which changes it changes it for all: dispositions and
 * mask of signals, working directory, umask, locale, environment. One thread only.
 */
#ifndef SDK_BASE_SURROUNDINGS_H
#define SDK_BASE_SURROUNDINGS_H

#include <stdbool.h>

struct surroundings;

/** Takes them as they are. @return NULL without memory. */
struct surroundings *surroundings_take(void);
/** NULL is fine. */
void surroundings_free(struct surroundings *surroundings);

/**
 * Compares them with what was taken, and restores what a host needs: its signals, the mask, the directory,
 * the umask and the locale. What is left as it is, is taken anew.
 *
 * @param on_change  called for each change with what it is: "the handler of SIGTERM", "the environment
 *                   variable HOME" (never its value).
 */
void surroundings_check(struct surroundings *surroundings,
                        void (*on_change)(void *context, const char *what, bool is_restored), void *context);

#endif
