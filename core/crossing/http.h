/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests to an isolated plugin. Servers see a handler of the plugin's prefix; it sends each request to
 * the worker, and what that answers goes to the server. A request stays where the server has it until it is
 * over, so nothing of it is copied but what is on its way.
 */
#ifndef CORE_CROSSING_HTTP_H
#define CORE_CROSSING_HTTP_H

#include <berth/types/http.h>

#include <core/wire/numbers.h>

/** Longest list of methods. */
#define HTTP_METHODS_MAX 256u
/** Bytes of all responses of one worker that clients have not taken yet. */
#define HTTP_BYTES_MAX (64u << 20)

struct http_forward {
    /** What servers mount; without a prefix the plugin has none. */
    struct berth_http handler;
    char *prefix, *methods;
    /** Each a `struct http_remote`. */
    struct numbers remotes;
    size_t held;
    uint64_t bytes;
};

#endif
