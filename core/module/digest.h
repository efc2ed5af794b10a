/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of what is copied, by a library that is in memory only meanwhile. */
#ifndef CORE_MODULE_DIGEST_H
#define CORE_MODULE_DIGEST_H

#include <stddef.h>

#include <berth/error.h>

#define DIGEST_TEXT_BYTES (64 + 1)

struct digest;

/** @return BERTH_OK; BERTH_UNAVAILABLE if the library is not installed. From any thread. */
enum berth_code digest_begin(struct digest **ret_digest, struct berth_error *err);
void digest_add(struct digest *digest, const void *bytes, size_t length);
/** Frees it. @param ret_text  64 hexadecimal digits; may be NULL. NULL is fine. */
void digest_end(struct digest *digest, char ret_text[DIGEST_TEXT_BYTES]);

#endif
