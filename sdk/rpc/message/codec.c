/* SPDX-License-Identifier: Apache-2.0 */
/* Compresses single messages as in gRPC, with zlib, and decompresses no more than the limit. */
#include "codec.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>

#include "zlib_library.h"

static const char *const names[] = {
    [CODING_IDENTITY] = "identity",
    [CODING_GZIP] = "gzip",
    [CODING_DEFLATE] = "deflate",
    [CODING_UNKNOWN] = "unknown",
};

enum coding coding_parse(const char *name, size_t length)
{
    for (int i = 0; i < CODINGS_KNOWN; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return (enum coding)i;
    return CODING_UNKNOWN;
}

const char *coding_name(enum coding coding)
{
    return names[coding];
}

static enum coding better(enum coding a, enum coding b)
{
    if (a == CODING_GZIP || b == CODING_GZIP)
        return CODING_GZIP;
    return a == CODING_DEFLATE || b == CODING_DEFLATE ? CODING_DEFLATE : CODING_IDENTITY;
}

enum coding coding_choose(enum coding known, const char *value, size_t length)
{
    const char *end = value + length;

    while (value < end) {
        const char *comma = memchr(value, ',', (size_t)(end - value));
        const char *last = comma == NULL ? end : comma;

        while (value < last && *value == ' ')
            value++;
        while (value < last && last[-1] == ' ')
            last--;
        known = better(known, coding_parse(value, (size_t)(last - value)));
        value = comma == NULL ? end : comma + 1;
    }
    return known;
}

/* zlib's window of 32 KiB, and which wrapping is around the data. */
#define WINDOW_BITS 15
#define WRAP_GZIP 16

/* Time is the loop's, which serves others meanwhile: the fastest level takes a quarter of the usual one's. */
#define LEVEL Z_BEST_SPEED
#define MEMORY_LEVEL 8

/* Members of one message; each takes a peer 20 bytes, and this side a start. */
#define GZIP_MEMBERS_MAX 1024

/* State unused for this long is freed. */
#define IDLE_NS UINT64_C(10000000000)

struct codec_stream {
    const struct zlib_library *zlib;
    z_stream z;
};

static void free_compressing(struct codec_stream **place)
{
    if (*place != NULL)
        (*place)->zlib->deflate_end(&(*place)->z);
    free(*place);
    *place = NULL;
}

static void give_back(struct codec *codec)
{
    for (size_t i = 0; i < CODINGS_KNOWN; i++)
        free_compressing(&codec->compressing[i]);
    if (codec->expanding != NULL)
        codec->expanding->zlib->inflate_end(&codec->expanding->z);
    free(codec->expanding);
    codec->expanding = NULL;
    buffer_finish(&codec->plain, NULL);
}

void codec_finish(struct codec *codec)
{
    if (codec->deadlines != NULL)
        deadlines_stop(codec->deadlines, &codec->idle);
    give_back(codec);
}

static void wait_for_idleness(struct codec *codec);

static void on_idle(struct deadline *deadline)
{
    struct codec *codec = CONTAINER_OF(deadline, struct codec, idle);

    if (codec->was_used)
        wait_for_idleness(codec);
    else
        give_back(codec);
}

/* Without memory for the timer it stays until the next use. */
static void wait_for_idleness(struct codec *codec)
{
    codec->was_used = false;
    deadlines_start(codec->deadlines, &codec->idle, uv_hrtime() + IDLE_NS, on_idle);
}

static void note_use(struct codec *codec)
{
    codec->was_used = true;
    if (codec->deadlines != NULL && codec->idle.place == 0)
        wait_for_idleness(codec);
}

static int window_bits(enum coding coding)
{
    return coding == CODING_GZIP ? WINDOW_BITS + WRAP_GZIP : WINDOW_BITS;
}

static struct codec_stream *create_stream(void)
{
    const struct zlib_library *zlib = zlib_library_find();
    struct codec_stream *stream = zlib == NULL ? NULL : calloc(1, sizeof(*stream));

    if (stream != NULL)
        stream->zlib = zlib;
    return stream;
}

/* @return one that is ready for a message; NULL without memory or zlib. */
static struct codec_stream *get_compressing(struct codec *codec, enum coding coding)
{
    struct codec_stream *stream = codec->compressing[coding];

