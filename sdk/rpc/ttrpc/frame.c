/* SPDX-License-Identifier: Apache-2.0 */
/* Splits a byte stream into ttrpc frames, without copying those that arrive in one piece. */
#include "frame.h"

#include <string.h>

static uint32_t read_number(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | (uint32_t)bytes[3];
}

static void write_number(unsigned char *bytes, uint32_t number)
{
    bytes[0] = (unsigned char)(number >> 24);
    bytes[1] = (unsigned char)(number >> 16);
    bytes[2] = (unsigned char)(number >> 8);
    bytes[3] = (unsigned char)number;
}

void ttrpc_header_write(unsigned char header[TTRPC_HEADER], uint32_t length, uint32_t id, uint8_t type,
                        uint8_t flags)
{
    write_number(header, length);
    write_number(header + 4, id);
    header[8] = type;
    header[9] = flags;
}

static struct ttrpc_frame read_header(const unsigned char *header)
{
    return (struct ttrpc_frame){
        .length = read_number(header), .id = read_number(header + 4), .type = header[8], .flags = header[9]};
}

static void eat(struct span *input, size_t length)
{
    input->bytes += length;
    input->length -= length;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Drops the frame that was given out, and skipped bytes. @return false if the input ends before that. */
static bool clear_the_way(struct ttrpc_reader *reader, struct span *input)
{
    size_t skipped = least(reader->skipping, input->length);

    if (reader->is_given)
        buffer_finish(&reader->partial, reader->budget);
    reader->is_given = false;
    reader->skipping -= (uint32_t)skipped;
    if (skipped > 0)
        eat(input, skipped);
    return input->length > 0;
}

/* @return false if the header is not whole. */
static bool take_header(struct ttrpc_reader *reader, struct span *input)
{
    size_t more = least(TTRPC_HEADER - reader->header_length, input->length);

    if (reader->header_length == TTRPC_HEADER)
        return true;
    memcpy(reader->header + reader->header_length, input->bytes, more);
    reader->header_length += (unsigned)more;
    eat(input, more);
    if (reader->header_length < TTRPC_HEADER)
        return false;
    reader->frame = read_header(reader->header);
    return true;
}

static enum ttrpc_read skip(struct ttrpc_reader *reader, enum ttrpc_read why, struct ttrpc_frame *ret_frame)
{
    *ret_frame = reader->frame;
    reader->skipping = reader->frame.length - (uint32_t)reader->partial.length;
    buffer_finish(&reader->partial, reader->budget);
    reader->header_length = 0;
    return why;
}

static enum ttrpc_read give(struct ttrpc_reader *reader, const unsigned char *data,
                            struct ttrpc_frame *ret_frame)
{
    *ret_frame = reader->frame;
    ret_frame->data = data;
    reader->header_length = 0;
    return TTRPC_READ_FRAME;
}

static enum ttrpc_read take_data(struct ttrpc_reader *reader, struct span *input,
                                 struct ttrpc_frame *ret_frame)
{
    struct buffer *partial = &reader->partial;
    size_t whole = reader->frame.length;
    size_t more = least(whole - partial->length, input->length);

    if (more == 0)
        return TTRPC_READ_MORE;
    if (!buffer_reserve(partial, more, whole, reader->budget))
        return skip(reader, TTRPC_READ_NO_ROOM, ret_frame);
    memcpy(partial->bytes + partial->length, input->bytes, more);
    partial->length += more;
    eat(input, more);
    if (partial->length < whole)
        return TTRPC_READ_MORE;
    reader->is_given = true;
    return give(reader, partial->bytes, ret_frame);
}

enum ttrpc_read ttrpc_reader_next(struct ttrpc_reader *reader, struct span *input,
                                  struct ttrpc_frame *ret_frame)
{
    const unsigned char *data;

    if (!clear_the_way(reader, input) || !take_header(reader, input))
        return TTRPC_READ_MORE;
    if (reader->frame.length > TTRPC_DATA_MAX)
        return skip(reader, TTRPC_READ_OVERSIZE, ret_frame);
    if (reader->partial.length > 0 || input->length < reader->frame.length)
        return take_data(reader, input, ret_frame);
    data = input->bytes;
    eat(input, reader->frame.length);
    return give(reader, data, ret_frame);
}

bool ttrpc_reader_is_inside(const struct ttrpc_reader *reader)
{
    return reader->header_length > 0 || reader->skipping > 0;
}

void ttrpc_reader_finish(struct ttrpc_reader *reader)
{
    buffer_finish(&reader->partial, reader->budget);
}
