/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata between the form a handler sees and the form that travels (gRPC over HTTP/2, Custom-Metadata). */
#include "metadata.h"

#include <string.h>

#include "base64.h"

#define FIRST_CAPACITY 8
#define FIELD_OVERHEAD 32

bool metadata_is_binary(const char *key, size_t length)
{
    return length >= 4 && memcmp(key + length - 4, "-bin", 4) == 0;
}

bool metadata_is_reserved(const char *key, size_t length)
{
    /* What belongs to one message or connection: a peer refuses all that has it wrong (RFC
     * 9113 8.1.1, 8.2.2). */
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
 * Bytes over 0x7f are none of gRPC's but HTTP's; who receives them must be able to send them back.
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
