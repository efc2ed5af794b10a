/* SPDX-License-Identifier: Apache-2.0 */
/* Tells text from bytes: what plugins hand over goes to terminals, logs and wires that take only UTF-8. */
#ifndef CONFIG_UTF8_H
#define CONFIG_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** Bytes of the character at `text`, 1 to 4; 0 where none of at most `length` bytes stands there. */
size_t utf8_character(const char *text, size_t length);

/** Is it all UTF-8 without control characters? */
bool utf8_is_line(const char *text);

/** Makes it so, in place: what is no character becomes '?', control characters become spaces. */
void utf8_make_line(char *text);

/** Writes to a stream what utf8_make_line would make of it. */
void utf8_write_line(FILE *out, const char *text);

#endif
