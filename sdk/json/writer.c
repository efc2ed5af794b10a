/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON (RFC 8259): always valid, whatever bytes a plugin's texts contain. */
#include <berth/json_writer.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/utf8.h>

void berth_json_finish(struct berth_json_writer *json)
{
    free(json->bytes);
    *json = (struct berth_json_writer){.max = json->max};
}

static bool reserve(struct berth_json_writer *json, size_t more)
{
    size_t max = json->max > 0 ? json->max : BERTH_JSON_WRITER_MAX;
    size_t capacity = json->capacity > 0 ? json->capacity : 1024;
    char *bytes;

    if (json->failed || more > max - json->length) {
        json->failed = true;
        return false;
    }
    if (json->length + more <= json->capacity)
        return true;
    while (capacity < json->length + more)
        capacity *= 2;
    bytes = realloc(json->bytes, capacity);
    if (bytes == NULL) {
        json->failed = true;
        return false;
    }
    json->bytes = bytes;
    json->capacity = capacity;
    return true;
}

void berth_json_raw(struct berth_json_writer *json, const char *bytes, size_t length)
{
    if (length == 0 || !reserve(json, length))
        return;
    memcpy(json->bytes + json->length, bytes, length);
    json->length += length;
}

static void put_escape(struct berth_json_writer *json, unsigned point)
{
    char text[16];
    int length = point < 0x10000 ? snprintf(text, sizeof(text), "\\u%04x", point)
                                 : snprintf(text, sizeof(text), "\\u%04x\\u%04x",
                                            0xd800 + ((point - 0x10000) >> 10), 0xdc00 + (point & 0x3ff));

    berth_json_raw(json, text, (size_t)length);
}

static bool is_plain(const char *character, size_t bytes)
{
    return berth_utf8_is_printable(character, bytes) && (bytes > 1 || strchr("\"\\<>&", *character) == NULL);
}

/* What needs no escape goes in one piece. */
static void put_quoted(struct berth_json_writer *json, const char *value)
{
    size_t length = strlen(value), start = 0;

    berth_json_raw(json, "\"", 1);
    for (size_t i = 0; i < length && !json->failed;) {
        size_t bytes = berth_utf8_character(value + i, length - i);

        if (bytes > 0 && is_plain(value + i, bytes)) {
            i += bytes;
            continue;
        }
        berth_json_raw(json, value + start, i - start);
        put_escape(json, bytes > 0 ? berth_utf8_code_point(value + i, bytes) : 0xfffd);
        i += bytes > 0 ? bytes : 1;
        start = i;
    }
    berth_json_raw(json, value + start, length - start);
    berth_json_raw(json, "\"", 1);
}

/* A comma is due after whatever ends a value. */
static void begin_value(struct berth_json_writer *json, const char *key)
{
    char last = json->length > 0 ? json->bytes[json->length - 1] : '[';

    if (last != '{' && last != '[' && last != ' ')
        berth_json_raw(json, ",", 1);
    if (key == NULL)
        return;
    put_quoted(json, key);
    berth_json_raw(json, ":", 1);
}

void berth_json_open(struct berth_json_writer *json, const char *key, char bracket)
{
    begin_value(json, key);
    berth_json_raw(json, &bracket, 1);
}

void berth_json_close(struct berth_json_writer *json, char bracket)
{
    berth_json_raw(json, &bracket, 1);
}

void berth_json_string(struct berth_json_writer *json, const char *key, const char *value)
{
    begin_value(json, key);
    if (value == NULL)
        berth_json_raw(json, "null", 4);
    else
        put_quoted(json, value);
}

void berth_json_text(struct berth_json_writer *json, const char *key, const char *value)
{
    berth_json_string(json, key, value != NULL && *value != '\0' ? value : NULL);
}

void berth_json_integer(struct berth_json_writer *json, const char *key, int64_t value)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%" PRId64, value);

    begin_value(json, key);
    berth_json_raw(json, text, (size_t)length);
}

void berth_json_count(struct berth_json_writer *json, const char *key, uint64_t value)
{
    berth_json_integer(json, key, value <= INT64_MAX ? (int64_t)value : INT64_MAX);
}

void berth_json_number(struct berth_json_writer *json, const char *key, double value)
{
    char text[32];
    int length = 0;

    if (!isfinite(value)) {
        berth_json_string(json, key, NULL);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    begin_value(json, key);
    berth_json_raw(json, text, (size_t)length);
}

void berth_json_bool(struct berth_json_writer *json, const char *key, bool value)
{
    begin_value(json, key);
    berth_json_raw(json, value ? "true" : "false", value ? 4 : 5);
}
