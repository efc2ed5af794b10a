/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer of the server that speaks ttrpc: which call a frame is for, and what is said of a frame that is for
 * none. An odd frame costs the call that it names, and nothing else.
 */
#include "ttrpc.h"

#include <stdlib.h>

#include <sdk/base/container_of.h>

static struct server_ttrpc *from_session(struct ttrpc_session *session)
{
    return CONTAINER_OF(session, struct server_ttrpc, session);
}

static struct server_ttrpc_call *from_stream(struct ttrpc_stream *stream)
{
    return CONTAINER_OF(stream, struct server_ttrpc_call, stream);
}

static struct server_ttrpc_call *find(const struct server_ttrpc *peer, uint32_t id)
{
    struct ttrpc_stream *stream = ttrpc_session_find(&peer->session, id);

    return stream == NULL ? NULL : from_stream(stream);
}

/* A Response ends whatever the peer has under this id. */
BERTH_PRINTF(4, 5)
static void refuse(struct server_ttrpc *peer, uint32_t id, enum berth_code code, const char *format, ...)
{
    struct server_ttrpc_call *call = find(peer, id);
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    server_log(peer->connection->server, SERVER_CAUSE_ODD, BERTH_RPC_LOG_DEBUG, "%s: stream %lu: %s",
               peer->connection->peer.address, (unsigned long)id, text);
    if (call == NULL)
        ttrpc_session_refuse(&peer->session, id, code, text);
    else
        server_ttrpc_call_abort(call, code, text);
}

/* @return false where the call is refused. */
static bool may_begin(struct server_ttrpc *peer, const struct ttrpc_frame *frame)
{
    uint32_t most = peer->connection->server->limits.max_concurrent_streams;

    if (frame->id <= peer->last_id) {
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "StreamID cannot be re-used and must increment");
        return false;
    }
    peer->last_id = frame->id;
    if (peer->connection->refusal != NULL)
        refuse(peer, frame->id, BERTH_UNIMPLEMENTED, "%s", peer->connection->refusal);
    else if (peer->session.is_leaving)
        refuse(peer, frame->id, BERTH_UNAVAILABLE, "the server is shutting down");
    else if (peer->session.streams.count >= most)
        refuse(peer, frame->id, BERTH_RESOURCE_EXHAUSTED,
               "max_concurrent_streams (%lu) reached: this connection has as many calls in flight",
               (unsigned long)most);
    else
        return true;
    return false;
}

static void receive_request(struct server_ttrpc *peer, const struct ttrpc_frame *frame)
{
    const struct span bytes = {frame->data, frame->length};
    struct server_ttrpc_call *call;
    struct ttrpc_request request;
    const char *wrong;

    if (!may_begin(peer, frame))
        return;
    wrong = ttrpc_request_parse(bytes, &request);
    if (wrong != NULL) {
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "unmarshal request error: proto: %s", wrong);
        return;
    }
    call = server_ttrpc_call_create(peer, frame->id);
    if (call == NULL)
        refuse(peer, frame->id, BERTH_RESOURCE_EXHAUSTED, "out of memory");
    else
        server_ttrpc_call_open(call, &request, bytes, frame->flags);
}

static void receive_data(struct server_ttrpc *peer, const struct ttrpc_frame *frame)
{
    struct server_ttrpc_call *call = find(peer, frame->id);
    bool closes = (frame->flags & TTRPC_REMOTE_CLOSED) != 0;
    bool has_message = (frame->flags & TTRPC_NO_DATA) == 0;

    if (call == NULL) {
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "StreamID is no longer active");
    } else if (closes && frame->length > 0) {
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "data close message cannot include data");
    } else if (has_message && call->is_remote_ended) {
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "data handling error: ttrpc: stream closed");
    } else {
        if (has_message)
            server_ttrpc_call_take(call, (struct span){frame->data, frame->length});
        if (closes)
            server_ttrpc_call_half_close(call);
    }
}

