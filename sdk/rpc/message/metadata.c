/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Converts a call's header fields between the program's form and the wire form (gRPC over HTTP/2): metadata
 * with base64, grpc-message with percent-encoding, grpc-timeout.
 */
#include "metadata.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <berth/utf8.h>

#include <sdk/base/base64.h>

static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '%';
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return -1;
}

static size_t escape(const char *bytes, size_t length, char *ret_escaped)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];

        *ret_escaped++ = '%';
        *ret_escaped++ = digits[byte >> 4];
        *ret_escaped++ = digits[byte & 15];
    }
    return length * 3;
}

size_t percent_encode(const char *text, size_t length, char *ret_encoded)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t written = 0;

    for (size_t i = 0; i < length;) {
        size_t bytes = berth_utf8_character(text + i, length - i);

        if (bytes == 0)
            written += escape(replacement, sizeof(replacement) - 1, ret_encoded + written);
        else if (is_plain((unsigned char)text[i]))
            ret_encoded[written++] = text[i];
        else
            written += escape(text + i, bytes, ret_encoded + written);
        i += bytes > 0 ? bytes : 1;
    }
    return written;
}

size_t percent_decode(const char *encoded, size_t length, char *ret_text)
{
    size_t written = 0;

    for (size_t i = 0; i < length; i++) {
        bool is_escape = encoded[i] == '%' && length - i > 2 && hex_value(encoded[i + 1]) >= 0 &&
                         hex_value(encoded[i + 2]) >= 0;

        if (!is_escape) {
            ret_text[written++] = encoded[i];
            continue;
        }
        ret_text[written++] = (char)(hex_value(encoded[i + 1]) << 4 | hex_value(encoded[i + 2]));
        i += 2;
    }
    return written;
}

#define DIGITS_MAX 8
#define LARGEST_VALUE 99999999u

struct unit {
    char letter;
    uint64_t nanoseconds;
};

/* From the finest up. */
static const struct unit units[] = {
    {'n', 1},
    {'u', 1000},
    {'m', 1000 * 1000},
    {'S', 1000 * 1000 * 1000},
    {'M', UINT64_C(60) * 1000 * 1000 * 1000},
    {'H', UINT64_C(3600) * 1000 * 1000 * 1000},
};

static const struct unit *find_unit(char letter)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].letter == letter)
            return &units[i];
    return NULL;
}

bool timeout_parse(const char *text, size_t length, uint64_t *ret_nanoseconds)
{
    const struct unit *unit;
    uint64_t value = 0;

    if (length < 2 || length > DIGITS_MAX + 1)
        return false;
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    unit = find_unit(text[length - 1]);
    if (unit == NULL)
        return false;
    *ret_nanoseconds = value > INT64_MAX / unit->nanoseconds ? INT64_MAX : value * unit->nanoseconds;
    return true;
}

void timeout_format(uint64_t nanoseconds, char text[TIMEOUT_TEXT_MAX])
{
    const size_t last = sizeof(units) / sizeof(units[0]) - 1;
    size_t i = 0;
    uint64_t value;

    while (i < last && nanoseconds > LARGEST_VALUE * units[i].nanoseconds)
        i++;
    value = nanoseconds / units[i].nanoseconds + (nanoseconds % units[i].nanoseconds != 0);
    if (value > LARGEST_VALUE)
        value = LARGEST_VALUE;
    snprintf(text, TIMEOUT_TEXT_MAX, "%" PRIu32 "%c", (uint32_t)value, units[i].letter);
}

#define FIRST_CAPACITY 8
#define FIELD_OVERHEAD 32

bool metadata_is_binary(const char *key, size_t length)
{
    return length >= 4 && memcmp(key + length - 4, "-bin", 4) == 0;
}

bool metadata_is_reserved(const char *key, size_t length)
{
    /*
     * Fields that belong to one message or connection: peers reject a message that gets them wrong (RFC 9113
     * 8.1.1, 8.2.2).
     */
    static const char *const names[] = {
        "te",         "content-type", "content-length",   "user-agent",        "host",
        "connection", "keep-alive",   "proxy-connection", "transfer-encoding", "upgrade"};

    if (length > 0 && key[0] == ':')
        return true;
    if (length >= 5 && memcmp(key, "grpc-", 5) == 0)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == length && memcmp(names[i], key, length) == 0)
            return true;
    return false;
}

