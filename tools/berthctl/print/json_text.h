/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from a server, for a terminal or a pipe. */
#ifndef BERTHCTL_PRINT_JSON_TEXT_H
#define BERTHCTL_PRINT_JSON_TEXT_H

#include <stddef.h>
#include <stdio.h>

/** Writes valid JSON; characters that are not printable become \u escapes, line breaks stay. */
void json_text_write(FILE *out, const char *text, size_t length);

#endif