static void on_frame(struct ttrpc_session *session, const struct ttrpc_frame *frame)
{
    struct server_ttrpc *peer = from_session(session);

    /* Other types are a later version's. */
    if (frame->type != TTRPC_REQUEST && frame->type != TTRPC_DATA)
        return;
    if (frame->id % 2 == 0)
        refuse(peer, frame->id, BERTH_INVALID_ARGUMENT, "StreamID must be odd for client initiated streams");
    else if (frame->type == TTRPC_REQUEST)
        receive_request(peer, frame);
    else
        receive_data(peer, frame);
}

static void on_skipped(struct ttrpc_session *session, const struct ttrpc_frame *frame, enum ttrpc_read why)
{
    struct server_ttrpc *peer = from_session(session);
    char text[160];

    if (why == TTRPC_READ_OVERSIZE)
        refuse(peer, frame->id, BERTH_RESOURCE_EXHAUSTED,
               "message length %lu exceed maximum message size of %lu", (unsigned long)frame->length,
               (unsigned long)TTRPC_DATA_MAX);
    else
        refuse(peer, frame->id, BERTH_RESOURCE_EXHAUSTED, "%s",
               server_describe_no_room(peer->connection, text, sizeof(text)));
}

static void on_stalled(struct ttrpc_stream *stream)
{
    server_ttrpc_call_abort(from_stream(stream), BERTH_RESOURCE_EXHAUSTED,
                            "ttrpc: stream buffer full: the method does not take its messages");
}

static void destroy(struct ttrpc_session *session)
{
    free(from_session(session));
}

static const struct ttrpc_side side = {
    .on_frame = on_frame,
    .on_skipped = on_skipped,
    .put = server_ttrpc_call_put,
    .on_stalled = on_stalled,
    .destroy = destroy,
};

static int start(struct server_connection *connection)
{
    struct server_ttrpc *peer = calloc(1, sizeof(*peer));

    if (peer == NULL)
        return UV_ENOMEM;
    peer->connection = connection;
    peer->end_ready = &peer->first_ready;
    connection->ttrpc = peer;
    ttrpc_session_init(&peer->session, &connection->base, &side, &connection->unfinished,
                       connection->server->limits.write_timeout_ms);
    return connection_start(&connection->base, &ttrpc_protocol, &peer->session);
}

static void process(struct server_connection *connection)
{
    struct server_ttrpc *peer = connection->ttrpc;

    while (peer->first_ready != NULL) {
        struct server_ttrpc_call *call = peer->first_ready;

        peer->first_ready = call->next_ready;
        if (peer->first_ready == NULL)
            peer->end_ready = &peer->first_ready;
        server_ttrpc_call_process(call);
    }
}

/* There is no frame that says so: a peer without calls sees the connection close. */
static void drain(struct server_connection *connection)
{
    connection->drain_step = SERVER_DRAIN_FINAL;
    connection->ttrpc->session.is_leaving = true;
    connection_touch(&connection->base);
}

static void end_call(struct ttrpc_stream *stream)
{
    server_ttrpc_call_abort(from_stream(stream), BERTH_UNAVAILABLE, "the server is shutting down");
}

static void end(struct server_connection *connection, const char *reason)
{
    if (connection->ttrpc != NULL)
        ttrpc_session_each(&connection->ttrpc->session, end_call);
}

static void lose_call(struct ttrpc_stream *stream)
{
    struct server_ttrpc_call *call = from_stream(stream);

    server_ttrpc_call_abort(call, BERTH_CANCELLED, NULL);
    server_ttrpc_call_destroy(call);
}

static void lose(struct server_connection *connection)
{
    struct server_ttrpc *peer = connection->ttrpc;

    if (peer == NULL)
        return;
    ttrpc_session_lose(&peer->session);
    ttrpc_session_each(&peer->session, lose_call);
}

const struct server_protocol server_ttrpc = {
    .start = start,
    .process = process,
    .drain = drain,
    .end = end,
    .lose = lose,
};
