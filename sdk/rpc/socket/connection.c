/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves bytes between a socket and a session of any protocol; everything from one turn of the loop leaves in
 * one write. The engine is shared by the connections of one server or channel.
 */
#include "connection.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <sdk/base/container_of.h>

void engine_init(struct engine *engine, uv_loop_t *loop)
{
    *engine = (struct engine){.loop = loop};
    turn_init(&engine->turn, loop);
    deadlines_init(&engine->deadlines, loop);
    engine->codec.deadlines = &engine->deadlines;
}

struct batch *engine_borrow_batch(struct engine *engine)
{
    return engine->spare_count > 0 ? engine->spares[--engine->spare_count] : batch_create();
}

void engine_return_batch(struct engine *engine, struct batch *batch)
{
    batch_reset(batch);
    if (engine->spare_count == ENGINE_SPARES)
        batch_destroy(batch);
    else
        engine->spares[engine->spare_count++] = batch;
}

static void close_part(struct engine *engine)
{
    if (--engine->open_parts > 0)
        return;
    codec_finish(&engine->codec);
    pool_finish(&engine->pool);
    deadlines_finish(&engine->deadlines);
    while (engine->spare_count > 0)
        batch_destroy(engine->spares[--engine->spare_count]);
    if (engine->read_buffer != NULL)
        munmap(engine->read_buffer, ENGINE_READ_BYTES);
    engine->on_closed(engine);
}

static void on_turn_closed(struct turn *turn)
{
    close_part(CONTAINER_OF(turn, struct engine, turn));
}

static void on_timer_closed(uv_handle_t *handle)
{
    close_part(CONTAINER_OF(handle, struct engine, deadlines.timer));
}

static void on_ebb_stopped(struct ebb *ebb)
{
    close_part(CONTAINER_OF(ebb, struct engine, ebb));
}

void engine_close(struct engine *engine, void (*on_closed)(struct engine *engine))
{
    engine->open_parts = ebb_stop(&engine->ebb, on_ebb_stopped) ? 2 : 3;
    engine->on_closed = on_closed;
    turn_close(&engine->turn, on_turn_closed);
    uv_close((uv_handle_t *)&engine->deadlines.timer, on_timer_closed);
}

/* Batches that one connection may write in one turn before the others have theirs. */
#define ROUNDS_MAX 4

/* The kernel counts as much again for its bookkeeping of each piece (socket(7), SO_SNDBUF). */
#define UNIX_SOCKET_BYTES (208 * 1024)

#define NANOSECONDS_PER_MILLISECOND 1000000u

/* How long a round of the loop may take before reading is sliced, and what a connection then has. */
#define LATE_MS 5
#define SLICE_NS 100000u
#define SLICE_BYTES_MIN 128
#define SLICE_BYTES_FIRST 512

static_assert(sizeof(uv_buf_t) == sizeof(struct iovec) &&
                  offsetof(uv_buf_t, base) == offsetof(struct iovec, iov_base) &&
                  offsetof(uv_buf_t, len) == offsetof(struct iovec, iov_len),
              "pieces are handed to the kernel as they are");

static void run_task(struct turn_task *task);

void connection_init(struct connection *connection, struct engine *engine, uv_handle_type type,
                     const struct connection_events *events)
{
    connection->engine = engine;
    connection->queued.limit = UINT64_MAX;
    connection->events = events;
    connection->task.run = run_task;
    connection->blocked_fd = -1;
    connection->holders = 1;
    connection->slice_bytes = SLICE_BYTES_FIRST;
    if (type == UV_TCP)
        uv_tcp_init(engine->loop, &connection->socket.tcp);
    else
        uv_pipe_init(engine->loop, &connection->socket.pipe, 0);
    connection->socket.handle.data = connection;
}

void connection_touch(struct connection *connection)
{
    connection->is_touched = true;
    if (!connection->is_lost && !connection->is_running)
        turn_add(&connection->engine->turn, &connection->task);
}

void connection_hold(struct connection *connection)
{
    connection->holders++;
}

void connection_release(struct connection *connection)
{
    if (--connection->holders > 0)
        return;
    if (connection->blocked_fd >= 0)
        close(connection->blocked_fd);
    if (connection->writing != NULL)
        engine_return_batch(connection->engine, connection->writing);
    if (connection->session != NULL)
        connection->protocol->finish(connection->session);
    connection->session = NULL;
    while (connection->filters != NULL) {
        struct connection_filter *filter = connection->filters;

        connection->filters = filter->next;
        if (filter->destroy != NULL)
            filter->destroy(filter);
    }
    connection->events->on_closed(connection);
}

static void on_handle_closed(uv_handle_t *handle)
{
    connection_release(handle->data);
}

/*
 * libuv's own writes raise SIGPIPE where the peer is gone, and a library may not tell a program what to do
 * with signals.
 * @return 0 or a libuv error; what could not be written stays in the batch.
 */
