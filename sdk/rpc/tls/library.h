/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between libberth-rpc and its private library libberth-rpc-tls, the only one to use OpenSSL: what each uses
 * of the other. Both come from one build, so that their structs are identical.
 */
#ifndef RPC_TLS_LIBRARY_H
#define RPC_TLS_LIBRARY_H

#include <berth/rpc/export.h>

#include "tls.h"

#define TLS_LIBRARY_SONAME "libberth-rpc-tls.so.0"
#define TLS_LIBRARY_SYMBOL "berth_rpc_tls"

/** Functions of libberth-rpc, by their names. */
struct tls_library_user {
    void (*add_filter)(struct connection *connection, struct connection_filter *filter);
    struct batch *(*borrow_batch)(struct engine *engine);
    void (*return_batch)(struct engine *engine, struct batch *batch);
    void (*add_bytes)(struct batch *batch, const void *bytes, size_t length);
    void (*advance)(struct batch *batch, size_t length);
};

/** Functions of libberth-rpc-tls. */
struct tls_library {
    /** If these differ from the caller's own, nothing else may be used. */
    const char *version;
    size_t connection_size;
    size_t engine_size;

    /** Before anything else, any number of times. */
    void (*use)(const struct tls_library_user *user);

    enum berth_code (*create_server)(const struct berth_rpc_tls_options *options, bool is_http1,
                                     struct tls_context **ret_context, const char **ret_warning,
                                     struct berth_error *err);
    enum berth_code (*create_client)(const struct berth_rpc_tls_options *options, const char *host,
                                     struct tls_context **ret_context, struct berth_error *err);
    void (*unref)(struct tls_context *context);
    struct tls *(*cover)(struct connection *connection, struct tls_context *context,
                         void (*on_secured)(struct connection *connection));
    bool (*has_failed)(const struct tls *tls);
    uint64_t (*held_since_ns)(const struct tls *tls);
    void (*identify)(struct tls *tls, struct berth_peer *peer);
};

/** The only export of libberth-rpc-tls. */
extern BERTH_RPC_API const struct tls_library berth_rpc_tls;

#endif
