/* SPDX-License-Identifier: Apache-2.0 */
/* Turns arbitrary bytes into one printable line: terminals and logs take only printable UTF-8. */
#ifndef CONFIG_TEXT_UTF8_H
#define CONFIG_TEXT_UTF8_H

#include <stdbool.h>
#include <stdio.h>

/** Is it valid UTF-8, and printable (berth_utf8_is_printable)? */
bool utf8_is_line(const char *text);

/** Makes it so, in place: invalid bytes become '?', unprintable characters become spaces. */
void utf8_make_line(char *text);

/** Writes the text to a stream as utf8_make_line would change it. */
void utf8_write_line(FILE *out, const char *text);

#endif
