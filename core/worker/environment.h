/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a worker. */
#ifndef CORE_WORKER_ENVIRONMENT_H
#define CORE_WORKER_ENVIRONMENT_H

#include "confinement.h"

/**
 * What of the daemon's environment the worker of some plugins gets.
 * @return a list that ends with NULL, freed by the caller; borrows the variables.
 */
char **environment_make(const struct confined *confined, size_t count);

#endif
