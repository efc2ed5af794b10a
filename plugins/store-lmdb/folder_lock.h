/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a folder to one process: LMDB would let several change a file, and none would hear of the others. */
#ifndef STORE_LMDB_FOLDER_LOCK_H
#define STORE_LMDB_FOLDER_LOCK_H

#include <berth/error.h>

/**
 * Takes the file "lock" in the folder, made where there is none, until the descriptor is closed.
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION where another process has it, which it names; as failure_set.
 */
enum berth_code folder_lock_take(const char *folder, int *ret_fd, struct berth_error *err);

#endif
