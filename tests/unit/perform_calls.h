/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to the plugins on the stage, through a server with one call at a time. */
#ifndef TESTS_PERFORM_CALLS_H
#define TESTS_PERFORM_CALLS_H

#include "perform_stage.h"

struct berth_stream {
    char got[64];
    bool is_finished;
};

static inline enum berth_code stream_send(struct berth_stream *stream, const void *message, size_t length)
{
    snprintf(stream->got, sizeof(stream->got), "%.*s", (int)length, (const char *)message);
    return BERTH_OK;
}

static inline bool stream_can_send(struct berth_stream *stream)
{
    return true;
}

static inline enum berth_code stream_add(struct berth_stream *stream, const char *key, const void *value,
                                         size_t length)
{
    return BERTH_OK;
}

static inline enum berth_code stream_send_headers(struct berth_stream *stream)
{
    return BERTH_OK;
}

static inline void stream_finish(struct berth_stream *stream, enum berth_code code, const char *message,
                                 const void *details, size_t details_length)
{
    stream->is_finished = true;
    if (code != BERTH_OK)
        snprintf(stream->got, sizeof(stream->got), "%s", berth_code_name(code));
}

static inline void stream_ignore(struct berth_stream *stream)
{
}

static const struct berth_stream_ops stream_ops = {.size = sizeof(stream_ops),
                                                   .send = stream_send,
                                                   .can_send = stream_can_send,
                                                   .add_header = stream_add,
                                                   .add_trailer = stream_add,
                                                   .send_headers = stream_send_headers,
                                                   .finish = stream_finish,
                                                   .pause = stream_ignore,
                                                   .resume = stream_ignore};

static inline struct berth_call *open_call(struct berth_stream *stream)
{
    const struct berth_router *router = router_interface(stage.router);

    memset(stream, 0, sizeof(*stream));
    return router->open(router, &(struct berth_call_request){.size = sizeof(struct berth_call_request),
                                                             .path = "/test.Stage/Ask",
                                                             .transport = "test",
                                                             .stream = stream,
                                                             .stream_ops = &stream_ops});
}

static inline void answer_call(struct berth_call *call)
{
    router_interface(stage.router)->deliver_last(call, "x", 1);
}

#endif
