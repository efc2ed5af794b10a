/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for libberth-rpc: loads the library that contains it with the first context, so that programs without
 * TLS do not load OpenSSL. Omitted if both are linked together, as in tests.
 */
#include "library.h"

#include <string.h>

#include <sdk/base/lazy_library.h>

static const struct tls_library_user user = {
    .add_filter = connection_add_filter,
    .borrow_batch = engine_borrow_batch,
    .return_batch = engine_return_batch,
    .add_bytes = batch_add_bytes,
    .advance = batch_advance,
};

/*
 * Set before there is a context, and never changed afterwards: every pointer below implies it. Several
 * threads may create channels; each finds the same.
 */
static _Atomic(const struct tls_library *) library;

static enum berth_code refuse(struct berth_error *err, const char *why)
{
    return berth_error_set(err, BERTH_UNAVAILABLE,
                           "cannot use TLS: %s (" TLS_LIBRARY_SONAME
                           " must be in the same directory as libberth-rpc.so.0)",
                           why);
}

/* @return NULL with a reason in `err`. */
static const struct tls_library *find(struct berth_error *err)
{
#ifdef TLS_LIBRARY_IS_LINKED
    (void)err;
    return &berth_rpc_tls;
#else
    /* The loader looks for it beside this library: RUNPATH is $ORIGIN. */
    const void *found = NULL;
    struct berth_error reason;

    if (berth_lazy_library(TLS_LIBRARY_SONAME, TLS_LIBRARY_SYMBOL, &found, &reason) != BERTH_OK)
        refuse(err, reason.message);
    return found;
#endif
}

static enum berth_code load(struct berth_error *err)
{
    const struct tls_library *found = library != NULL ? library : find(err);

    if (found == NULL)
        return BERTH_UNAVAILABLE;
    if (found == library)
        return BERTH_OK;
    if (strcmp(found->version, BERTH_RPC_VERSION) != 0 ||
        found->connection_size != sizeof(struct connection) || found->engine_size != sizeof(struct engine))
        return refuse(err, TLS_LIBRARY_SONAME " belongs to another build of libberth-rpc");
    found->use(&user);
    library = found;
    return BERTH_OK;
}

enum berth_code tls_context_create_server(const struct berth_rpc_tls_options *options, bool is_http1,
                                          struct tls_context **ret_context, const char **ret_warning,
                                          struct berth_error *err)
{
    enum berth_code code = load(err);

    return code == BERTH_OK ? library->create_server(options, is_http1, ret_context, ret_warning, err) : code;
}

enum berth_code tls_context_create_client(const struct berth_rpc_tls_options *options, const char *host,
                                          struct tls_context **ret_context, struct berth_error *err)
{
    enum berth_code code = load(err);

    return code == BERTH_OK ? library->create_client(options, host, ret_context, err) : code;
}

void tls_context_unref(struct tls_context *context)
{
    if (context != NULL)
        library->unref(context);
}

struct tls *tls_cover(struct connection *connection, struct tls_context *context,
                      void (*on_secured)(struct connection *connection))
{
    return library->cover(connection, context, on_secured);
}

bool tls_has_failed(const struct tls *tls)
{
    return library->has_failed(tls);
}

uint64_t tls_held_since_ns(const struct tls *tls)
{
    return library->held_since_ns(tls);
}

void tls_identify(struct tls *tls, struct berth_peer *peer)
{
    library->identify(tls, peer);
}
