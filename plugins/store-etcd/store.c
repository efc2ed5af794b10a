/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: reads come from the mirror, batches go to etcd. And how it begins and ends. */
#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "link.h"
#include "session.h"

static enum berth_code begin(void *self, struct berth_error *err)
{
    const struct store *store = self;
    uint64_t max = store->options.max_stale_ms;

    if (store->down_since_ms == 0 || max == 0 || uv_now(store->host->loop) - store->down_since_ms <= max)
        return BERTH_OK;
    store_describe_loss(store, err);
    return BERTH_UNAVAILABLE;
}

static enum berth_code get(void *self, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err)
{
    const struct store *store = self;
    const struct mirror_entry *entry = mirror_find(&store->mirror, bucket, key);

    (void)err;
    if (entry == NULL)
        return BERTH_NOT_FOUND;
    *ret_value = mirror_entry_value(entry);
    return BERTH_OK;
}

static enum berth_code next(void *self, const char *bucket, struct berth_store_bytes after,
                            struct berth_store_entry *ret_entry, struct berth_error *err)
{
    const struct store *store = self;
    const struct mirror_entry *entry = mirror_next(&store->mirror, bucket, after);

    (void)err;
    if (entry == NULL)
        return BERTH_NOT_FOUND;
    ret_entry->key = mirror_entry_key(entry);
    ret_entry->value = mirror_entry_value(entry);
    return BERTH_OK;
}

static enum berth_code next_bucket(void *self, const char *after, char ret_bucket[BERTH_STORE_BUCKET_MAX + 1],
                                   struct berth_error *err)
{
    const struct store *store = self;
    const struct mirror_entry *entry = mirror_next_bucket(&store->mirror, after);

    (void)err;
    if (entry == NULL)
        return BERTH_NOT_FOUND;
    mirror_entry_bucket(entry, ret_bucket);
    return BERTH_OK;
}

static void commit(void *self, const struct berth_store_batch *batch)
{
    commit_start(self, batch);
}

static const struct berth_store_engine engine = {
    .size = sizeof(engine),
    .begin = begin,
    .get = get,
    .next = next,
    .next_bucket = next_bucket,
    .commit = commit,
};

static bool make_id(char *id, size_t size)
{
    unsigned char random[16];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return false;
    random[6] = (unsigned char)((random[6] & 0x0f) | 0x40);
    random[8] = (unsigned char)((random[8] & 0x3f) | 0x80);
    for (size_t i = 0, at = 0; i < sizeof(random); i++)
        at += (size_t)snprintf(id + at, size - at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                               random[i]);
    return true;
}

enum berth_code store_start(const struct berth_host *host, const struct store_options *options, void *owner,
                            void (*on_started)(struct store *store, enum berth_code code,
                                               const char *message),
                            struct store **ret_store, struct berth_error *err)
{
    struct store *store = calloc(1, sizeof(*store));

    if (store == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a store");
    store->host = store->health.host = host;
    store->options = *options;
    store->owner = owner;
    store->on_started = on_started;
    store->held_end = &store->held;
    layout_init(&store->layout, options->prefix);
    store->core = berth_store_core_create(host->loop, &engine, store, &options->limits);
    if (store->core == NULL || !make_id(store->id, sizeof(store->id))) {
        free(store);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a store");
    }
    commit_init(&store->commit, store);
    link_init(store);
    *ret_store = store;
    return BERTH_OK;
}

static void end_when_closed(struct store *store)
{
    if (store->handles > 0 || store->sessions > 0)
        return;
    mirror_finish(&store->mirror);
    store_forget_held(store);
    store->on_ended(store);
}

void store_on_session_closed(struct store *store)
{
    store->sessions--;
    if (store->is_ending)
        end_when_closed(store);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct store *store = handle->data;

    store->handles--;
    end_when_closed(store);
}

void store_close(struct store *store)
{
    uv_timer_t *timers[] = {&store->retry, &store->dialling, &store->commit.deadline};

    session_close(store->session);
    store->session = NULL;
    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        store->handles++;
        uv_close((uv_handle_t *)timers[i], on_handle_closed);
    }
}

static void on_revoked(struct session *session)
{
    store_close(session->store);
}

static void on_core_closed(void *self)
{
    struct store *store = self;

    store->is_ending = true;
    uv_timer_stop(&store->retry);
    uv_timer_stop(&store->dialling);
    store->core = NULL;
    if (store->session == NULL || !session_revoke(store->session, on_revoked))
        store_close(store);
}

void store_end(struct store *store, void (*on_ended)(struct store *store))
{
    store->on_ended = on_ended;
    commit_hurry(store);
    berth_store_core_close(store->core, on_core_closed);
}
