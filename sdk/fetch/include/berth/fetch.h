/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP client for plugins: requests with a body to one URL, one at a time, on the plugin's loop. libcurl
 * is behind it, in a private library that is loaded with the first client. It starts no thread, follows no
 * redirect, and uses no proxy.
 */
#ifndef BERTH_FETCH_H
#define BERTH_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <berth/call.h>
#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_fetch;

struct berth_fetch_options {
    uint32_t size;
    /** "http://HOST[:PORT]/PATH" or "https://…". */
    const char *url;
    /** Sent with each request. */
    const struct berth_metadata *headers;
    size_t header_count;
    /** For https, PEM; NULL: the system's CAs, no certificate of one's own. */
    const char *ca_file;
    const char *certificate_file;
    const char *key_file;
    /** Of a whole request, from resolving the name to the last byte of the answer. Default 10 s. */
    uint64_t timeout_ms;
    /** Larger answers are errors. Default 64 KiB. */
    size_t max_response_bytes;
    /** Send bodies compressed, with Content-Encoding: gzip. */
    bool compress;
};

/** How a request ended. Borrowed. */
struct berth_fetch_result {
    uint32_t size;
    /** 0: there was no complete answer; `error` has the reason. */
    unsigned status;
    const void *body;
    size_t length;
    /** The answer's Retry-After, also if it was a date; 0 without one. */
    uint64_t retry_after_ms;
    const char *error;
};

/**
 * Creates a client; it connects with the first request. Everything in `options` is copied.
 *
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for an invalid URL; BERTH_UNAVAILABLE if libcurl cannot be loaded;
 *         BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code berth_fetch_create(uv_loop_t *loop, const struct berth_fetch_options *options,
                                   struct berth_fetch **ret_fetch, struct berth_error *err);

/**
 * Posts a body, which is borrowed until on_done. on_done comes from the loop, exactly once unless the client
 * is closed before; it may post again or close.
 *
 * @return BERTH_OK; BERTH_FAILED_PRECONDITION while another request is under way; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code berth_fetch_post(struct berth_fetch *fetch, const void *body, size_t length,
                                 void (*on_done)(void *context, const struct berth_fetch_result *result),
                                 void *context, struct berth_error *err);

/** Cancels a request, without on_done. The client is freed before on_closed, which comes from the loop. */
void berth_fetch_close(struct berth_fetch *fetch, void (*on_closed)(void *context), void *context);

#ifdef __cplusplus
}
#endif

#endif
