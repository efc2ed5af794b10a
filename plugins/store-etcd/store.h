/* SPDX-License-Identifier: Apache-2.0 */
/* One store over etcd: from its options to the library's core. */
#ifndef STORE_ETCD_STORE_H
#define STORE_ETCD_STORE_H

#include "commit.h"

struct store {
    /* First, as berth_store_interface wants it. */
    struct berth_store_core *core;
    struct store_state state;
    struct berth_store_health health;
    struct commit commit;
    /* Revisions that did not move the head, held back while a batch is in flight. */
    struct revision *held;
    struct revision **held_end;
    uint64_t held_bytes;
    uint64_t held_memory;

    /* The session in use, and how many there are with those that are still closing. */
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

/** Changes timeouts and max_mirror, for what begins from here on. The rest of the options must be the same.
 */
void store_set_options(struct store *store, const struct store_options *options);

/** Ends it: `on_ended` comes once, from the loop, as the last thing; the store is to be freed in it. */
void store_end(struct store *store, void (*on_ended)(struct store *store));

#endif
