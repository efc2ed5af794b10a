/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648 4), as metadata with a key that ends in "-bin" is written. */
#ifndef BERTHCTL_BASE64_H
#define BERTHCTL_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/** Malloced; aborts when memory is out. */
char *base64_format(const void *bytes, size_t length);

/**
 * Padding may be left out.
 *
 * @param ret_bytes  strlen(text) bytes.
 * @return is it base64?
 */
bool base64_parse(const char *text, void *ret_bytes, size_t *ret_length);

#endif
