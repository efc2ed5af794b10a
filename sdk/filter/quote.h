/* SPDX-License-Identifier: Apache-2.0 */
/* What a quoted piece of a filter stands for: Go's escapes, with /…/ and |…| for regular expressions. */
#ifndef FILTER_QUOTE_H
#define FILTER_QUOTE_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Writes what the text stands for, which is never longer, and a NUL.
 *
 * @param text      with its quotes.
 * @param ret_text  room for `length` bytes.
 * @return false if an escape stands for nothing, or for NUL, which no value holds.
 */
bool quote_remove(const char *text, size_t length, char *ret_text);

#endif
