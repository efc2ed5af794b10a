/* SPDX-License-Identifier: Apache-2.0 */
/* What the private library with libcurl exports. */
#ifndef FETCH_ENGINE_H
#define FETCH_ENGINE_H

#include <berth/fetch.h>

#define FETCH_ENGINE_LIBRARY "libberth-fetch-curl.so.0"
#define FETCH_ENGINE_SYMBOL "berth_fetch_engine"

/** As the functions of berth/fetch.h. */
struct fetch_engine {
    enum berth_code (*create)(uv_loop_t *loop, const struct berth_fetch_options *options,
                              struct berth_fetch **ret_fetch, struct berth_error *err);
    enum berth_code (*post)(struct berth_fetch *fetch, const void *body, size_t length,
                            void (*on_done)(void *context, const struct berth_fetch_result *result),
                            void *context, struct berth_error *err);
    void (*close)(struct berth_fetch *fetch, void (*on_closed)(void *context), void *context);
};

/** What a client begins with. */
struct berth_fetch {
    const struct fetch_engine *engine;
};

#endif
