/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins of type io.containerd.http.v1, and berth's own of type io.berth.http.v1: pages, webhooks and other
 * HTTP handlers, carried by the servers that serve HTTP. A handler answers below one path prefix and needs no
 * server of its own.
 *
 *     static void on_request(struct berth_http_request *request)
 *     {
 *         berth_http_respond(request, 200, "text/plain; charset=utf-8", "hello\n", 6);
 *     }
 *     static const struct berth_http hello = {
 *         .size = sizeof(hello), .prefix = "/hello", .methods = "GET", .on_request = on_request};
 *
 * and `.interface = &hello` in the plugin's table, `interface: berth_http` in its manifest. Everything here
 * happens on the loop's thread. All strings and bytes of a request come from the client and are untrusted.
 */
#ifndef BERTH_TYPES_HTTP_H
#define BERTH_TYPES_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <berth/call.h>
#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_http_request;

/** One header. In requests, `name` is lower case. Responses may use any case, but no CR, LF or NUL. */
struct berth_http_header {
    const char *name;
    const char *value;
};

/** The operations of a request. Use the inline functions below rather than the members. */
struct berth_http_ops {
    uint32_t size;
    /**
     * Sends status and headers. The server adds Date, Connection and how the body is framed.
     * @param length  of the body in bytes; -1: not known yet.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a status outside 200 to 599 or an invalid header;
     *         BERTH_FAILED_PRECONDITION the second time; BERTH_CANCELLED if the client has gone.
     */
    enum berth_code (*begin)(struct berth_http_request *request, unsigned status,
                             const struct berth_http_header *headers, size_t count, int64_t length);
    /**
     * Sends a part of the body, which is copied. If little is waiting to be sent, it is accepted whatever its
     * size, unless the server is out of memory.
     * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED if too much is waiting already (nothing was taken: wait for
     *         on_writable, or for on_end, as the server closes the connection if nothing is waiting and there
     *         is no memory left); BERTH_CANCELLED; BERTH_FAILED_PRECONDITION before begin, after end, or
     *         beyond the length given to begin.
     */
    enum berth_code (*write)(struct berth_http_request *request, const void *bytes, size_t length);
    /** Is there room to send? If not, on_writable follows once there is. */
    bool (*can_write)(struct berth_http_request *request);
    /**
     * The response is complete; on_end follows from the top level of the loop. Before begin: the client gets
     * 500. With less than the length given to begin, its connection is closed, so that it notices.
     */
    void (*end)(struct berth_http_request *request);
    /**
     * The response cannot be completed: the connection is closed, so that the client notices, whether or not
     * a length was given. Before begin: as end. on_end follows.
     */
    void (*abort)(struct berth_http_request *request);
};

/**
 * One request with its whole body. The server allocates it; a handler may write only `state`. It lives until
 * on_end has returned.
 */
struct berth_http_request {
    uint32_t size;
    const struct berth_http_ops *ops;
    /** "GET" */
    const char *method;
    /** Percent-decoded, without "." and "..", beginning with a slash. */
    const char *path;
    /** The part of `path` behind the handler's prefix: "" or "/more". */
    const char *rest;
    /** What stood behind "?", not decoded; "" without one. */
    const char *query;
    const struct berth_http_header *headers;
    size_t header_count;
    /** Never NULL. A server refuses bodies above its limit before a handler sees the request. */
    const void *body;
    size_t body_length;
    const struct berth_peer *peer;
    /** The instance of the handler's plugin. */
    void *instance;
    /** The handler's own; NULL at first. */
    void *state;
};

/** The interface of an HTTP handler. Static and constant. */
struct berth_http {
    uint32_t size;
    /** "/hello" takes "/hello" and everything below "/hello/"; "/" takes what no other prefix takes. */
    const char *prefix;
    /** Separated by blanks: "GET POST". HEAD comes with GET. Others are answered with 405. */
    const char *methods;
    /** A request came. Respond now or at any later time. */
    void (*on_request)(struct berth_http_request *request);
    /** There is room to send again after can_write returned false. May be NULL. */
    void (*on_writable)(struct berth_http_request *request);
    /**
     * The request is over: the response was handed to the kernel, or the client has gone. Exactly once for
     * each on_request; free `state` here. May be NULL.
     */
    void (*on_end)(struct berth_http_request *request);
};

/** @param name  lower case. @return the first header of that name; NULL without one. */
static inline const char *berth_http_header(const struct berth_http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

static inline enum berth_code berth_http_begin(struct berth_http_request *request, unsigned status,
                                               const struct berth_http_header *headers, size_t count,
                                               int64_t length)
{
    return request->ops->begin(request, status, headers, count, length);
}

static inline enum berth_code berth_http_write(struct berth_http_request *request, const void *bytes,
                                               size_t length)
{
    return request->ops->write(request, bytes, length);
}

static inline bool berth_http_can_write(struct berth_http_request *request)
{
    return request->ops->can_write(request);
}

static inline void berth_http_end(struct berth_http_request *request)
{
    request->ops->end(request);
}

/** With an older server, the client may take what was sent for the whole response. */
static inline void berth_http_abort(struct berth_http_request *request)
{
    if (request->ops->size >= offsetof(struct berth_http_ops, abort) + sizeof(request->ops->abort))
        request->ops->abort(request);
    else
        request->ops->end(request);
}

/** A whole response in one call. `content_type` is not used for an empty body. */
static inline void berth_http_respond(struct berth_http_request *request, unsigned status,
                                      const char *content_type, const void *body, size_t length)
{
    const struct berth_http_header header = {"Content-Type", content_type};

    berth_http_begin(request, status, &header, length > 0 ? 1 : 0, (int64_t)length);
    if (length > 0)
        berth_http_write(request, body, length);
    berth_http_end(request);
}

#ifdef __cplusplus
}
#endif

#endif