    if (stream != NULL)
        return stream->zlib->deflate_reset(&stream->z) == Z_OK ? stream : NULL;
    stream = create_stream();
    if (stream == NULL ||
        stream->zlib->deflate_init(&stream->z, LEVEL, Z_DEFLATED, window_bits(coding), MEMORY_LEVEL,
                                   Z_DEFAULT_STRATEGY, ZLIB_VERSION, sizeof(stream->z)) != Z_OK) {
        free(stream);
        return NULL;
    }
    codec->compressing[coding] = stream;
    return stream;
}

static struct codec_stream *get_expanding(struct codec *codec, enum coding coding)
{
    struct codec_stream *stream = codec->expanding;

    if (stream != NULL)
        return stream->zlib->inflate_reset_window(&stream->z, window_bits(coding)) == Z_OK ? stream : NULL;
    stream = create_stream();
    if (stream == NULL || stream->zlib->inflate_init(&stream->z, window_bits(coding), ZLIB_VERSION,
                                                     sizeof(stream->z)) != Z_OK) {
        free(stream);
        return NULL;
    }
    codec->expanding = stream;
    return stream;
}

size_t codec_compress(struct codec *codec, enum coding coding, const void *message, size_t length, void *to,
                      size_t room)
{
    struct codec_stream *stream = get_compressing(codec, coding);

    note_use(codec);
    if (stream == NULL || length > UINT_MAX || room > UINT_MAX)
        return 0;
    stream->z.next_in = (Bytef *)message;
    stream->z.avail_in = (uInt)length;
    stream->z.next_out = to;
    stream->z.avail_out = (uInt)room;
    return stream->zlib->deflate(&stream->z, Z_FINISH) == Z_STREAM_END ? room - stream->z.avail_out : 0;
}

/* @return false without memory. */
static bool make_room(struct buffer *plain, z_stream *stream, size_t most)
{
    size_t usable;

    if (plain->length == plain->capacity && !buffer_reserve(plain, 1, most, NULL))
        return false;
    usable = plain->capacity < most ? plain->capacity : most;
    stream->next_out = plain->bytes + plain->length;
    stream->avail_out = (uInt)(usable - plain->length);
    return true;
}

/* A gzip file may have several members, whose contents follow each other (RFC 1952 2.2). */
static enum codec_result expand(struct buffer *plain, struct codec_stream *stream, enum coding coding,
                                size_t most)
{
    int members_left = coding == CODING_GZIP ? GZIP_MEMBERS_MAX : 1;
    int result = Z_OK;

    plain->length = 0;
    while (result == Z_OK) {
        if (!make_room(plain, &stream->z, most))
            return CODEC_NO_ROOM;
        result = stream->zlib->inflate(&stream->z, Z_NO_FLUSH);
        plain->length = (size_t)(stream->z.next_out - plain->bytes);
        if (plain->length == most)
            return CODEC_TOO_LARGE;
        if (result == Z_STREAM_END && stream->z.avail_in > 0 && --members_left > 0)
            result = stream->zlib->inflate_reset(&stream->z);
    }
    if (result == Z_MEM_ERROR)
        return CODEC_NO_ROOM;
    return result == Z_STREAM_END && stream->z.avail_in == 0 ? CODEC_DONE : CODEC_BROKEN;
}

enum codec_result codec_expand(struct codec *codec, enum coding coding, const void *bytes, size_t length,
                               uint64_t largest, const void **ret_plain, size_t *ret_length)
{
    struct codec_stream *stream = get_expanding(codec, coding);
    enum codec_result result;

    note_use(codec);
    if (stream == NULL || length > UINT_MAX || largest >= UINT_MAX)
        return CODEC_NO_ROOM;
    stream->z.next_in = (Bytef *)bytes;
    stream->z.avail_in = (uInt)length;
    result = expand(&codec->plain, stream, coding, (size_t)largest + 1);
    if (result != CODEC_DONE) {
        codec_release_plain(codec);
        return result;
    }
    *ret_plain = codec->plain.bytes;
    *ret_length = codec->plain.length;
    return CODEC_DONE;
}

void codec_release_plain(struct codec *codec)
{
    if (codec->plain.capacity > CODEC_PLAIN_KEPT)
        buffer_finish(&codec->plain, NULL);
}
