/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_BASE64_H
#define RPC_MESSAGE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/** The bytes that base64_encode writes for `length` bytes, without a NUL. */
#define BASE64_ENCODED_LENGTH(length) (((length) / 3) * 4 + ((length) % 3 == 0 ? 0 : (length) % 3 + 1))

/** The most bytes that base64_decode writes for `length` characters. */
#define BASE64_DECODED_MAX(length) ((length) / 4 * 3 + 3)

/** Writes the standard alphabet without padding; no NUL. */
void base64_encode(const void *bytes, size_t length, char *ret_text);

/** Takes padded and unpadded text. @return false where it is neither. */
bool base64_decode(const char *text, size_t length, void *ret_bytes, size_t *ret_length);

#endif
