/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_CONNECT_H
#define HTTP_CONNECT_H

#include <berth/rpc/connect.h>

struct berth_host;

/** The message types of methods. */
struct connect;

/** @return NULL without memory. */
struct connect *connect_create(const struct berth_host *host);
/** After the last call. Accepts NULL. */
void connect_destroy(struct connect *connect);

/** For struct berth_rpc_connect_options; lives as long as `connect`. */
const struct berth_rpc_connect_json *connect_json(const struct connect *connect);

#endif
