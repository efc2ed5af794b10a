/* SPDX-License-Identifier: Apache-2.0 */
/* Tries a call again that the server has not begun to work on, without anybody being told (gRPC A6,
 * Transparent Retries). */
#include "state.h"

/* Did the connection end before a byte of the request was on its way? */
static bool never_left(const struct berth_rpc_call *call)
{
    return call->batch_number > call->connection->base.written_number;
}

static bool is_untouched(const struct berth_rpc_call *call)
{
    return call->stream_error == NGHTTP2_REFUSED_STREAM ||
           (call->connection->base.is_lost && never_left(call));
}

static bool may_retry(const struct berth_rpc_call *call)
{
    const struct berth_rpc_channel *channel = call->channel;

    return call->is_unknown && call->connection != NULL && !call->is_over && !call->replay.is_over &&
           call->response.header_bytes == 0 && call->retries < channel->limits.max_transparent_retries &&
           !channel->is_closing && is_untouched(call);
}

void client_call_detach(struct berth_rpc_call *call)
{
    outflow_clear(&call->outflow);
    call->outflow.queued = NULL;
    call->outflow.is_deferred = false;
    call->connection = NULL;
    client_call_join(call, &call->channel->waiting);
}

bool client_call_retry(struct berth_rpc_call *call)
{
    if (!may_retry(call))
        return false;
    client_call_detach(call);
    call->retries++;
    call->id = 0;
    call->is_request_sent = false;
    call->batch_number = 0;
    call->stream_error = 0;
    call->is_remote_ended = false;
    call->response = (struct response){0};
    replay_restore(&call->replay, &call->outflow.outbox);
    turn_add(&call->channel->engine.turn, &call->channel->task);
    return true;
}
