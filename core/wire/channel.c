/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes packets on a socket that does not block. */
#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sdk/base/container_of.h>

#define READ_BYTES (64u * 1024)
/* One busy or hostile worker must not keep the loop from others. */
#define READS_PER_TURN 8
/* Buffers that large messages have grown are given back beyond this. */
#define KEPT_BYTES (256u * 1024)

size_t channel_queued(const struct channel *channel)
{
    return channel->out.length - channel->out_start;
}

static void report(struct channel *channel, const char *reason)
{
    if (channel->is_broken)
        return;
    channel->is_broken = true;
    uv_poll_stop(&channel->poll);
    uv_idle_stop(&channel->turn);
    channel->on_broken(channel, reason);
}

void channel_break(struct channel *channel, const char *reason)
{
    report(channel, reason);
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void poll_for(struct channel *channel, bool writes)
{
    if (channel->is_writing == writes)
        return;
    channel->is_writing = writes;
    uv_poll_start(&channel->poll, writes ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_ready);
}

/* Everything has been sent. */
static void empty_queue(struct channel *channel)
{
    channel->out.length = channel->out_start = 0;
    if (channel->out.capacity > KEPT_BYTES)
        packet_writer_finish(&channel->out);
}

void channel_flush(struct channel *channel)
{
    while (!channel->is_broken && channel_queued(channel) > 0) {
        ssize_t sent = send(channel->fd, channel->out.bytes + channel->out_start, channel_queued(channel),
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            poll_for(channel, true);
            return;
        }
        if (sent < 0) {
            /* What it has said before it went away is still to be read. */
            empty_queue(channel);
            return;
        }
        channel->out_start += (size_t)sent;
        channel->sent += (uint64_t)sent;
    }
    if (channel->is_broken)
        return;
    empty_queue(channel);
    poll_for(channel, false);
}

static size_t take_packets(struct channel *channel);

static void on_turn(uv_idle_t *turn)
{
    struct channel *channel = CONTAINER_OF(turn, struct channel, turn);

    uv_idle_stop(turn);
    if (channel->kept.length > 0)
        take_packets(channel);
    if (channel->is_broken || !channel->is_open)
        return;
    if (channel->out.is_bad)
        report(channel, "out of memory");
    else if (channel_queued(channel) > CHANNEL_QUEUE_MAX)
        report(channel, "stopped reading from its connection");
    else if (!channel->is_writing)
        channel_flush(channel);
}

struct packet_writer *channel_write(struct channel *channel, uint16_t plugin)
{
    if (!channel->is_broken && channel->is_open)
        uv_idle_start(&channel->turn, on_turn);
    /* Moves the rest of what was sent in part to the front, where it is small beside what is free. */
    if (channel->out_start > 0 && channel->out_start >= channel->out.length / 2) {
        memmove(channel->out.bytes, channel->out.bytes + channel->out_start, channel_queued(channel));
        channel->out.length -= channel->out_start;
        channel->out_start = 0;
    }
    channel->out.plugin = plugin;
    return &channel->out;
}

/* Packets that were kept come before what is read next. Nobody borrows from `in` between two packets. */
static void take_back(struct channel *channel)
{
    if (channel->kept.length == 0)
        return;
    free(channel->in);
    channel->in = channel->kept.bytes;
    channel->in_start = 0;
    channel->in_end = channel->kept.length;
    channel->in_capacity = channel->kept.capacity;
    memset(&channel->kept, 0, sizeof(channel->kept));
}

/* @return how many bytes the packet at the front lacks at least; 0: the channel is broken or closed. */
static size_t take_packets(struct channel *channel)
{
    for (;;) {
        size_t available, needed;
        struct packet packet;

        take_back(channel);
        if (channel->in == NULL)
            return PACKET_HEAD;
        available = channel->in_end - channel->in_start;
        switch (packet_parse(channel->in + channel->in_start, available, &packet, &needed)) {
        case PACKET_WHOLE:
            channel->in_start += needed;
            channel->on_packet(channel, &packet);
            if (channel->is_broken || !channel->is_open)
                return 0;
            break;
        case PACKET_PARTIAL:
            return needed - available;
        case PACKET_BAD:
            report(channel, "sent bytes that are not a packet");
            return 0;
        }
    }
}

/* What was taken makes place; then the buffer grows to what one packet needs, or shrinks. */
static bool make_room(struct channel *channel, size_t lacking)
{
    size_t held = channel->in_end - channel->in_start;
    size_t capacity = held + (lacking > READ_BYTES ? lacking : READ_BYTES);
    uint8_t *in;

    if (channel->in_start > 0) {
        memmove(channel->in, channel->in + channel->in_start, held);
        channel->in_start = 0;
        channel->in_end = held;
    }
    if (channel->in_capacity >= capacity && (channel->in_capacity <= KEPT_BYTES || capacity > KEPT_BYTES))
        return true;
    in = realloc(channel->in, capacity);
    if (in == NULL)
        return false;
    channel->in = in;
    channel->in_capacity = capacity;
    return true;
}

/* @return how many bytes came; 0: none for now, or the channel is broken or closed. */
static size_t read_some(struct channel *channel)
{
    size_t lacking = take_packets(channel);
    ssize_t got;

    if (lacking == 0)
        return 0;
    if (!make_room(channel, lacking)) {
        report(channel, "out of memory");
        return 0;
    }
    do
        got = recv(channel->fd, channel->in + channel->in_end, channel->in_capacity - channel->in_end,
                   MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (got <= 0) {
        channel->has_ended = true;
        report(channel, "closed its connection");
        return 0;
    }
    channel->in_end += (size_t)got;
    take_packets(channel);
    return !channel->is_broken && channel->is_open ? (size_t)got : 0;
}

void channel_drain(struct channel *channel)
{
    int queued = 0;
    size_t got = 1;

    /* What is there now: others may have its end too, and go on writing. */
    if (channel->is_broken || ioctl(channel->fd, FIONREAD, &queued) != 0)
        return;
    for (size_t left = (size_t)queued; left > 0 && got > 0; left -= got < left ? got : left)
        got = read_some(channel);
    /* The end, if it is there. */
    if (got > 0)
        read_some(channel);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct channel *channel = CONTAINER_OF(poll, struct channel, poll);

    if (status < 0) {
        /* Also where it has ended without reading all that it was sent: what it said before still counts. */
        channel_drain(channel);
        if (channel->is_open && !channel->is_broken) {
            channel->has_ended = true;
            report(channel, "closed its connection");
        }
        return;
    }
    if (events & UV_WRITABLE)
        channel_flush(channel);
    if (events & UV_READABLE)
        for (int i = 0; i < READS_PER_TURN && !channel->is_broken; i++)
            if (read_some(channel) == 0)
                break;
}

/* Waiting for one packet */

static void wait_for(const struct channel *channel, short events)
{
    struct pollfd socket = {.fd = channel->fd, .events = events};

    poll(&socket, 1, -1);
}

static bool keep_room(struct channel *channel, size_t length)
{
    size_t capacity = channel->kept.length + length;
    uint8_t *bytes;

    if (channel->kept.capacity >= capacity)
        return true;
    bytes = realloc(channel->kept.bytes, capacity);
    if (bytes == NULL) {
        report(channel, "out of memory");
        return false;
    }
    channel->kept.bytes = bytes;
    channel->kept.capacity = capacity;
    return true;
}

/* What was read and not taken: whoever waits may be inside on_packet, which borrows from `in`. */
static bool keep_rest(struct channel *channel)
{
    size_t rest = channel->in_end - channel->in_start;

    if (!keep_room(channel, rest + READ_BYTES))
        return false;
    if (rest > 0)
        memcpy(channel->kept.bytes + channel->kept.length, channel->in + channel->in_start, rest);
    channel->kept.length += rest;
    channel->in_start = channel->in_end;
    return true;
}

static bool keep_more(struct channel *channel, size_t lacking)
{
    ssize_t got;

    if (!keep_room(channel, lacking > READ_BYTES ? lacking : READ_BYTES))
        return false;
    do {
        got = recv(channel->fd, channel->kept.bytes + channel->kept.length,
                   channel->kept.capacity - channel->kept.length, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            wait_for(channel, POLLIN);
    } while (got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK));
    if (got <= 0) {
        channel->has_ended = true;
        report(channel, "closed its connection");
        return false;
    }
    channel->kept.length += (size_t)got;
    return true;
}

/* Takes the packet at `at` out of what was kept. */
static bool take_out(struct channel *channel, size_t at, size_t bytes, struct packet *packet,
                     uint8_t **ret_bytes)
{
    size_t behind = channel->kept.length - at - bytes;
    uint8_t *body = malloc(packet->length + 1);

    if (body == NULL) {
        report(channel, "out of memory");
        return false;
    }
    memcpy(body, packet->body, packet->length);
    packet->body = body;
    *ret_bytes = body;
    memmove(channel->kept.bytes + at, channel->kept.bytes + at + bytes, behind);
    channel->kept.length -= bytes;
    if (channel->kept.length > 0)
        uv_idle_start(&channel->turn, on_turn);
    return true;
}

void channel_send_all(struct channel *channel)
{
    for (channel_flush(channel); channel_queued(channel) > 0 && !channel->is_broken; channel_flush(channel))
        wait_for(channel, POLLOUT);
}

bool channel_await(struct channel *channel, enum packet_type type, struct packet *ret_packet,
                   uint8_t **ret_bytes)
{
    size_t at = 0;

    channel_send_all(channel);
    if (channel->is_broken || !keep_rest(channel))
        return false;
    for (;;) {
        size_t available = channel->kept.length - at, needed;

        switch (packet_parse(channel->kept.bytes + at, available, ret_packet, &needed)) {
        case PACKET_WHOLE:
            if (ret_packet->type == type)
                return take_out(channel, at, needed, ret_packet, ret_bytes);
            at += needed;
            break;
        case PACKET_PARTIAL:
            if (!keep_more(channel, needed - available))
                return false;
            break;
        case PACKET_BAD:
            report(channel, "sent bytes that are not a packet");
            return false;
        }
    }
}

int channel_open(struct channel *channel, uv_loop_t *loop, int fd)
{
    int error = uv_poll_init(loop, &channel->poll, fd);

    if (error != 0) {
        close(fd);
        return error;
    }
    channel->fd = fd;
    channel->is_open = true;
    channel->is_broken = channel->has_ended = false;
    channel->is_writing = false;
    channel->in_start = channel->in_end = 0;
    channel->out_start = 0;
    channel->sent = 0;
    uv_idle_init(loop, &channel->turn);
    uv_poll_start(&channel->poll, UV_READABLE, on_ready);
    return 0;
}

static void count_closed(struct channel *channel)
{
    if (--channel->closing > 0)
        return;
    close(channel->fd);
    free(channel->in);
    free(channel->kept.bytes);
    memset(&channel->kept, 0, sizeof(channel->kept));
    channel->in = NULL;
    channel->in_capacity = 0;
    packet_writer_finish(&channel->out);
    channel->on_closed(channel);
}

static void on_poll_closed(uv_handle_t *handle)
{
    count_closed(CONTAINER_OF((uv_poll_t *)handle, struct channel, poll));
}

static void on_turn_closed(uv_handle_t *handle)
{
    count_closed(CONTAINER_OF((uv_idle_t *)handle, struct channel, turn));
}

void channel_close(struct channel *channel, void (*on_closed)(struct channel *channel))
{
    channel->is_open = false;
    channel->closing = 2;
    channel->on_closed = on_closed;
    uv_close((uv_handle_t *)&channel->poll, on_poll_closed);
    uv_close((uv_handle_t *)&channel->turn, on_turn_closed);
}
