/* SPDX-License-Identifier: Apache-2.0 */
/* Compresses a body, in one go and for speed. */
#include "gzip.h"

#include <stdlib.h>

#include <zlib.h>

void *gzip_pack(const void *bytes, size_t length, size_t *ret_length)
{
    z_stream stream = {.next_in = (Bytef *)bytes, .avail_in = (uInt)length};
    void *packed;
    size_t room;
    int result = Z_MEM_ERROR;

    if (length > 1u << 30 ||
        deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    room = deflateBound(&stream, (uLong)length);
    packed = malloc(room);
    stream.next_out = packed;
    stream.avail_out = (uInt)room;
    if (packed != NULL)
        result = deflate(&stream, Z_FINISH);
    *ret_length = stream.total_out;
    deflateEnd(&stream);
    if (result == Z_STREAM_END)
        return packed;
    free(packed);
    return NULL;
}
