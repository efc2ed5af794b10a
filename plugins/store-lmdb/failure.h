/* SPDX-License-Identifier: Apache-2.0 */
/* Turns errors of LMDB and of system calls into a code and a message. */
#ifndef STORE_LMDB_FAILURE_H
#define STORE_LMDB_FAILURE_H

#include <berth/error.h>

/**
 * @param number  of LMDB, or an errno; not 0.
 * @param what    what failed: "change not written".
 * @return the code, never BERTH_OK.
 */
enum berth_code failure_set(struct berth_error *err, int number, const char *path, const char *what);

#endif
