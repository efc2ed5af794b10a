/* SPDX-License-Identifier: Apache-2.0 */
/* What minisign's files have in common: lines of comment and lines of base64. */
#ifndef SIGNATURE_FORMAT_H
#define SIGNATURE_FORMAT_H

#include <berth/signature.h>

/** minisign's own limit of an untrusted comment's line. */
#define FORMAT_COMMENT_MAX 1024

struct format_reader {
    const char *rest;
    size_t left;
    unsigned line;
};

/** A line without its end, in the reader's text. */
struct format_line {
    const char *text;
    size_t length;
};

/**
 * Takes a line of comment.
 *
 * @param prefix    "untrusted comment:".
 * @param maximum   of what follows the prefix, in bytes.
 * @param ret_line  what follows the prefix and one space.
 */
enum berth_code format_take_comment(struct format_reader *reader, const char *prefix, size_t maximum,
                                    struct format_line *ret_line, struct berth_error *err);
/** Takes a line of base64 that stands for exactly `length` bytes. @param what  "a public key", for messages.
 */
enum berth_code format_take_bytes(struct format_reader *reader, const char *what, size_t length,
                                  void *ret_bytes, struct berth_error *err);
/** Only empty lines follow. */
enum berth_code format_take_end(struct format_reader *reader, struct berth_error *err);

/** "prefix comment\nbase64\n", malloced; NULL without memory. */
char *format_lines(const char *prefix, const char *comment, const void *bytes, size_t length);

#endif
