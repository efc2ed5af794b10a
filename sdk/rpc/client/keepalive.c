/* SPDX-License-Identifier: Apache-2.0 */
/* Pings a server while calls wait for it in silence, and as seldom as it asks for (gRPC's proposal A8). */
#include "state.h"

#include <string.h>

#include <sdk/base/container_of.h>

#define TOO_MANY "too_many_pings"

static bool has_calls(struct keepalive *keepalive)
{
    return CONTAINER_OF(keepalive, struct client_connection, keepalive)->open_streams > 0;
}

static void ping(struct keepalive *keepalive)
{
    struct client_connection *connection = CONTAINER_OF(keepalive, struct client_connection, keepalive);

    nghttp2_submit_ping(connection->http2.session, NGHTTP2_FLAG_NONE, NULL);
    connection_touch(&connection->base);
}

void client_keepalive_init(struct client_connection *connection)
{
    const struct berth_rpc_channel_options *limits = &connection->channel->limits;

    connection->keepalive = (struct keepalive){
        .connection = &connection->base,
        .time_ms = limits->keepalive_time_ms,
        .timeout_ms = limits->keepalive_timeout_ms,
        .is_wanted = has_calls,
        .ping = ping,
    };
}

void client_keepalive_hear(struct berth_rpc_channel *channel, const nghttp2_goaway *goaway)
{
    uint32_t *time_ms = &channel->limits.keepalive_time_ms;

    if (goaway->error_code == NGHTTP2_ENHANCE_YOUR_CALM && goaway->opaque_data_len == strlen(TOO_MANY) &&
        memcmp(goaway->opaque_data, TOO_MANY, strlen(TOO_MANY)) == 0)
        *time_ms = *time_ms > UINT32_MAX / 2 ? UINT32_MAX : *time_ms * 2;
}
