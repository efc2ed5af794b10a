/* SPDX-License-Identifier: Apache-2.0 */
/* Text with holes: "$name$" stands for a value. */
#ifndef PROTOC_GEN_BERTH_TEXT_H
#define PROTOC_GEN_BERTH_TEXT_H

#include <stdio.h>

struct text_value {
    const char *name;
    const char *value;
};

/** Writes `text` with the values of a list that ends with a NULL name; each "$name$" must be among them. */
void text_fill(FILE *out, const struct text_value *values, const char *text);
/** A comment of the .proto, each line behind `before`; nothing where `comment` is NULL. It cannot end the C
 * comment. */
void text_write_comment(FILE *out, const char *before, const char *comment);

#endif
