/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks an LMDB file before LMDB reads it. LMDB maps the file and trusts every number in it: in a damaged
 * file it reads and writes wherever those numbers lead. So this walks all trees first, with read(), and
 * reports what is wrong.
 */
#ifndef STORE_LMDB_FILE_CHECK_H
#define STORE_LMDB_FILE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>

struct file_check {
    const char *path;
    /** Check all trees; otherwise only the file's size and what LMDB reads to open it. */
    bool is_full;
    /** NULL, or asked now and then; true ends the check with BERTH_CANCELLED. */
    bool (*is_cancelled)(void *context);
    void *context;
};

/**
 * @param fd  to be read; its position is of no account.
 * @return BERTH_OK: no byte of the trees leads LMDB astray. BERTH_DATA_LOSS with what is damaged, or
 *         BERTH_FAILED_PRECONDITION for a file of another kind; BERTH_RESOURCE_EXHAUSTED, BERTH_CANCELLED,
 *         BERTH_UNAVAILABLE where it could not be read.
 */
enum berth_code file_check(int fd, const struct file_check *check, struct berth_error *err);

#endif
