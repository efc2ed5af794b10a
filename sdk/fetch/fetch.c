/* SPDX-License-Identifier: Apache-2.0 */
/* The client's door: finds the library behind it when the first client is created. */
#include "engine.h"

#include <string.h>

#include <sdk/base/lazy_library.h>

enum berth_code berth_fetch_create(uv_loop_t *loop, const struct berth_fetch_options *given,
                                   struct berth_fetch **ret_fetch, struct berth_error *err)
{
    struct berth_fetch_options options = {0};
    const struct fetch_engine *engine;
    const void *table;
    struct berth_error reason;
    enum berth_code code = berth_lazy_library(FETCH_ENGINE_LIBRARY, FETCH_ENGINE_SYMBOL, &table, &reason);

    if (code != BERTH_OK)
        return berth_error_set(err, code, "cannot use HTTP: %s (reinstall berth)", reason.message);
    memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    engine = table;
    code = engine->create(loop, &options, ret_fetch, err);
    if (code == BERTH_OK)
        (*ret_fetch)->engine = engine;
    return code;
}

enum berth_code berth_fetch_post(struct berth_fetch *fetch, const void *body, size_t length,
                                 void (*on_done)(void *context, const struct berth_fetch_result *result),
                                 void *context, struct berth_error *err)
{
    return fetch->engine->post(fetch, body, length, on_done, context, err);
}

void berth_fetch_close(struct berth_fetch *fetch, void (*on_closed)(void *context), void *context)
{
    fetch->engine->close(fetch, on_closed, context);
}
