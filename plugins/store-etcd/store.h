/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ETCD_STORE_H
#define STORE_ETCD_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/plugin.h>
#include <berth/rpc/client.h>
#include <berth/store_engine.h>

#include "commit.h"
#include "mirror.h"
#include "revision.h"
#include "room.h"

struct session;

/** All strings live as long as the store. Times in milliseconds, sizes in bytes. */
struct store_options {
    const char *const *endpoints;
    size_t endpoint_count;
    const char *prefix;
    /** Of TLS; NULL: in clear. */
    const struct berth_rpc_tls_options *tls;
    /** NULL: etcd asks nobody who he is. */
    const char *user;
    const char *password;
    uint64_t dial_timeout_ms;
    uint64_t commit_timeout_ms;
    /** 0: for ever. */
    uint64_t max_stale_ms;
    uint64_t lease_ttl_ms;
    uint64_t max_mirror;
    uint64_t max_request;
    struct berth_store_limits limits;
};

/** One store over etcd: what it knows of it, the batch on its way, and the connection. */
struct store {
    /* First, as berth_store_interface wants it. */
    struct berth_store_core *core;
    const struct berth_host *host;
    struct berth_store_health health;
    struct store_options options;
    struct layout layout;
    /* Of this daemon, made anew with each start: every batch and the daemon's presence bear it. */
    char id[40];
    struct mirror mirror;
    bool is_loaded;
    struct commit commit;
    /* What others did without moving the head while a batch is on its way. */
    struct revision *held;
    struct revision **held_end;
    uint64_t held_bytes;
    uint64_t held_memory;

    /* The one in use; those that are being closed only count. */
    struct session *session;
    size_t sessions;
    size_t endpoint;
    size_t tried;
    uint64_t backoff_ms;
    uv_timer_t retry;
    /* Since when there is no connection, on the loop's clock and the wall's; 0: there is one. */
    uint64_t down_since_ms;
    char down_since[32];
    char why[512];
    /* Until the first load. */
    uv_timer_t dialling;
    bool is_starting;
    bool is_ending;
    size_t handles;
    uint64_t live_since_ms;
    /* What was published last. */
    int64_t nodes_told;

    void (*on_started)(struct store *store, enum berth_code code, const char *message);
    void (*on_ended)(struct store *store);
    /* Whose it is. */
    void *owner;
};

/**
 * Makes a store and begins to dial. `on_started` comes once, from the loop: BERTH_OK when everything is
 * loaded, or why not by `dial_timeout_ms`; then store_end is to follow all the same.
 * @return BERTH_OK; a failure, and then nothing follows.
 */
enum berth_code store_start(const struct berth_host *host, const struct store_options *options, void *owner,
                            void (*on_started)(struct store *store, enum berth_code code,
                                               const char *message),
                            struct store **ret_store, struct berth_error *err);

/** Ends it: `on_ended` comes once, from the loop, as the last thing; the store is to be freed in it. */
void store_end(struct store *store, void (*on_ended)(struct store *store));

/* What sessions tell. */

/* Everything up to a revision; the mirror is taken over. */
void store_on_loaded(struct store *store, struct mirror *loaded);
/* What came next; taken over. False: it cannot be kept, and the session is over. */
bool store_on_revision(struct store *store, struct revision *revision);
void store_on_live(struct store *store);
/* The session is about to go, and `was_live` tells how far it had come. */
void store_on_lost(struct store *store, bool was_live, const char *reason);
void store_on_session_closed(struct store *store);

/* Since when there is no connection, and why: a sentence for who is refused. */
void store_describe_loss(const struct store *store, struct berth_error *err);

/* How much the mirror may take: of what is there already a little more than of what we add, so that a daemon
 * that counts otherwise, or the last bytes of a batch, cut nobody off. */
static inline uint64_t store_mirror_max(const struct store *store)
{
    return store->options.max_mirror + store->options.max_mirror / 8;
}

/* What was held while a batch was on its way: shown and told, or to be fetched once more. */
void store_apply_held(struct store *store);
void store_forget_held(struct store *store);

/* The last part of the end. */
void store_close(struct store *store);

#endif
