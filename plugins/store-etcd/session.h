/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to one member of etcd, and what a store and its parts know. */
#ifndef STORE_ETCD_SESSION_H
#define STORE_ETCD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/plugin.h>
#include <berth/rpc/client.h>

#include "mirror.h"

/** All strings live as long as the store. Times in milliseconds, sizes in bytes. */
struct store_options {
    const char *const *endpoints;
    size_t endpoint_count;
    const char *prefix;
    /** NULL: clear text. */
    const struct berth_rpc_tls_options *tls;
    /** NULL: etcd without authentication. */
    const char *user;
    const char *password;
    uint64_t dial_timeout_ms;
    uint64_t commit_timeout_ms;
    /** 0: unlimited. */
    uint64_t max_stale_ms;
    uint64_t lease_ttl_ms;
    uint64_t max_mirror;
    uint64_t max_request;
    struct berth_store_limits limits;
};

/** What the parts of a store may know of it. They read it; only store.c writes it. */
struct store_state {
    const struct berth_host *host;
    struct store_options options;
    struct layout layout;
    /** Random id of this daemon, new at each start; in every batch and in the daemon's registration. */
    char id[40];
    /** Of revision 0 until it is loaded. */
    struct mirror mirror;
    bool has_open_batch;
    /** etcd refuses changes for lack of space; each heartbeat probes whether there is space again. */
    bool is_out_of_space;
    bool is_ending;
};

/** Hard limit of the mirror: an eighth above max_mirror, so that the last bytes of a batch, or a daemon that
 * counts differently, do not disconnect everybody. */
static inline uint64_t store_mirror_max(const struct store_state *state)
{
    return state->options.max_mirror + state->options.max_mirror / 8;
}

/** What a session tells its store: called from the loop, and before session_dial returns. */
struct session_events {
    /** Everything up to a revision; the mirror is taken over. */
    void (*on_loaded)(void *self, struct mirror *loaded);
    /** What came next; taken over. @return false: it exceeds max_mirror, and the session ends itself. */
    bool (*on_revision)(void *self, struct revision *revision);
    /** The watch runs. */
    void (*on_live)(void *self);
    /** How the put of the daemon's own key ended. */
    void (*on_presence)(void *self, enum berth_code code, const char *message);
    /** It is over: only on_closed follows. */
    void (*on_lost)(void *self, bool was_live, const char *reason);
    /** It is freed. */
    void (*on_closed)(void *self);
};

struct session;

/** @return NULL without memory; else it exists until `on_closed`. */
struct session *session_create(const struct store_state *state, const char *endpoint,
                               const struct session_events *events, void *self);
/** Logs in, loads unless this cluster continues the mirror's history, and follows. */
void session_dial(struct session *session);

/** It is of no more use: tells the store, then closes. Fine for one that is over already. */
void session_lose(struct session *session, const char *format, ...) BERTH_PRINTF(2, 3);
/** The same without telling. NULL is fine. */
void session_close(struct session *session);

/** Removes the daemon's key; `on_revoked` when that has ended, however it did, unless the session ends first.
 * @return false: there is nothing to wait for. */
bool session_revoke(struct session *session, void (*on_revoked)(void *self));

struct berth_rpc_channel *session_channel(const struct session *session);
/** What every call carries. */
struct berth_rpc_call_options session_call_options(const struct session *session);

#endif
