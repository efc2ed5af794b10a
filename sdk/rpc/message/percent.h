/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_PERCENT_H
#define RPC_MESSAGE_PERCENT_H

#include <stddef.h>

/** The most bytes that percent_encode writes for `length` bytes, without a NUL. */
#define PERCENT_ENCODED_MAX(length) ((length)*9)

/** Writes the wire form of a grpc-message, which is UTF-8: U+FFFD for each byte that is none; no NUL. @return
 * the number of bytes written. */
size_t percent_encode(const char *text, size_t length, char *ret_encoded);

/** Undoes it; what is no valid escape stays as it is. `ret_text` needs `length` bytes; no NUL. */
size_t percent_decode(const char *encoded, size_t length, char *ret_text);

#endif
