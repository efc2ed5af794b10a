/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_TIMEOUT_H
#define RPC_MESSAGE_TIMEOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The longest text that timeout_format writes, with its NUL. */
#define TIMEOUT_TEXT_MAX 10

/**
 * Reads the value of a grpc-timeout header: 1 to 8 digits and one of H M S m u n.
 *
 * @param ret_nanoseconds  At most INT64_MAX, to which longer ones are cut.
 * @return false for anything else.
 */
bool timeout_parse(const char *text, size_t length, uint64_t *ret_nanoseconds);

/** Writes it in the finest unit that 8 digits hold, rounded up, so that a server never gives up first. */
void timeout_format(uint64_t nanoseconds, char text[TIMEOUT_TEXT_MAX]);

#endif
