/* SPDX-License-Identifier: Apache-2.0 */
/* Messages come from protobuf-c: its generator is run, and its output passed on to protoc. */
#ifndef PROTOC_GEN_BERTH_MESSAGES_H
#define PROTOC_GEN_BERTH_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

/**
 * Runs protoc-gen-c on a request without its parameter.
 *
 * @param ret_bytes  malloced: a serialised CodeGeneratorResponse.
 * @return BERTH_OK; BERTH_NOT_FOUND if there is no protoc-gen-c; BERTH_UNAVAILABLE if it fails.
 */
enum berth_code messages_generate(const uint8_t *request, size_t length, uint8_t **ret_bytes,
                                  size_t *ret_length, struct berth_error *err);

#endif
