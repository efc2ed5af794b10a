/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves bytes between one socket and one nghttp2 session: all that a turn of the loop brings leaves in one
 * write, and what a message consists of is told at the top level, never from inside nghttp2.
 */
#include "connection.h"

#include "container.h"

/* Batches that one connection may write in one turn before the others have theirs. */
#define ROUNDS_MAX 4

#define NANOSECONDS_PER_MILLISECOND 1000000u

static void run_task(struct turn_task *task);

void connection_init(struct connection *connection, struct engine *engine,
                     const struct connection_events *events)
{
    connection->engine = engine;
    connection->events = events;
    connection->task.run = run_task;
    uv_pipe_init(engine->loop, &connection->socket.pipe, 0);
    connection->socket.handle.data = connection;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
                         size_t length, void *user_data)
{
    struct connection *connection = user_data;

    connection->chunk = bytes;
    connection->chunk_length = length;
    connection->chunk_stream_id = stream_id;
    connection->chunk_stream = nghttp2_session_get_stream_user_data(session, stream_id);
    return NGHTTP2_ERR_PAUSE;
}

void connection_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
}

void connection_touch(struct connection *connection)
{
    if (!connection->is_lost)
        turn_add(&connection->engine->turn, &connection->task);
}

void connection_consume(struct connection *connection, int32_t stream_id, size_t length)
{
    if (length > 0 && connection->session != NULL)
        nghttp2_session_consume(connection->session, stream_id, length);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;

    if (connection->writing != NULL)
        engine_return_batch(connection->engine, connection->writing);
    nghttp2_session_del(connection->session);
    connection->session = NULL;
    connection->events->on_closed(connection);
}

void connection_lose(struct connection *connection, const char *reason)
{
    if (connection->is_lost)
        return;
    connection->is_lost = true;
    turn_remove(&connection->engine->turn, &connection->task);
    deadlines_stop(&connection->engine->deadlines, &connection->write_deadline);
    connection->events->on_lost(connection, reason);
    uv_close(&connection->socket.handle, on_handle_closed);
}

static bool give_chunk(struct connection *connection)
{
    const uint8_t *chunk = connection->chunk;

    connection->events->on_ready(connection);
    if (chunk == NULL)
        return false;
    connection->chunk = NULL;
    connection->events->on_chunk(connection, connection->chunk_stream, connection->chunk_stream_id, chunk,
                                 connection->chunk_length);
    return true;
}

static void feed(struct connection *connection, const uint8_t *bytes, size_t length)
{
    bool paused = true;

    while (paused) {
        ssize_t eaten = nghttp2_session_mem_recv(connection->session, bytes, length);

        if (eaten < 0) {
            connection_lose(connection, nghttp2_strerror((int)eaten));
            return;
        }
        bytes += eaten;
        length -= (size_t)eaten;
        paused = give_chunk(connection) && !connection->is_lost;
    }
    connection_touch(connection);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    struct connection *connection = handle->data;

    *ret_buffer = uv_buf_init(connection->engine->read_buffer, ENGINE_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;

    if (length < 0) {
        connection_lose(connection,
                        length == UV_EOF ? "the peer closed the connection" : uv_strerror((int)length));
        return;
    }
    connection->engine->bytes_received += (uint64_t)length;
    if (length > 0)
        feed(connection, (const uint8_t *)buffer->base, (size_t)length);
}

int connection_start(struct connection *connection)
{
    int result = uv_read_start(&connection->socket.stream, on_alloc, on_read);

    connection_touch(connection);
    return result;
}

static void on_write_overdue(struct deadline *deadline)
{
    connection_lose(CONTAINER_OF(deadline, struct connection, write_deadline),
                    "the peer does not read what is sent to it");
}

static void on_written(uv_write_t *request, int status)
{
    struct connection *connection = request->data;

    if (connection->is_lost)
        return;
    connection->engine->bytes_sent += connection->writing->total;
    engine_return_batch(connection->engine, connection->writing);
    connection->writing = NULL;
    deadlines_stop(&connection->engine->deadlines, &connection->write_deadline);
    if (status < 0)
        connection_lose(connection, uv_strerror(status));
    else
        connection_touch(connection);
}

static int write_later(struct connection *connection, struct batch *batch)
{
    int result = uv_write(&batch->request, &connection->socket.stream, batch->pieces,
                          (unsigned)batch->piece_count, on_written);

    if (result < 0)
        return result;
    batch->request.data = connection;
    connection->writing = batch;
    if (connection->write_timeout_ms > 0)
        deadlines_start(&connection->engine->deadlines, &connection->write_deadline,
                        uv_hrtime() + (uint64_t)connection->write_timeout_ms * NANOSECONDS_PER_MILLISECOND,
                        on_write_overdue);
    return 0;
}

/* @return 0 or the error that ends the connection. The batch is given back or being written. */
static int write_batch(struct connection *connection, struct batch *batch)
{
    int written = uv_try_write(&connection->socket.stream, batch->pieces, (unsigned)batch->piece_count);
    int result = 0;

    if (written == UV_EAGAIN)
        written = 0;
    if (written < 0) {
        result = written;
    } else {
        connection->engine->bytes_sent += (uint64_t)written;
        batch_advance(batch, (size_t)written);
    }
    if (result == 0 && batch->total > 0)
        result = write_later(connection, batch);
    if (connection->writing != batch)
        engine_return_batch(connection->engine, batch);
    return result;
}

static const char *fill(struct connection *connection, struct batch *batch)
{
    connection->filling = batch;
    while (batch_has_room(batch)) {
        const uint8_t *bytes;
        ssize_t length = nghttp2_session_mem_send(connection->session, &bytes);

        if (length < 0)
            return nghttp2_strerror((int)length);
        if (length == 0)
            break;
        if (length > BATCH_FRAME_MAX)
            return "HTTP/2 made a frame that is larger than any";
        batch_add_bytes(batch, bytes, (size_t)length);
    }
    return NULL;
}

void connection_write(struct connection *connection)
{
    for (int round = 0; round < ROUNDS_MAX && connection->writing == NULL; round++) {
        struct batch *batch = engine_borrow_batch(connection->engine);
        const char *reason = batch == NULL ? "out of memory" : fill(connection, batch);
        int result = 0;

        if (reason == NULL && batch->total == 0) {
            engine_return_batch(connection->engine, batch);
            return;
        }
        if (reason == NULL)
            result = write_batch(connection, batch);
        else if (batch != NULL)
            engine_return_batch(connection->engine, batch);
        if (reason != NULL || result < 0) {
            connection_lose(connection, reason != NULL ? reason : uv_strerror(result));
            return;
        }
    }
    if (connection->writing == NULL)
        connection_touch(connection);
}

static void run_task(struct turn_task *task)
{
    struct connection *connection = CONTAINER_OF(task, struct connection, task);

    connection->events->on_ready(connection);
    if (connection->writing == NULL)
        connection_write(connection);
    if (connection->is_lost)
        return;
    connection->events->on_ready(connection);
    if (connection->writing != NULL)
        return;
    if (connection->doom != NULL)
        connection_lose(connection, connection->doom);
    else if (!nghttp2_session_want_read(connection->session) &&
             !nghttp2_session_want_write(connection->session))
        connection_lose(connection, "the peer or this side has ended the connection");
}
