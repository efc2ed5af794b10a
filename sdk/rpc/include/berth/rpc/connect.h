/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Connect protocol on an HTTP server of <berth/rpc/http.h>: the methods that the router may carry over
 * the server's transport, for any HTTP client:
 *
 *     curl -d '{"name": "Ann"}' -H 'content-type: application/json' \
 *         http://localhost:8080/helloworld.Greeter/SayHello
 *
 * Unary, server-streaming and client-streaming methods; bidirectional ones need HTTP/2 and get 505. The body
 * of a request is read whole before its call begins.
 */
#ifndef BERTH_RPC_CONNECT_H
#define BERTH_RPC_CONNECT_H

#include <berth/router.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Converts messages of methods by their descriptors, as <berth/json.h> can. Passed in so that libberth-rpc
 * does not need protobuf.
 */
struct berth_rpc_connect_json {
    uint32_t size;
    void *context;

    /**
     * Finds the types of a method that the router found. They outlive the route, until `release`.
     *
     * @param ret_types  to be passed to `release`.
     * @return BERTH_OK; an error for the client, such as BERTH_UNIMPLEMENTED without descriptors.
     */
    enum berth_code (*find)(void *context, const struct berth_method_info *method,
                            const struct berth_route_info *route, void **ret_types, struct berth_error *err);
    void (*release)(void *context, void *types);

    /**
     * Reads a request.
     *
     * @param max          largest result.
     * @param ret_message  to be freed with free().
     * @return BERTH_OK; an error for the client, such as BERTH_INVALID_ARGUMENT.
     */
    enum berth_code (*to_message)(void *types, const char *text, size_t length, size_t max,
                                  void **ret_message, size_t *ret_length, struct berth_error *err);
    /** Writes a response, likewise. */
    enum berth_code (*from_message)(void *types, const void *message, size_t length, size_t max,
                                    char **ret_text, size_t *ret_length, struct berth_error *err);
    /** Is the method's idempotency_level NO_SIDE_EFFECTS, so that it may be called with GET? */
    bool (*has_no_side_effects)(void *types);
};

struct berth_rpc_connect_options {
    uint32_t size;
    /** NULL: only binary messages, and no GET. Must outlive the server. */
    const struct berth_rpc_connect_json *json;
    /**
     * Origins whose pages may call methods, as browsers write them: "https://example.org:8443".
     * Copied.
     */
    const char *const *origins;
    size_t origin_count;
    /** Header fields, in lower case, that these pages may send beyond those of the protocol. Copied. */
    const char *const *headers;
    size_t header_count;
    /** Time for which browsers may cache these answers. 0: the browser's default. */
    uint32_t max_age_s;
};

#ifdef __cplusplus
}
#endif

#endif
