/* SPDX-License-Identifier: Apache-2.0 */
/* Packets to and from the other side of a socket, on a loop. It never blocks, and what it holds is bounded.
 */
#ifndef CORE_WIRE_CHANNEL_H
#define CORE_WIRE_CHANNEL_H

#include <uv.h>

#include "packet.h"

/** More than this waiting to be sent breaks the channel: the other side does not read. */
#define CHANNEL_QUEUE_MAX (64u << 20)

/** Embedded by its owner, who fills in the first part. */
struct channel {
    /** One packet. The owner may write, break and close. */
    void (*on_packet)(struct channel *channel, const struct packet *packet);
    /** The other side is gone, or does not keep to the protocol; once, and nothing follows. One sentence. */
    void (*on_broken)(struct channel *channel, const char *reason);

    uv_poll_t poll;
    /**
     * Sends once a turn what was written in it. Active while something waits, so that the loop does not sleep
     * on it: servers write in their own turn, behind that of a handle of another kind.
     */
    uv_idle_t turn;
    int fd;
    uint8_t *in;
    size_t in_start, in_end, in_capacity;
    struct packet_writer out;
    size_t out_start;
    /** Bytes that have been sent since it was opened. */
    uint64_t sent;
    /** Packets that came while somebody waited for one of another type. They are taken next, in order. */
    struct {
        uint8_t *bytes;
        size_t length, capacity;
    } kept;
    bool is_open, is_broken, is_writing;
    /** It broke because the other side closed its end. */
    bool has_ended;
    /** Of the two handles. */
    unsigned closing;
    void (*on_closed)(struct channel *channel);
};

/**
 * Starts reading.
 *
 * @param fd  a connected socket that does not block; owned from here on.
 * @return 0, or a negative errno: then `fd` is closed.
 */
int channel_open(struct channel *channel, uv_loop_t *loop, int fd);
/** Stops. on_closed follows from the loop; no other callback does. */
void channel_close(struct channel *channel, void (*on_closed)(struct channel *channel));

/**
 * Where to write packets; they are sent at the end of this turn of the loop.
 * @param plugin  whose packets they are: its number, or 0 for the process.
 */
struct packet_writer *channel_write(struct channel *channel, uint16_t plugin);
/** Bytes that wait to be sent. */
size_t channel_queued(const struct channel *channel);
/** Sends what waits, as far as that does not block. For the last words. */
void channel_flush(struct channel *channel);
/** Sends what waits, and blocks until all of it is sent. For a worker, which may block. */
void channel_send_all(struct channel *channel);
/** Takes what the other side has sent before it went away, but nothing that follows meanwhile. */
void channel_drain(struct channel *channel);
/**
 * Sends what waits, and blocks until a packet of this type comes. Others that come meanwhile are taken from
 * the loop later. For a worker, which may block; from any callback, also from on_packet.
 *
 * @param ret_packet  its body lives until `ret_bytes` is freed by the caller.
 * @return false if the connection has ended: on_broken was called.
 */
bool channel_await(struct channel *channel, enum packet_type type, struct packet *ret_packet,
                   uint8_t **ret_bytes);
/** The other side broke the protocol: on_broken follows. `reason` is static. */
void channel_break(struct channel *channel, const char *reason);

#endif
