/* SPDX-License-Identifier: Apache-2.0 */
/* zlib, loaded with the first message that is compressed: most processes never see one. */
#ifndef RPC_MESSAGE_ZLIB_LIBRARY_H
#define RPC_MESSAGE_ZLIB_LIBRARY_H

#include <zlib.h>

/** Its functions, which are called as zlib.h documents them. */
struct zlib_library {
    int (*deflate_init)(z_stream *stream, int level, int method, int window_bits, int memory_level,
                        int strategy, const char *version, int stream_size);
    int (*deflate)(z_stream *stream, int flush);
    int (*deflate_reset)(z_stream *stream);
    int (*deflate_end)(z_stream *stream);
    int (*inflate_init)(z_stream *stream, int window_bits, const char *version, int stream_size);
    int (*inflate)(z_stream *stream, int flush);
    int (*inflate_reset)(z_stream *stream);
    int (*inflate_reset_window)(z_stream *stream, int window_bits);
    int (*inflate_end)(z_stream *stream);
};

/** @return NULL if there is none on this system. It stays loaded. From any thread. */
const struct zlib_library *zlib_library_find(void);

#endif
