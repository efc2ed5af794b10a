/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FETCH_GZIP_H
#define FETCH_GZIP_H

#include <stddef.h>

/** @return the bytes as gzip, to be freed by the caller; NULL without memory. */
void *gzip_pack(const void *bytes, size_t length, size_t *ret_length);

#endif