static int write_now(struct connection *connection, struct batch *batch)
{
    while (batch->total > 0) {
        struct msghdr message = {.msg_iov = (struct iovec *)batch->pieces, .msg_iovlen = batch->piece_count};
        ssize_t written = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno == EAGAIN ? 0 : uv_translate_sys_error(errno);
        connection->engine->bytes_sent += (uint64_t)written;
        connection->written_number = connection->batch_number;
        batch_advance(batch, (size_t)written);
    }
    return 0;
}

static void say_last_words(struct connection *connection)
{
    struct batch *batch;

    if (connection->session == NULL || connection->protocol->leave == NULL || connection->writing != NULL)
        return;
    batch = engine_borrow_batch(connection->engine);
    if (batch == NULL)
        return;
    connection->protocol->leave(connection->session, batch);
    write_now(connection, batch);
    engine_return_batch(connection->engine, batch);
}

void connection_lose(struct connection *connection, const char *reason)
{
    if (connection->is_lost)
        return;
    connection->is_lost = true;
    turn_remove(&connection->engine->turn, &connection->task);
    deadlines_stop(&connection->engine->deadlines, &connection->write_deadline);
    say_last_words(connection);
    connection->events->on_lost(connection, reason);
    uv_close(&connection->socket.handle, on_handle_closed);
    if (connection->blocked_fd >= 0)
        uv_close((uv_handle_t *)&connection->blocked, on_handle_closed);
}

/*
 * What is read is worked on at once, so reading is what can be sliced. No read has more than about LATE_MS of
 * work, by what the connection's bytes cost before. A round of the loop serves every connection that has
 * something: once it has taken LATE_MS, those left get SLICE_NS each and no second read before the next
 * round.
 */
static bool is_late(const struct connection *connection)
{
    return uv_hrtime() / NANOSECONDS_PER_MILLISECOND > uv_now(connection->engine->loop) + LATE_MS;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    struct connection *connection = handle->data;
    size_t size = connection->slice_bytes * (LATE_MS * NANOSECONDS_PER_MILLISECOND / SLICE_NS);

    if (connection->has_read_late)
        size = 0;
    else if (is_late(connection))
        size = connection->slice_bytes;
    else if (size > ENGINE_READ_BYTES)
        size = ENGINE_READ_BYTES;
    *ret_buffer = uv_buf_init(connection->engine->read_buffer, (unsigned)size);
}

static void settle_slice(struct connection *connection, size_t length, uint64_t took_ns)
{
    uint64_t bytes = length * SLICE_NS / (took_ns + 1);

    if (bytes < SLICE_BYTES_MIN)
        bytes = SLICE_BYTES_MIN;
    connection->slice_bytes = bytes < ENGINE_READ_BYTES ? (size_t)bytes : ENGINE_READ_BYTES;
    connection->has_read_late = is_late(connection);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    const char *reason;
    uint64_t began;

    /* If a buffer has no room, waiting input is read in the next round. */
    if (length == UV_ENOBUFS)
        return;
    if (length < 0) {
        connection_lose(connection,
                        length == UV_EOF ? "the peer closed the connection" : uv_strerror((int)length));
        return;
    }
    connection->engine->bytes_received += (uint64_t)length;
    connection->heard_ms = uv_now(connection->engine->loop);
    if (length == 0)
        return;
    began = uv_hrtime();
    reason = connection->protocol->feed(connection->session, (const uint8_t *)buffer->base, (size_t)length);
    settle_slice(connection, (size_t)length, uv_hrtime() - began);
    if (reason != NULL)
        connection_lose(connection, reason);
    connection_touch(connection);
}

void connection_pause_reading(struct connection *connection)
{
    uv_read_stop(&connection->socket.stream);
}

void connection_resume_reading(struct connection *connection)
{
    if (!connection->is_lost)
        uv_read_start(&connection->socket.stream, on_alloc, on_read);
}

/*
 * What a turn brought leaves in one write, so that TCP has nothing to wait for. Through a unix socket two
 * programs hand over as often as it is full: it is made as large as anybody may make it, at most.
 */
