/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (RFC 3720, appendix B.4): the sum that tells whether an entry is still what was written. */
#ifndef STORE_LMDB_CHECKSUM_H
#define STORE_LMDB_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/** Goes on with `sum`, 0 at first, over further bytes; by the processor's own instruction where it has one.
 */
uint32_t checksum_add(uint32_t sum, const void *bytes, size_t length);
/** The same on any processor. */
uint32_t checksum_add_plainly(uint32_t sum, const void *bytes, size_t length);

#endif
