/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_HTTP1_H
#define RPC_SERVER_HTTP1_H

#include "server.h"

#include <sdk/rpc/http1/reader.h>

/** @return false if no handler answers below the path. */
bool http1_mounts_find(const struct http1_mounts *mounts, const char *path,
                       struct berth_rpc_http_mount *ret_mount);
/** The part of the path behind the prefix of its handler. */
const char *http1_rest_of(const struct berth_http *handler, const char *path);
/** HEAD is taken where GET is. */
bool http1_method_is_taken(const struct berth_http *handler, const char *method);
/** Is a Host field one of this server? */
bool http1_host_is_served(const struct http1_mounts *mounts, const char *host);

#endif
