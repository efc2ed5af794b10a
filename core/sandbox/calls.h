/* SPDX-License-Identifier: Apache-2.0 */
/* System calls by name and number, and sets of them that a plugin may need together. */
#ifndef CORE_SANDBOX_CALLS_H
#define CORE_SANDBOX_CALLS_H

#include <stdbool.h>
#include <stddef.h>

/** How many names calls_list gives. */
size_t calls_count(void);
/** All system calls of this architecture, then all sets with their "@". @param ret_names  as many as counted.
 */
void calls_list(const char **ret_names);

/** Is it a system call of this architecture? */
bool calls_is_known(const char *name);
/** @return its name, static; NULL if the number is not known. */
const char *calls_name(int number);

/**
 * Finds a set by its name, with the "@".
 * @return names of system calls, static, ending with NULL; NULL if there is no such set.
 */
const char *const *calls_find_set(const char *name);

#endif