static int tune(struct connection *connection)
{
    const int room = UNIX_SOCKET_BYTES;

    if (connection->socket.handle.type == UV_TCP)
        return uv_tcp_nodelay(&connection->socket.tcp, 1);
    setsockopt(connection->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    return 0;
}

bool connection_has_unread(const struct connection *connection)
{
    int length = 0;

    return ioctl(connection->fd, FIONREAD, &length) == 0 && length > 0;
}

void connection_add_filter(struct connection *connection, struct connection_filter *filter)
{
    struct connection_filter **end = &connection->filters;

    while (*end != NULL)
        end = &(*end)->next;
    filter->next = NULL;
    *end = filter;
}

static int map_read_buffer(struct engine *engine)
{
    void *mapped;

    if (engine->read_buffer != NULL)
        return 0;
    mapped = mmap(NULL, ENGINE_READ_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return UV_ENOMEM;
    engine->read_buffer = mapped;
    return 0;
}

int connection_start(struct connection *connection, const struct connection_protocol *protocol, void *session)
{
    bool is_started = connection->session != NULL;
    int result = is_started ? 0 : uv_fileno(&connection->socket.handle, &connection->fd);

    for (struct connection_filter *filter = connection->filters; filter != NULL; filter = filter->next)
        session = filter->start(filter, &protocol, session);
    connection_touch(connection);
    if (is_started)
        return 0;
    connection->protocol = protocol;
    connection->session = session;
    if (result == 0)
        result = tune(connection);
    if (result == 0)
        result = map_read_buffer(connection->engine);
    if (result == 0)
        result = uv_read_start(&connection->socket.stream, on_alloc, on_read);
    return result;
}

static void on_write_overdue(struct deadline *deadline)
{
    connection_lose(CONTAINER_OF(deadline, struct connection, write_deadline),
                    "write timed out: the peer is not reading");
}

static void start_write_deadline(struct connection *connection)
{
    if (connection->write_timeout_ms > 0)
        deadlines_start(&connection->engine->deadlines, &connection->write_deadline,
                        uv_hrtime() + (uint64_t)connection->write_timeout_ms * NANOSECONDS_PER_MILLISECOND,
                        on_write_overdue);
}

static void on_writable(uv_poll_t *poll, int status, int ready)
{
    struct connection *connection = poll->data;
    size_t before = connection->writing->total;
    int result = status < 0 ? status : write_now(connection, connection->writing);

    if (result < 0) {
        connection_lose(connection, uv_strerror(result));
        return;
    }
    if (connection->writing->total > 0) {
        if (connection->writing->total < before)
            start_write_deadline(connection);
        return;
    }
    uv_poll_stop(poll);
    deadlines_stop(&connection->engine->deadlines, &connection->write_deadline);
    engine_return_batch(connection->engine, connection->writing);
    connection->writing = NULL;
    connection_touch(connection);
}

/* A second descriptor of the same socket, because a loop takes each only once. */
static int open_blocked(struct connection *connection)
{
    int fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 0);
    int result;

    if (fd < 0)
        return uv_translate_sys_error(errno);
    result = uv_poll_init(connection->engine->loop, &connection->blocked, fd);
    if (result < 0) {
        close(fd);
        return result;
    }
    connection->blocked_fd = fd;
    connection->blocked.data = connection;
    connection->holders++;
    return 0;
}

static int write_later(struct connection *connection, struct batch *batch)
{
    int result = connection->blocked_fd < 0 ? open_blocked(connection) : 0;

    if (result == 0)
        result = uv_poll_start(&connection->blocked, UV_WRITABLE, on_writable);
    if (result < 0)
        return result;
    connection->writing = batch;
    start_write_deadline(connection);
    return 0;
}

/* @return 0 or the error that ends the connection. The batch is given back or being written. */
static int write_batch(struct connection *connection, struct batch *batch)
{
    int result = write_now(connection, batch);

    if (result == 0 && batch->total > 0)
        result = write_later(connection, batch);
    if (connection->writing != batch)
        engine_return_batch(connection->engine, batch);
    return result;
}

/* @return true if there may be more to write, and others are to have their turn first. */
static bool write_rounds(struct connection *connection)
{
    for (int round = 0; round < ROUNDS_MAX && connection->writing == NULL; round++) {
        struct batch *batch = engine_borrow_batch(connection->engine);
        const char *reason = "out of memory";
        int result = 0;

        connection->batch_number++;
        if (batch != NULL)
            reason = connection->protocol->fill(connection->session, batch);
        if (reason == NULL && batch->total == 0) {
            engine_return_batch(connection->engine, batch);
            return false;
        }
        if (reason == NULL)
            result = write_batch(connection, batch);
        else if (batch != NULL)
            engine_return_batch(connection->engine, batch);
        if (reason != NULL || result < 0) {
            connection_lose(connection, reason != NULL ? reason : uv_strerror(result));
            return false;
        }
    }
    return connection->writing == NULL;
}

void connection_write(struct connection *connection)
{
    if (write_rounds(connection))
        connection_touch(connection);
}

/*
 * Writing completes streams, and on_ready reports them in this turn: only work that comes up after that needs
 * another one.
 */
static void write_in_turn(struct connection *connection)
{
    connection->is_running = true;
    connection->events->on_ready(connection);
    connection->is_touched = connection->writing == NULL && !connection->is_lost && write_rounds(connection);
    if (!connection->is_lost)
        connection->events->on_ready(connection);
    connection->is_running = false;
    if (connection->is_touched)
        connection_touch(connection);
}

static void run_task(struct turn_task *task)
{
    struct connection *connection = CONTAINER_OF(task, struct connection, task);

    connection->has_read_late = false;
    write_in_turn(connection);
    if (connection->is_lost || connection->writing != NULL)
        return;
    if (connection->doom != NULL)
        connection_lose(connection, connection->doom);
    else if (connection->protocol->is_over(connection->session))
        connection_lose(connection, "connection ended");
}
