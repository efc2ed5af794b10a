/* SPDX-License-Identifier: Apache-2.0 */
/* Grows texts, doubling their memory. */
#include "text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct config_text *text, size_t more)
{
    size_t capacity = text->capacity == 0 ? 256 : text->capacity;

    while (capacity - text->length <= more)
        capacity *= 2;
    if (capacity == text->capacity)
        return;
    text->bytes = realloc(text->bytes, capacity);
    if (text->bytes == NULL)
        abort();
    text->capacity = capacity;
}

void config_text_add_bytes(struct config_text *text, const char *bytes, size_t length)
{
    reserve(text, length);
    if (length > 0)
        memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void config_text_add(struct config_text *text, const char *format, ...)
{
    char few[256];
    va_list arguments;
    va_list again;
    int length;

    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(few, sizeof(few), format, arguments);
    if (length < 0)
        abort();
    if ((size_t)length < sizeof(few)) {
        config_text_add_bytes(text, few, (size_t)length);
    } else {
        reserve(text, (size_t)length);
        vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

void config_text_add_spaces(struct config_text *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        config_text_add_bytes(text, " ", 1);
}

/* The length of a character that must be escaped between quotes, or 0. YAML 1.1 also breaks lines at U+0085,
 * U+2028 and U+2029, and its readers skip U+FEFF and refuse U+FFFE and U+FFFF. */
static size_t special_length(const unsigned char *bytes, size_t length, unsigned *ret_character)
{
    *ret_character = bytes[0];
    if (bytes[0] < 0x20 || bytes[0] == '"' || bytes[0] == '\\' || bytes[0] == 0x7f)
        return 1;
    if (length >= 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0) {
        *ret_character = bytes[1];
        return 2;
    }
    if (length >= 3 && bytes[0] == 0xe2 && bytes[1] == 0x80 && (bytes[2] == 0xa8 || bytes[2] == 0xa9)) {
        *ret_character = 0x2000u + (bytes[2] - 0x80u);
        return 3;
    }
    if (length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        *ret_character = 0xfeff;
        return 3;
    }
    if (length >= 3 && bytes[0] == 0xef && bytes[1] == 0xbf && bytes[2] >= 0xbe) {
        *ret_character = 0xff00u + 0x40u + bytes[2];
        return 3;
    }
    return 0;
}

static void add_escaped(struct config_text *text, unsigned character)
{
    switch (character) {
    case '"':
    case '\\':
        config_text_add(text, "\\%c", (char)character);
        break;
    case '\n':
        config_text_add_bytes(text, "\\n", 2);
        break;
    case '\t':
        config_text_add_bytes(text, "\\t", 2);
        break;
    default:
        config_text_add(text, "\\u%04x", character);
    }
}

void config_text_add_quoted(struct config_text *text, const char *bytes, size_t length)
{
    size_t start = 0;

    config_text_add_bytes(text, "\"", 1);
    for (size_t i = 0; i < length;) {
        unsigned character;
        size_t special = special_length((const unsigned char *)bytes + i, length - i, &character);

        if (special == 0) {
            i++;
            continue;
        }
        config_text_add_bytes(text, bytes + start, i - start);
        add_escaped(text, character);
        i += special;
        start = i;
    }
    config_text_add_bytes(text, bytes + start, length - start);
    config_text_add_bytes(text, "\"", 1);
}

void config_text_add_cleaned(struct config_text *text, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        unsigned character;
        size_t special = special_length((const unsigned char *)bytes + i, length - i, &character);
        bool is_harmless = special == 0 || character == '"' || character == '\\';

        config_text_add_bytes(text, is_harmless ? bytes + i : " ", 1);
        i += special == 0 ? 1 : special;
    }
}

char *config_text_take(struct config_text *text)
{
    char *bytes;

    config_text_add_bytes(text, "", 0);
    bytes = text->bytes;
    *text = (struct config_text){0};
    return bytes;
}

void config_text_finish(struct config_text *text)
{
    free(text->bytes);
    *text = (struct config_text){0};
}
