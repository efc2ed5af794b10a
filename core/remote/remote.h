/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of interfaces across processes; see berth/remote.h. The daemon and each of its workers have a wire
 * for each other, with the same code on both sides: a stub's calls leave over it, and those that arrive over
 * it are handed to a peer. One between two workers passes through the daemon, where a peer of one wire is
 * what the other hands them to.
 *
 *     plugin ─ stub ─▶ peer ─▶ wire ═══ packets ═══ wire ─▶ local peer ─ skeleton ─▶ plugin
 *
 * Neither side trusts the other's numbers, lengths or ends. All of it belongs to the loop's thread.
 */
#ifndef CORE_REMOTE_REMOTE_H
#define CORE_REMOTE_REMOTE_H

#include <stdbool.h>
#include <sys/queue.h>

#include <berth/plugin.h>

#include <core/wire/channel.h>
#include <core/wire/numbers.h>

/** Bytes that may wait in a channel before calls and replies are refused. */
#define REMOTE_QUEUED_MAX (16u << 20)
/** A cancelled call that the other side does not end ends by itself after this, at the next tick. */
#define REMOTE_CANCEL_MS 1000u

struct remote_served;

/** Whoever makes calls by stubs: one plugin. Embedded; zero-initialise. */
struct remote_caller {
    /** Around each callback of its stubs; may be NULL. */
    void (*enter)(struct remote_caller *caller);
    void (*leave)(struct remote_caller *caller);
    LIST_HEAD(, remote_peer) peers;
    LIST_HEAD(, remote_local) locals;
    LIST_HEAD(, remote_call) calls;
    bool is_closed;
    /** It is isolated: what its calls end with is sent on, and never lost. */
    bool is_worker;
};

/** One side of a channel. Embedded; the owner fills in the first part, the rest is zero. */
struct remote_wire {
    struct channel *channel;
    /** Whose packets they are; see wire/packet.h. */
    uint16_t plugin;
    /** Who takes the calls that arrive for this number; NULL: nobody. */
    struct berth_remote_peer *(*find)(struct remote_wire *wire, uint32_t number);
    /** Why no call can leave now, in one sentence; NULL: it can. */
    const char *(*refusal)(const struct remote_wire *wire);
    /** The first call since there was none has left; may be NULL. */
    void (*on_busy)(struct remote_wire *wire);

    /** Calls that have left, each a `struct remote_call`. */
    struct numbers calls;
    /** Those that have arrived. */
    LIST_HEAD(, remote_served) served;
    size_t served_count;
    LIST_HEAD(, remote_peer) peers;
    /** The plugin is over, and nothing of it is sent any more. */
    bool is_over;
};

/** PACKET_REMOTE_CALL, PACKET_REMOTE_REPLY or PACKET_REMOTE_CANCEL. */
void remote_wire_take(struct remote_wire *wire, const struct packet *packet, struct packet_reader *reader);
/** Ends what is overdue. To be called about once a second while this is true: calls are in flight. */
bool remote_wire_tick(struct remote_wire *wire);
/** The other side is gone: calls that have left end with UNAVAILABLE and the reason, those that have arrived
 * are cancelled. */
void remote_wire_end(struct remote_wire *wire, const char *reason);
/** Ended, and not used again: its peers refuse calls. */
void remote_wire_finish(struct remote_wire *wire);

/** For the stub of a caller, across a wire. @param number  of the provider, as the other side knows it. */
struct berth_remote_peer *remote_caller_peer(struct remote_caller *caller, struct remote_wire *wire,
                                             uint32_t number);
/** A provider in this process, by its skeleton. */
struct berth_remote_peer *remote_caller_local(struct remote_caller *caller, const struct berth_remote *remote,
                                              const void *table, void *instance);
/**
 * Ends all its calls and refuses new ones.
 * @param tells  whether each on_end is called, with CANCELLED.
 */
void remote_caller_close(struct remote_caller *caller, bool tells);
/** Closed. */
void remote_caller_finish(struct remote_caller *caller);

#endif
