/* SPDX-License-Identifier: Apache-2.0 */
/* libberth-rpc-tls: its exports for libberth-rpc, and its imports from there. */
#include "library.h"

/* The same for every caller, as a process has one libberth-rpc. */
static const struct tls_library_user *rpc;

void connection_add_filter(struct connection *connection, struct connection_filter *filter)
{
    rpc->add_filter(connection, filter);
}

struct batch *engine_borrow_batch(struct engine *engine)
{
    return rpc->borrow_batch(engine);
}

void engine_return_batch(struct engine *engine, struct batch *batch)
{
    rpc->return_batch(engine, batch);
}

void batch_add_bytes(struct batch *batch, const void *bytes, size_t length)
{
    rpc->add_bytes(batch, bytes, length);
}

void batch_advance(struct batch *batch, size_t length)
{
    rpc->advance(batch, length);
}

static void use(const struct tls_library_user *user)
{
    rpc = user;
}

const struct tls_library berth_rpc_tls = {
    .version = BERTH_RPC_VERSION,
    .connection_size = sizeof(struct connection),
    .engine_size = sizeof(struct engine),
    .use = use,
    .create_server = tls_context_create_server,
    .create_client = tls_context_create_client,
    .unref = tls_context_unref,
    .cover = tls_cover,
    .has_failed = tls_has_failed,
    .held_since_ns = tls_held_since_ns,
    .identify = tls_identify,
};
