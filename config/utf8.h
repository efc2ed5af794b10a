/* SPDX-License-Identifier: Apache-2.0 */
/* One line out of bytes: what plugins hand over goes to terminals and logs that take only printable UTF-8. */
#ifndef CONFIG_UTF8_H
#define CONFIG_UTF8_H

#include <stdbool.h>
#include <stdio.h>

/** Is it all UTF-8, and printable (berth_utf8_is_printable)? */
bool utf8_is_line(const char *text);

/** Makes it so, in place: what is no character becomes '?', what is not printable becomes spaces. */
void utf8_make_line(char *text);

/** Writes to a stream what utf8_make_line would make of it. */
void utf8_write_line(FILE *out, const char *text);

#endif
