/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SERVER_CORS_H
#define RPC_SERVER_CORS_H

#include "http1.h"

/** Maximum number of header fields that CORS adds to a response. */
#define CORS_FIELDS_MAX 3

/** @return the request's Origin if pages from there may call methods; NULL otherwise, and without one. */
const char *cors_origin(const struct connect_settings *settings, const struct berth_http_request *request);

/** Answers a preflight: a browser asks whether a page may send a request. @param methods  "GET, POST". */
void cors_preflight(const struct connect_settings *settings, struct berth_http_request *request,
                    const char *methods);

/**
 * Writes the fields of a response.
 *
 * @param exposed  names of its own fields that the page may read, separated by commas; lives as long as they.
 * @return how many.
 */
size_t cors_put(const char *origin, const char *exposed, struct berth_http_header *fields);

#endif
