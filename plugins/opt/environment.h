/* SPDX-License-Identifier: Apache-2.0 */
/* An environment for child processes, with directories in front of PATH and LD_LIBRARY_PATH. */
#ifndef OPT_ENVIRONMENT_H
#define OPT_ENVIRONMENT_H

/**
 * Copies an environment (NULL is allowed, as after clearenv(3)), with `bin` first in PATH and `lib` first in
 * LD_LIBRARY_PATH.
 * @return NULL-terminated; NULL without memory.
 */
char **environment_create(char *const *from, const char *bin, const char *lib);
/** Accepts NULL. */
void environment_destroy(char **environment);

#endif
