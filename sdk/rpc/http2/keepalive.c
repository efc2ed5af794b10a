/* SPDX-License-Identifier: Apache-2.0 */
/* Finds out that a peer is gone where no packet says so (gRPC's proposals A8 and A9). */
#include "keepalive.h"

#include <sdk/base/container_of.h>

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

static void on_due(struct deadline *deadline);

static uint64_t now_ms(const struct keepalive *keepalive)
{
    return uv_now(keepalive->connection->engine->loop);
}

/* Without memory nobody asks: the connection may live on all the same. */
static void wait(struct keepalive *keepalive, uint64_t pause_ms)
{
    deadlines_start(&keepalive->connection->engine->deadlines, &keepalive->deadline,
                    uv_hrtime() + pause_ms * NANOSECONDS_PER_MILLISECOND, on_due);
}

static void ask(struct keepalive *keepalive)
{
    keepalive->is_asking = true;
    keepalive->pinged_ms = now_ms(keepalive);
    wait(keepalive, keepalive->timeout_ms);
    keepalive->ping(keepalive);
}

static void on_due(struct deadline *deadline)
{
    struct keepalive *keepalive = CONTAINER_OF(deadline, struct keepalive, deadline);
    uint64_t heard_ms = keepalive->connection->heard_ms;
    uint64_t due_ms;

    if (keepalive->is_asking && heard_ms < keepalive->pinged_ms) {
        connection_lose(keepalive->connection, "the peer answers no ping");
        return;
    }
    keepalive->is_asking = false;
    if (heard_ms < keepalive->started_ms)
        heard_ms = keepalive->started_ms;
    due_ms = heard_ms + keepalive->time_ms;
    if (due_ms > now_ms(keepalive))
        wait(keepalive, due_ms - now_ms(keepalive));
    else if (keepalive->is_wanted == NULL || keepalive->is_wanted(keepalive))
        ask(keepalive);
}

void keepalive_start(struct keepalive *keepalive)
{
    if (keepalive->time_ms == 0 || keepalive->deadline.place != 0)
        return;
    keepalive->is_asking = false;
    keepalive->started_ms = now_ms(keepalive);
    wait(keepalive, keepalive->time_ms);
}

void keepalive_wake(struct keepalive *keepalive)
{
    uint64_t due_ms = keepalive->connection->heard_ms + keepalive->time_ms;
    uint64_t now = now_ms(keepalive);

    if (keepalive->time_ms == 0 || keepalive->deadline.place != 0)
        return;
    keepalive->is_asking = false;
    wait(keepalive, due_ms > now ? due_ms - now : 0);
}

void keepalive_stop(struct keepalive *keepalive)
{
    if (keepalive->connection != NULL)
        deadlines_stop(&keepalive->connection->engine->deadlines, &keepalive->deadline);
}
