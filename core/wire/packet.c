/* SPDX-License-Identifier: Apache-2.0 */
/* Packets between the daemon and a worker as bytes. */
#include "packet.h"

#include <stdlib.h>
#include <string.h>

#define ABSENT UINT32_MAX
/* Several packets at once are longer than any. */
#define WRITE_MAX (4u * (size_t)PACKET_BODY_MAX)

enum packet_parsed packet_parse(const uint8_t *bytes, size_t length, struct packet *ret_packet,
                                size_t *ret_bytes)
{
    uint32_t body, call;
    uint16_t plugin;

    *ret_bytes = PACKET_HEAD;
    if (length < PACKET_HEAD)
        return PACKET_PARTIAL;
    memcpy(&body, bytes, sizeof(body));
    memcpy(&plugin, bytes + 6, sizeof(plugin));
    memcpy(&call, bytes + 8, sizeof(call));
    if (body > PACKET_BODY_MAX || bytes[4] < PACKET_START || bytes[4] >= PACKET_TYPES ||
        plugin > PACKET_PLUGINS_MAX)
        return PACKET_BAD;
    *ret_bytes = PACKET_HEAD + (size_t)body;
    if (length < *ret_bytes)
        return PACKET_PARTIAL;
    *ret_packet = (struct packet){
        .type = (enum packet_type)bytes[4],
        .flags = bytes[5],
        .plugin = plugin,
        .call = call,
        .body = bytes + PACKET_HEAD,
        .length = body,
    };
    return PACKET_WHOLE;
}

void packet_reader_init(struct packet_reader *reader, const struct packet *packet)
{
    *reader = (struct packet_reader){.at = packet->body, .left = packet->length};
}

/* The next bytes, or NULL. */
static const uint8_t *take(struct packet_reader *reader, size_t length)
{
    const uint8_t *taken = reader->at;

    if (reader->is_bad || length > reader->left) {
        reader->is_bad = true;
        return NULL;
    }
    reader->at += length;
    reader->left -= length;
    return taken;
}

uint8_t packet_get_u8(struct packet_reader *reader)
{
    const uint8_t *byte = take(reader, 1);

    return byte != NULL ? *byte : 0;
}

uint32_t packet_get_u32(struct packet_reader *reader)
{
    const uint8_t *bytes = take(reader, sizeof(uint32_t));
    uint32_t value = 0;

    if (bytes != NULL)
        memcpy(&value, bytes, sizeof(value));
    return value;
}

uint64_t packet_get_u64(struct packet_reader *reader)
{
    const uint8_t *bytes = take(reader, sizeof(uint64_t));
    uint64_t value = 0;

    if (bytes != NULL)
        memcpy(&value, bytes, sizeof(value));
    return value;
}

const void *packet_get_bytes(struct packet_reader *reader, size_t *ret_length)
{
    size_t length = packet_get_u32(reader);
    const uint8_t *bytes = take(reader, length);

    *ret_length = bytes != NULL ? length : 0;
    return bytes != NULL ? (const void *)bytes : "";
}

static const char *get_text_of(struct packet_reader *reader, size_t length)
{
    const uint8_t *text = length < ABSENT ? take(reader, length + 1) : NULL;

    if (text == NULL || memchr(text, '\0', length + 1) != text + length) {
        reader->is_bad = true;
        return "";
    }
    return (const char *)text;
}

const char *packet_get_text(struct packet_reader *reader)
{
    uint32_t length = packet_get_u32(reader);

    return get_text_of(reader, length);
}

const char *packet_get_optional(struct packet_reader *reader)
{
    uint32_t length = packet_get_u32(reader);

    return length == ABSENT && !reader->is_bad ? NULL : get_text_of(reader, length);
}

uint32_t packet_get_count(struct packet_reader *reader, size_t least)
{
    uint32_t count = packet_get_u32(reader);

    if (count <= reader->left / least)
        return count;
    reader->is_bad = true;
    return 0;
}

static bool make_room(struct packet_writer *writer, size_t length)
{
    size_t capacity = writer->capacity > 0 ? writer->capacity : 1024;
    uint8_t *bytes;

    if (writer->is_bad)
        return false;
    if (length <= writer->capacity - writer->length)
        return true;
    while (capacity - writer->length < length)
        capacity *= 2;
    bytes = realloc(writer->bytes, capacity);
    if (bytes == NULL) {
        writer->is_bad = true;
        return false;
    }
    writer->bytes = bytes;
    writer->capacity = capacity;
    return true;
}

void packet_put_raw(struct packet_writer *writer, const void *bytes, size_t length)
{
    if (length > WRITE_MAX) {
        writer->is_bad = true;
        return;
    }
    if (!make_room(writer, length) || length == 0)
        return;
    memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

void packet_begin(struct packet_writer *writer, enum packet_type type, unsigned flags, uint32_t call)
{
    uint8_t head[PACKET_HEAD] = {0};

    writer->start = writer->length;
    head[4] = (uint8_t)type;
    head[5] = (uint8_t)flags;
    memcpy(head + 6, &writer->plugin, sizeof(writer->plugin));
    memcpy(head + 8, &call, sizeof(call));
    packet_put_raw(writer, head, sizeof(head));
}

void packet_end(struct packet_writer *writer)
{
    size_t body = writer->length - writer->start - PACKET_HEAD;
    uint32_t length = (uint32_t)body;

    if (writer->is_bad)
        return;
    if (body > PACKET_BODY_MAX)
        writer->is_bad = true;
    else
        memcpy(writer->bytes + writer->start, &length, sizeof(length));
}

void packet_put_u8(struct packet_writer *writer, uint8_t value)
{
    packet_put_raw(writer, &value, sizeof(value));
}

void packet_put_u32(struct packet_writer *writer, uint32_t value)
{
    packet_put_raw(writer, &value, sizeof(value));
}

void packet_put_u64(struct packet_writer *writer, uint64_t value)
{
    packet_put_raw(writer, &value, sizeof(value));
}

void packet_put_bytes(struct packet_writer *writer, const void *bytes, size_t length)
{
    packet_put_u32(writer, length < ABSENT ? (uint32_t)length : ABSENT);
    packet_put_raw(writer, bytes, length);
}

void packet_put_text(struct packet_writer *writer, const char *text)
{
    const char *given = text != NULL ? text : "";
    size_t length = strlen(given);

    packet_put_u32(writer, length < ABSENT ? (uint32_t)length : ABSENT);
    packet_put_raw(writer, given, length + 1);
}

void packet_put_optional(struct packet_writer *writer, const char *text)
{
    if (text == NULL)
        packet_put_u32(writer, ABSENT);
    else
        packet_put_text(writer, text);
}

void packet_writer_finish(struct packet_writer *writer)
{
    free(writer->bytes);
    *writer = (struct packet_writer){0};
}
