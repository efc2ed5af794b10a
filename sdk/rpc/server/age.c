/* SPDX-License-Identifier: Apache-2.0 */
/* Sends away the peers that are idle or have been here for long, as gRPC's proposal A9 has it. */
#include "state.h"

#include <sdk/base/container_of.h>

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)

static struct deadlines *deadlines_of(struct server_connection *connection)
{
    return &connection->server->engine.deadlines;
}

static void send_away(struct server_connection *connection)
{
    if (connection->drain_step == SERVER_DRAIN_NONE)
        server_connection_drain(connection);
}

static void on_idle(struct deadline *deadline)
{
    struct server_connection *connection = CONTAINER_OF(deadline, struct server_connection, idle_deadline);
    uint64_t idle_ns = connection->server->limits.max_idle_ms * NANOSECONDS_PER_MILLISECOND;
    uint64_t now = uv_hrtime();
    uint64_t since = connection->calls > 0 ? now : connection->idle_since_ns;

    if (since + idle_ns <= now)
        send_away(connection);
    else
        deadlines_start(deadlines_of(connection), deadline, since + idle_ns, on_idle);
}

static void on_grace_over(struct deadline *deadline)
{
    server_connection_end(CONTAINER_OF(deadline, struct server_connection, age_deadline),
                          "the connection is as old as it may be");
}

static void on_old(struct deadline *deadline)
{
    struct server_connection *connection = CONTAINER_OF(deadline, struct server_connection, age_deadline);
    uint64_t grace_ns = connection->server->limits.max_age_grace_ms * NANOSECONDS_PER_MILLISECOND;

    send_away(connection);
    if (grace_ns > 0)
        deadlines_start(deadlines_of(connection), deadline, uv_hrtime() + grace_ns, on_grace_over);
}

/* Nine to eleven tenths, so that peers that came together do not come back together. */
static uint64_t scatter(uint64_t age_ns)
{
    uint64_t chance;

    if (uv_random(NULL, NULL, &chance, sizeof(chance), 0, NULL) != 0)
        return age_ns;
    return age_ns / 10 * 9 + chance % (age_ns / 5 + 1);
}

bool server_age_start(struct server_connection *connection)
{
    const struct berth_rpc_server_options *limits = &connection->server->limits;
    uint64_t now = uv_hrtime();

    connection->idle_since_ns = now;
    return (limits->max_idle_ms == 0 ||
            deadlines_start(deadlines_of(connection), &connection->idle_deadline,
                            now + limits->max_idle_ms * NANOSECONDS_PER_MILLISECOND, on_idle)) &&
           (limits->max_age_ms == 0 ||
            deadlines_start(deadlines_of(connection), &connection->age_deadline,
                            now + scatter(limits->max_age_ms * NANOSECONDS_PER_MILLISECOND), on_old));
}

void server_age_stop(struct server_connection *connection)
{
    deadlines_stop(deadlines_of(connection), &connection->idle_deadline);
    deadlines_stop(deadlines_of(connection), &connection->age_deadline);
}

void server_call_began(struct server_connection *connection)
{
    connection->calls++;
    connection->server->stats.calls++;
}

void server_call_ended(struct server_connection *connection)
{
    connection->server->stats.calls--;
    if (--connection->calls == 0 && connection->server->limits.max_idle_ms > 0)
        connection->idle_since_ns = uv_hrtime();
}
