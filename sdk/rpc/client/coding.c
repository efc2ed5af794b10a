/* SPDX-License-Identifier: Apache-2.0 */
/* How the messages of one call of the client are compressed, each way. */
#include "state.h"

void client_coding_init(struct berth_rpc_call *call)
{
    struct codec *codec = &call->channel->engine.codec;

    call->inbox.codec = codec;
    call->outflow.codec = codec;
    if (call->channel->limits.compress && call->channel->limits.protocol == BERTH_RPC_GRPC)
        berth_rpc_call_compress(call, true);
}

/* An unknown coding is no harm while no message has it. */
void client_coding_receive(struct berth_rpc_call *call)
{
    enum coding coding = call->response.coding;

    call->inbox.coding = coding;
    call->inbox.framing.takes_compressed = coding != CODING_IDENTITY && coding != CODING_UNKNOWN;
}

/* What the server was told ahead of the messages stands. */
enum berth_code berth_rpc_call_compress(struct berth_rpc_call *call, bool wanted)
{
    if (call->channel->limits.protocol != BERTH_RPC_GRPC)
        return BERTH_UNIMPLEMENTED;
    if (call->is_over || (wanted && call->id != 0 && call->outflow.coding == CODING_IDENTITY))
        return BERTH_FAILED_PRECONDITION;
    if (wanted)
        call->outflow.coding = CODING_GZIP;
    call->outflow.compresses = wanted;
    return BERTH_OK;
}

bool berth_rpc_call_came_compressed(const struct berth_rpc_call *call)
{
    return call->inbox.framing.was_compressed;
}
