/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the streams of GetContainerEvents open. No container runs yet, so there are no events. */
#include "events.h"

#include <stdlib.h>

#include <berth/ending.h>

struct event_stream {
    struct berth_call *call;
    LIST_ENTRY(event_stream) link;
};

static const char stopping[] = "the CRI service is stopping; call again";

void events_init(struct event_streams *streams)
{
    LIST_INIT(&streams->open);
    streams->is_draining = false;
}

/* Headers are sent at once, so that the caller knows that the stream is open. */
void events_add(struct event_streams *streams, struct berth_call *call)
{
    struct event_stream *stream;

    if (streams->is_draining) {
        berth_call_finish(call, BERTH_UNAVAILABLE, stopping);
        return;
    }
    stream = malloc(sizeof(*stream));
    if (stream == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for a stream of events");
        return;
    }
    stream->call = call;
    call->state = stream;
    LIST_INSERT_HEAD(&streams->open, stream, link);
    berth_call_send_headers(call);
}

void events_remove(struct berth_call *call)
{
    struct event_stream *stream = call->state;

    if (stream == NULL)
        return;
    LIST_REMOVE(stream, link);
    free(stream);
}

/* Finishing a call removes its stream. */
void events_drain(struct event_streams *streams, const struct berth_host *host)
{
    struct event_stream *stream = LIST_FIRST(&streams->open);

    streams->is_draining = berth_is_stopping(host);
    while (stream != NULL) {
        struct event_stream *next = LIST_NEXT(stream, link);

        berth_call_end(host, stream->call, stopping);
        stream = next;
    }
}
