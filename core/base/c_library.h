/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the C library keeps about threads: the functions they began with and the destructors of their data.
 * glibc describes its tables for debuggers (libthread_db) in every build; nothing is guessed where it does
 * not.
 */
#ifndef CORE_BASE_C_LIBRARY_H
#define CORE_BASE_C_LIBRARY_H

#include <stdbool.h>

/** Reads the descriptions, once. Before the other two. */
void c_library_prepare(void);
/** What the calling thread began with; NULL if unknown. Async-signal-safe. */
const void *c_library_start_routine(void);
/**
 * Visits the destructor of each pthread key (POSIX and C11) until the visitor returns true.
 * @return false if the C library does not show them: nothing is known then.
 */
bool c_library_each_destructor(bool (*on_destructor)(void *context, const void *function), void *context);

#endif
