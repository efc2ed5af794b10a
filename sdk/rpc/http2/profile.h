/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_HTTP2_PROFILE_H
#define RPC_HTTP2_PROFILE_H

#include <nghttp2/nghttp2.h>

#include <sdk/rpc/base/pool.h>

/*
 * Bytes a peer may send before we have used them, on one stream and on a whole connection: large messages
 * crawl at the 64 KiB that RFC 9113 6.9.2 starts with.
 */
#define PROFILE_STREAM_WINDOW (1024 * 1024)
#define PROFILE_CONNECTION_WINDOW (4 * 1024 * 1024)

/**
 * Makes callbacks and options with what servers and clients have in common; each side adds its own.
 *
 * @return 0, or nghttp2's error, and then there is nothing to destroy.
 */
int profile_create(nghttp2_session_callbacks **ret_callbacks, nghttp2_option **ret_option);
/** One more object of the same options, which nghttp2_option_del destroys. @return 0 or nghttp2's error. */
int profile_option_create(nghttp2_option **ret_option);
/** nghttp2 takes its memory from a pool, which must outlive the session. */
nghttp2_mem profile_memory(struct pool *pool);
void profile_destroy(nghttp2_session_callbacks *callbacks, nghttp2_option *option);

#endif
