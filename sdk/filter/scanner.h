/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts the text of a filter into tokens, by the rules of containerd's scanner. */
#ifndef FILTER_SCANNER_H
#define FILTER_SCANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token {
    TOKEN_END,
    TOKEN_ILLEGAL,
    TOKEN_FIELD,
    TOKEN_QUOTED,
    TOKEN_VALUE,
    TOKEN_SEPARATOR,
    TOKEN_OPERATOR,
    /** One character that begins nothing. */
    TOKEN_OTHER,
};

struct scanner {
    const char *text;
    size_t length;
    /** Where the last character began, and where the next does. */
    size_t at;
    size_t next;
    /** An operator was read: the next word is a value. */
    bool wants_value;
    /** The first thing that went wrong. */
    const char *error;
};

/** A piece of the text. */
struct lexeme {
    enum token token;
    size_t at;
    const char *text;
    size_t length;
};

/** What `scanner_peek` answers if there is no character. */
#define SCANNER_END (-1)
#define SCANNER_ILLEGAL (-2)

/** The next character, which is not consumed: a code point, SCANNER_END or SCANNER_ILLEGAL. */
int32_t scanner_peek(struct scanner *scanner);
struct lexeme scanner_scan(struct scanner *scanner);

#endif
