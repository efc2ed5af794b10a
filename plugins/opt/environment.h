/* SPDX-License-Identifier: Apache-2.0 */
/* An environment for child processes, with directories in front of PATH and LD_LIBRARY_PATH. */
#ifndef OPT_ENVIRONMENT_H
#define OPT_ENVIRONMENT_H

/**
 * Copies an environment, which may be NULL, as clearenv(3) leaves it, with `bin` in front of its PATH and
 * `lib` of its LD_LIBRARY_PATH.
 * @return NULL-ended; NULL without memory.
 */
char **environment_create(char *const *from, const char *bin, const char *lib);
/** Takes NULL. */
void environment_destroy(char **environment);

#endif
