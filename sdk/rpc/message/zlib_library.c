/* SPDX-License-Identifier: Apache-2.0 */
/* Finds zlib's functions at the first use, so that nothing is linked to it. */
#include "zlib_library.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <sdk/base/lazy_library.h>

#define SONAME "libz.so.1"

static struct zlib_library library;
static bool is_found;

static void find(void)
{
    const struct berth_lazy_function functions[] = {
        {"deflateInit2_", &library.deflate_init}, {"deflate", &library.deflate},
        {"deflateReset", &library.deflate_reset}, {"deflateEnd", &library.deflate_end},
        {"inflateInit2_", &library.inflate_init}, {"inflate", &library.inflate},
        {"inflateReset", &library.inflate_reset}, {"inflateReset2", &library.inflate_reset_window},
        {"inflateEnd", &library.inflate_end},
    };
    struct berth_error ignored;

    is_found = berth_lazy_functions(SONAME, functions, sizeof(functions) / sizeof(functions[0]), &ignored) ==
               BERTH_OK;
}

const struct zlib_library *zlib_library_find(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, find);
    return is_found ? &library : NULL;
}
