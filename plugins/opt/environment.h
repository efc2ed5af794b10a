/* SPDX-License-Identifier: Apache-2.0 */
/* An environment for children, with a folder before those that programs or libraries are looked for in. */
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
