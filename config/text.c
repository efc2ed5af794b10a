/* SPDX-License-Identifier: Apache-2.0 */
/* Puts texts together, doubling the memory as they grow. */
#include "text.h"

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
    va_list arguments;
    va_list again;
    int length;

    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0)
        abort();
    reserve(text, (size_t)length);
    vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
    text->length += (size_t)length;
    va_end(again);
    va_end(arguments);
}

void config_text_add_spaces(struct config_text *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        config_text_add_bytes(text, " ", 1);
}

static void add_escaped(struct config_text *text, unsigned char byte)
{
    switch (byte) {
    case '"':
    case '\\':
        config_text_add(text, "\\%c", byte);
        break;
    case '\n':
        config_text_add_bytes(text, "\\n", 2);
        break;
    case '\t':
        config_text_add_bytes(text, "\\t", 2);
        break;
    default:
        config_text_add(text, "\\u%04x", byte);
    }
}

void config_text_add_quoted(struct config_text *text, const char *bytes, size_t length)
{
    size_t start = 0;

    config_text_add_bytes(text, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];

        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f)
            continue;
        config_text_add_bytes(text, bytes + start, i - start);
        add_escaped(text, byte);
        start = i + 1;
    }
    config_text_add_bytes(text, bytes + start, length - start);
    config_text_add_bytes(text, "\"", 1);
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
