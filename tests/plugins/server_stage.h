/* SPDX-License-Identifier: Apache-2.0 */
/* For the one source file of a test of a module with servers. */
#ifndef SERVER_STAGE_H
#define SERVER_STAGE_H

#include <berth/rpc/server.h>

/* What the plugin asked of the library last: the linker has its calls pass through here. */
static struct berth_rpc_server_options asked;

enum berth_code __real_berth_rpc_server_create(uv_loop_t *loop,
                                               const struct berth_rpc_server_options *options,
                                               const struct berth_router *router,
                                               struct berth_rpc_server **ret_server, struct berth_error *err);
enum berth_code __wrap_berth_rpc_server_create(uv_loop_t *loop,
                                               const struct berth_rpc_server_options *options,
                                               const struct berth_router *router,
                                               struct berth_rpc_server **ret_server, struct berth_error *err);

enum berth_code __wrap_berth_rpc_server_create(uv_loop_t *loop,
                                               const struct berth_rpc_server_options *options,
                                               const struct berth_router *router,
                                               struct berth_rpc_server **ret_server, struct berth_error *err)
{
    asked = *options;
    return __real_berth_rpc_server_create(loop, options, router, ret_server, err);
}

/* The same for changed settings. */
static struct berth_rpc_server_options asked_anew;

enum berth_code __real_berth_rpc_server_set_options(struct berth_rpc_server *server,
                                                    const struct berth_rpc_server_options *options,
                                                    struct berth_error *err);
enum berth_code __wrap_berth_rpc_server_set_options(struct berth_rpc_server *server,
                                                    const struct berth_rpc_server_options *options,
                                                    struct berth_error *err);

enum berth_code __wrap_berth_rpc_server_set_options(struct berth_rpc_server *server,
                                                    const struct berth_rpc_server_options *options,
                                                    struct berth_error *err)
{
    asked_anew = *options;
    return __real_berth_rpc_server_set_options(server, options, err);
}

#endif