size_t metadata_size(const char *key, size_t key_length, const char *value, size_t value_length)
{
    size_t values = 1;

    if (metadata_is_binary(key, key_length))
        for (size_t i = 0; i < value_length; i++)
            values += value[i] == ',';
    return key_length + value_length + values * FIELD_OVERHEAD;
}

enum berth_code metadata_add(struct metadata_list *list, struct berth_arena *arena,
                             struct berth_metadata item)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? FIRST_CAPACITY : list->capacity * 2;
        struct berth_metadata *items = berth_arena_take(arena, capacity * sizeof(*items));

        if (items == NULL)
            return BERTH_RESOURCE_EXHAUSTED;
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof(*items));
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return BERTH_OK;
}

static enum berth_code receive_binary(struct metadata_list *list, struct berth_arena *arena, const char *key,
                                      const char *text, size_t length)
{
    char *bytes = berth_arena_take(arena, BASE64_DECODED_MAX(length) + 1);
    size_t decoded;

    if (bytes == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    if (!base64_decode(text, length, bytes, &decoded))
        return BERTH_INTERNAL;
    bytes[decoded] = '\0';
    return metadata_add(list, arena, (struct berth_metadata){key, bytes, decoded});
}

enum berth_code metadata_receive(struct metadata_list *list, struct berth_arena *arena, const char *key,
                                 size_t key_length, const char *value, size_t value_length)
{
    const char *end = value + value_length;
    char *key_copy = berth_arena_copy(arena, key, key_length);
    char *value_copy;
    enum berth_code code = BERTH_OK;

    if (key_copy == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    if (!metadata_is_binary(key, key_length)) {
        value_copy = berth_arena_copy(arena, value, value_length);
        return value_copy == NULL
                   ? BERTH_RESOURCE_EXHAUSTED
                   : metadata_add(list, arena, (struct berth_metadata){key_copy, value_copy, value_length});
    }
    for (;;) {
        const char *comma = memchr(value, ',', (size_t)(end - value));
        const char *part_end = comma == NULL ? end : comma;

        code = receive_binary(list, arena, key_copy, value, (size_t)(part_end - value));
        if (code != BERTH_OK || comma == NULL)
            return code;
        value = comma + 1;
        while (value < end && *value == ' ')
            value++;
    }
}

bool metadata_key_is_sendable(const char *key)
{
    size_t length = strspn(key, "0123456789abcdefghijklmnopqrstuvwxyz_.-");

    return length > 0 && key[length] == '\0' && !metadata_is_reserved(key, length);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/*
 * HTTP strips blanks at the ends (RFC 9113 8.2.1), so a value with them would not arrive as it was sent.
 * Bytes over 0x7f are allowed by HTTP, not by gRPC; a receiver must be able to send them back.
 */
static bool text_is_sendable(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return length == 0 || (!is_blank(text[0]) && !is_blank(text[length - 1]));
}

enum berth_code metadata_prepare(struct metadata_list *list, struct berth_arena *arena, const char *key,
                                 const void *value, size_t length)
{
    char *copy;

    if (!metadata_key_is_sendable(key))
        return BERTH_INVALID_ARGUMENT;
    if (metadata_is_binary(key, strlen(key))) {
        copy = berth_arena_take(arena, BASE64_ENCODED_LENGTH(length) + 1);
        if (copy != NULL) {
            base64_encode(value, length, copy);
            copy[BASE64_ENCODED_LENGTH(length)] = '\0';
        }
        length = BASE64_ENCODED_LENGTH(length);
    } else if (text_is_sendable(value, length)) {
        copy = berth_arena_copy(arena, value, length);
    } else {
        return BERTH_INVALID_ARGUMENT;
    }
    key = berth_arena_copy(arena, key, strlen(key));
    if (copy == NULL || key == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    return metadata_add(list, arena, (struct berth_metadata){key, copy, length});
}
