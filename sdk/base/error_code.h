/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERROR_CODE_H
#define BASE_ERROR_CODE_H

#include <errno.h>

#include <berth/error.h>

/** The code for a system call's errno; `otherwise` if only the caller can tell. */
static inline enum berth_code berth_code_of_errno(int error, enum berth_code otherwise)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return BERTH_NOT_FOUND;
    case EEXIST:
        return BERTH_ALREADY_EXISTS;
    case EACCES:
    case EPERM:
        return BERTH_PERMISSION_DENIED;
    case EROFS:
        return BERTH_FAILED_PRECONDITION;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return BERTH_RESOURCE_EXHAUSTED;
    default:
        return otherwise;
    }
}

#endif
