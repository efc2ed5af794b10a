/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes the lines of minisign's files. Trusts no byte. */
#include "format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/base64.h>

#define BYTES_MAX 256

/* With CR LF as with LF. @return false at the end. */
static bool take_line(struct format_reader *reader, struct format_line *ret_line)
{
    const char *end;
    size_t length;

    if (reader->left == 0)
        return false;
    end = memchr(reader->rest, '\n', reader->left);
    length = end != NULL ? (size_t)(end - reader->rest) : reader->left;
    *ret_line = (struct format_line){reader->rest, length};
    if (length > 0 && reader->rest[length - 1] == '\r')
        ret_line->length--;
    reader->line++;
    reader->rest += length + (end != NULL);
    reader->left -= length + (end != NULL);
    return true;
}

enum berth_code format_take_comment(struct format_reader *reader, const char *prefix, size_t maximum,
                                    struct format_line *ret_line, struct berth_error *err)
{
    size_t length = strlen(prefix);
    struct format_line line;

    if (!take_line(reader, &line))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "ends after line %u, expected \"%s …\"",
                               reader->line, prefix);
    if (line.length < length || memcmp(line.text, prefix, length) != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "line %u: expected \"%s …\"", reader->line,
                               prefix);
    line.text += length;
    line.length -= length;
    if (line.length > 0 && line.text[0] == ' ') {
        line.text++;
        line.length--;
    }
    if (line.length >= maximum)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "line %u: the comment has %zu bytes, the maximum is %zu", reader->line,
                               line.length, maximum - 1);
    if (memchr(line.text, '\0', line.length) != NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "line %u: the comment has a NUL", reader->line);
    *ret_line = line;
    return BERTH_OK;
}

/* Padded, and as an encoder writes it: of one signature there is one text. */
static bool is_canonical(const struct format_line *line, const void *bytes, size_t length)
{
    char encoded[BASE64_ENCODED_LENGTH(BYTES_MAX) + 3];

    base64_encode(bytes, length, encoded);
    base64_pad(encoded, BASE64_ENCODED_LENGTH(length));
    return line->length == strlen(encoded) && memcmp(line->text, encoded, line->length) == 0;
}

enum berth_code format_take_bytes(struct format_reader *reader, const char *what, size_t length,
                                  void *ret_bytes, struct berth_error *err)
{
    unsigned char bytes[BASE64_DECODED_MAX(BASE64_ENCODED_LENGTH(BYTES_MAX) + 2)];
    size_t found;
    struct format_line line;

    if (!take_line(reader, &line))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "ends after line %u, expected %s", reader->line,
                               what);
    if (line.length > BASE64_ENCODED_LENGTH(BYTES_MAX) ||
        !base64_decode(line.text, line.length, bytes, &found) || !is_canonical(&line, bytes, found))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "line %u: expected %s in base64", reader->line,
                               what);
    if (found != length)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "line %u: expected %s of %zu bytes, found %zu",
                               reader->line, what, length, found);
    memcpy(ret_bytes, bytes, length);
    return BERTH_OK;
}

enum berth_code format_take_end(struct format_reader *reader, struct berth_error *err)
{
    struct format_line line;

    while (take_line(reader, &line))
        if (line.length > 0)
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "line %u: expected the end of the file",
                                   reader->line);
    return BERTH_OK;
}

char *format_lines(const char *prefix, const char *comment, const void *bytes, size_t length)
{
    char encoded[BASE64_ENCODED_LENGTH(BYTES_MAX) + 3];
    char *text;

    base64_encode(bytes, length, encoded);
    base64_pad(encoded, BASE64_ENCODED_LENGTH(length));
    return asprintf(&text, "%s %s\n%s\n", prefix, comment, encoded) < 0 ? NULL : text;
}

void berth_key_id_format(const uint8_t id[BERTH_KEY_ID_BYTES], char ret_text[BERTH_KEY_ID_TEXT])
{
    for (size_t i = 0; i < BERTH_KEY_ID_BYTES; i++)
        snprintf(ret_text + 2 * i, 3, "%02X", id[BERTH_KEY_ID_BYTES - 1 - i]);
}

static int digit_of(char letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    if (letter >= 'a' && letter <= 'f')
        return letter - 'a' + 10;
    return letter >= 'A' && letter <= 'F' ? letter - 'A' + 10 : -1;
}

bool berth_key_id_parse(const char *text, uint8_t ret_id[BERTH_KEY_ID_BYTES])
{
    size_t length = strlen(text);
    uint64_t value = 0;

    if (length < BERTH_KEY_ID_BYTES || length > (size_t)2 * BERTH_KEY_ID_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        int digit = digit_of(text[i]);

        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    for (size_t i = 0; i < BERTH_KEY_ID_BYTES; i++, value >>= 8)
        ret_id[i] = (uint8_t)value;
    return true;
}
