/* SPDX-License-Identifier: Apache-2.0 */
/* All that comes out of a pipe, within a bound, and all that goes into one. */
#ifndef PROTOC_GEN_BERTH_STREAM_H
#define PROTOC_GEN_BERTH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

/** Reads to the end. @param ret_bytes  malloced. @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED;
 * BERTH_UNAVAILABLE. */
enum berth_code stream_read(int fd, const char *name, uint8_t **ret_bytes, size_t *ret_length,
                            struct berth_error *err);
/** @return false with errno. */
bool stream_write(int fd, const uint8_t *bytes, size_t length);

#endif
