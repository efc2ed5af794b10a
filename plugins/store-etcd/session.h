/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ETCD_SESSION_H
#define STORE_ETCD_SESSION_H

#include <etcd/etcdserverpb/rpc.client.h>

#include <berth/rpc/client.h>

#include "mirror.h"
#include "revision.h"

struct store;

/* One connection to one endpoint, from dialling to its loss. Freed when all of it is closed. */
struct session {
    /* NULL once it is lost. */
    struct store *store;
    /* For the closing. */
    struct store *owner;
    const char *endpoint;
    struct berth_rpc_channel *channel;
    /* First the patience with what is being waited for, then the heartbeat. */
    uv_timer_t timer;
    const char *step;
    size_t open_handles;
    bool is_live;
    char *token;
    struct berth_metadata metadata[2];
    /* Of the head: what the mirror says of it holds here. */
    bool is_as_known;

    /* Loading. */
    struct mirror loading;
    struct layout_key next;
    int64_t page_size;
    bool has_answered;
    bool has_more;

    /* Watching. */
    struct berth_rpc_call *watch;
    struct revision *gathered;
    /* All up to here has come: the mirror may be behind while a batch is on its way. */
    int64_t told_revision;

    /* Being present. */
    struct berth_rpc_call *keepalive;
    int64_t lease;
    bool awaits_beat;
    uint64_t ticked_ms;
    bool was_refused;
    void (*on_revoked)(struct session *session);
};

/* Begins to dial; the store's session from here on. */
void session_start(struct store *store, const char *endpoint);
/* It is of no more use: tells the store, closes what is open. Nothing else comes from it. */
void session_lose(struct session *session, const char *format, ...) BERTH_PRINTF(2, 3);
/* The same without telling. NULL is fine. */
void session_close(struct session *session);

/* For its parts. What every call bears. */
struct berth_rpc_call_options session_call_options(const struct session *session);
/* From here on this is waited for, for so long as one step may take. */
void session_await(struct session *session, const char *step);

/* load.c: all entries, page by page, and then it watches. */
void session_load(struct session *session);
/* watch.c: all that comes after the store's mirror. */
void session_watch(struct session *session);
void session_watch_finish(struct session *session);
/* presence.c: a key that goes when we go, and the heartbeat that keeps it. Once more for each new watch: what
 * is still to be answered is not asked again. */
void session_be_present(struct session *session);
/* Takes the key away; on_revoked when that has ended, however it did. False: there is nothing to wait for. */
bool session_revoke(struct session *session, void (*on_revoked)(struct session *session));

#endif
