/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a connection to some member of etcd, and says when there is none. */
#include "link.h"

#include <string.h>
#include <time.h>

#include "session.h"
#include "store.h"

#define FIRST_BACKOFF_MS 100
#define LAST_BACKOFF_MS 5000
/* A connection that held so long was a good one. */
#define GOOD_WHILE_MS 10000

static void dial(struct store *store)
{
    const char *endpoint = store->options.endpoints[store->endpoint % store->options.endpoint_count];

    store->tried++;
    session_start(store, endpoint);
}

static void on_retry(uv_timer_t *timer)
{
    dial(timer->data);
}

/* Each endpoint once, then a pause, longer each time. */
static void try_again(struct store *store)
{
    uint64_t pause = 0;

    store->endpoint++;
    if (store->tried % store->options.endpoint_count == 0) {
        pause = store->backoff_ms / 2 + uv_hrtime() % (store->backoff_ms / 2 + 1);
        store->backoff_ms = store->backoff_ms < LAST_BACKOFF_MS / 2 ? store->backoff_ms * 2 : LAST_BACKOFF_MS;
    }
    uv_timer_start(&store->retry, on_retry, pause, 0);
}

static void begin_loss(struct store *store)
{
    time_t now = time(NULL);
    struct tm utc;

    store->down_since_ms = uv_now(store->host->loop);
    strftime(store->down_since, sizeof(store->down_since), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
}

void store_describe_loss(const struct store *store, struct berth_error *err)
{
    berth_error_set(err, BERTH_UNAVAILABLE, "no connection to etcd since %s: %s", store->down_since,
                    store->why);
}

static void report(struct store *store)
{
    struct berth_error err;

    store_describe_loss(store, &err);
    berth_store_health_set(&store->health, STORE_LINK, BERTH_UNAVAILABLE, err.message);
}

void store_on_lost(struct store *store, bool was_live, const char *reason)
{
    const char *endpoint = store->options.endpoints[store->endpoint % store->options.endpoint_count];
    bool is_named = strstr(reason, endpoint) != NULL;

    store->session = NULL;
    snprintf(store->why, sizeof(store->why), "%s%s%s", is_named ? "" : endpoint, is_named ? "" : ": ",
             reason);
    commit_on_lost(&store->commit);
    store_forget_held(store);
    if (was_live && store->down_since_ms == 0) {
        begin_loss(store);
        if (store->down_since_ms - store->live_since_ms >= GOOD_WHILE_MS)
            store->backoff_ms = FIRST_BACKOFF_MS;
        berth_log(store->host, BERTH_LOG_WARN, "lost etcd: %s", store->why);
    }
    if (!store->is_starting && !store->is_ending)
        report(store);
    if (store->is_ending)
        store_close(store);
    else
        try_again(store);
}

void store_on_live(struct store *store)
{
    bool was_starting = store->is_starting;

    if (store->down_since_ms != 0) {
        berth_add_export(store->host, "endpoint", store->session->endpoint);
        berth_log(store->host, BERTH_LOG_INFO, "connected to etcd endpoint=%s revision=%lld entries=%llu",
                  store->session->endpoint, (long long)store->mirror.revision,
                  (unsigned long long)store->mirror.count);
    }
    store->down_since_ms = 0;
    store->tried = 0;
    store->live_since_ms = uv_now(store->host->loop);
    store->is_starting = false;
    uv_timer_stop(&store->dialling);
    if (berth_store_health_has(&store->health, STORE_LINK) && !store->is_ending)
        berth_store_health_clear(&store->health, STORE_LINK);
    commit_on_live(store);
    if (was_starting && !store->is_ending)
        store->on_started(store, BERTH_OK, NULL);
}

static void on_dial_timeout(uv_timer_t *timer)
{
    struct store *store = timer->data;
    struct berth_error err;

    store->is_starting = false;
    berth_error_set(&err, BERTH_UNAVAILABLE,
                    "no etcd could be loaded from within dial_timeout (%llu ms); last tried: %s; once etcd "
                    "is there, start berthd again",
                    (unsigned long long)store->options.dial_timeout_ms,
                    store->why[0] != '\0' ? store->why : store->options.endpoints[0]);
    store->on_started(store, BERTH_UNAVAILABLE, err.message);
}

void link_init(struct store *store)
{
    uv_timer_init(store->host->loop, &store->retry);
    uv_timer_init(store->host->loop, &store->dialling);
    store->retry.data = store->dialling.data = store;
    store->backoff_ms = FIRST_BACKOFF_MS;
    store->is_starting = true;
    begin_loss(store);
    uv_timer_start(&store->dialling, on_dial_timeout, store->options.dial_timeout_ms, 0);
    uv_timer_start(&store->retry, on_retry, 0, 0);
}
