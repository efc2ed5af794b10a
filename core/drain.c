/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a loop to its end once all who used it should be gone, and names what somebody left on it. */
#include "drain.h"

#include <string.h>

#include "log.h"

struct leftovers {
    size_t count;
    char names[256];
};

static void on_limit(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void on_limit_closed(uv_handle_t *handle)
{
    *(bool *)handle->data = true;
}

static void name_handle(uv_handle_t *handle, void *context)
{
    struct leftovers *leftovers = context;
    size_t used = strlen(leftovers->names);

    leftovers->count++;
    if (used < sizeof(leftovers->names))
        snprintf(leftovers->names + used, sizeof(leftovers->names) - used, "%s%s", used > 0 ? ", " : "",
                 uv_handle_type_name(handle->type));
}

static void run_to_end(uv_loop_t *loop, unsigned limit_ms)
{
    uv_timer_t limit;
    bool is_closed = false;

    uv_timer_init(loop, &limit);
    limit.data = &is_closed;
    uv_timer_start(&limit, on_limit, limit_ms, 0);
    uv_unref((uv_handle_t *)&limit);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&limit, on_limit_closed);
    while (!is_closed)
        uv_run(loop, UV_RUN_NOWAIT);
}

bool drain_loop(uv_loop_t *loop, unsigned limit_ms)
{
    struct leftovers leftovers = {0};

    run_to_end(loop, limit_ms);
    if (uv_loop_close(loop) == 0)
        return true;
    uv_walk(loop, name_handle, &leftovers);
    log_line(BERTH_LOG_WARN, "plugins left %zu handles open%s%s: no module is unloaded", leftovers.count,
             leftovers.count > 0 ? ": " : ", and a request", leftovers.names);
    return false;
}
