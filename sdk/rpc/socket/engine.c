/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's side of a server or a channel: the end of each turn, the deadlines, and buffers that are shared.
 */
#include "engine.h"

#include <sdk/base/container_of.h>

void engine_init(struct engine *engine, uv_loop_t *loop)
{
    engine->loop = loop;
    turn_init(&engine->turn, loop);
    deadlines_init(&engine->deadlines, loop);
    engine->spare_count = 0;
    engine->pool = (struct pool){0};
    engine->ebb = (struct ebb){0};
    engine->codec = (struct codec){.deadlines = &engine->deadlines};
    engine->bytes_received = 0;
    engine->bytes_sent = 0;
}

struct batch *engine_borrow_batch(struct engine *engine)
{
    return engine->spare_count > 0 ? engine->spares[--engine->spare_count] : batch_create();
}

void engine_return_batch(struct engine *engine, struct batch *batch)
{
    batch_reset(batch);
    if (engine->spare_count == ENGINE_SPARES)
        batch_destroy(batch);
    else
        engine->spares[engine->spare_count++] = batch;
}

static void close_part(struct engine *engine)
{
    if (--engine->open_parts > 0)
        return;
    codec_finish(&engine->codec);
    pool_finish(&engine->pool);
    deadlines_finish(&engine->deadlines);
    while (engine->spare_count > 0)
        batch_destroy(engine->spares[--engine->spare_count]);
    engine->on_closed(engine);
}

static void on_turn_closed(struct turn *turn)
{
    close_part(CONTAINER_OF(turn, struct engine, turn));
}

static void on_timer_closed(uv_handle_t *handle)
{
    close_part(CONTAINER_OF(handle, struct engine, deadlines.timer));
}

static void on_ebb_stopped(struct ebb *ebb)
{
    close_part(CONTAINER_OF(ebb, struct engine, ebb));
}

void engine_close(struct engine *engine, void (*on_closed)(struct engine *engine))
{
    engine->open_parts = ebb_stop(&engine->ebb, on_ebb_stopped) ? 2 : 3;
    engine->on_closed = on_closed;
    turn_close(&engine->turn, on_turn_closed);
    uv_close((uv_handle_t *)&engine->deadlines.timer, on_timer_closed);
}
