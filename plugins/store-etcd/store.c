/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: reads come from the mirror, batches go to etcd, and etcd's events update the mirror. Keeps a
 * connection to some member, and reports whatever would make the next change fail.
 */
#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define FIRST_BACKOFF_MS 100
#define LAST_BACKOFF_MS 5000
/* A connection that lasted this long resets the back-off. */
#define GOOD_WHILE_MS 10000

/* Size of an ordinary change. */
#define ORDINARY_BYTES (64u << 10)

/* Limit on changes made by other means that are held back while a batch is in flight. */
#define MAX_HELD_BYTES (64 * 1024 * 1024)

/* What operators see of the store's condition. */

static void set_trouble(struct store *store, enum store_trouble trouble, enum berth_code code,
                        const char *message)
{
    berth_store_health_set(&store->health, trouble, code, message);
    store->state.is_out_of_space = berth_store_health_has(&store->health, STORE_SPACE);
}

static void end_trouble(struct store *store, enum store_trouble trouble)
{
    if (berth_store_health_has(&store->health, trouble))
        berth_store_health_clear(&store->health, trouble);
    store->state.is_out_of_space = berth_store_health_has(&store->health, STORE_SPACE);
}

static void on_presence(void *self, enum berth_code code, const char *message)
{
    const struct commit_refusal *refusal = code == BERTH_OK ? NULL : commit_find_refusal(message);

    if (code == BERTH_OK)
        end_trouble(self, STORE_SPACE);
    /* Permission for this key says nothing about permission for the entries. */
    else if (refusal != NULL && refusal->trouble == STORE_SPACE)
        set_trouble(self, STORE_SPACE, refusal->code, refusal->sentence);
}

static void check_mirror(struct store *store)
{
    uint64_t max = store->state.options.max_mirror;
    struct berth_error err;

    if (store->state.mirror.bytes + ORDINARY_BYTES <= max) {
        end_trouble(store, STORE_MIRROR);
        return;
    }
    berth_error_set(
        &err, BERTH_RESOURCE_EXHAUSTED,
        "the store has less than %u bytes left of max_mirror (%llu bytes); remove entries or raise it",
        ORDINARY_BYTES, (unsigned long long)max);
    set_trouble(store, STORE_MIRROR, BERTH_RESOURCE_EXHAUSTED, err.message);
}

static enum berth_code describe_loss(const struct store *store, struct berth_error *err)
{
    return berth_error_set(err, BERTH_UNAVAILABLE, "no connection to etcd since %s: %s", store->down_since,
                           store->why);
}

/* The mirror moves: by revisions, or all at once after a time away. Only as the library allows: with a
 * batch's end, or between batches. */

static enum berth_store_cause cause_of(const struct store *store, const struct revision *revision)
{
    size_t length = strlen(store->state.id);
    bool is_ours = revision->moves_head && strncmp(revision->head, store->state.id, length) == 0 &&
                   revision->head[length] == '-';

    return is_ours ? BERTH_STORE_OWN : BERTH_STORE_OTHER;
}

/* Publishes what operators see of the mirror's new state. */
static void publish(struct store *store)
{
    char count[24];

    check_mirror(store);
    if (store->state.mirror.nodes == store->nodes_told)
        return;
    store->nodes_told = store->state.mirror.nodes;
    snprintf(count, sizeof(count), "%lld", (long long)store->nodes_told);
    berth_add_export(store->state.host, "nodes", count);
}

static void hold(struct store *store, struct revision *revision)
{
    *store->held_end = revision;
    store->held_end = &revision->next;
    store->held_bytes += revision->bytes;
    store->held_memory += revision->memory;
}

static struct revision *take_held(struct store *store)
{
    struct revision *held = store->held;

    store->held = NULL;
    store->held_end = &store->held;
    store->held_bytes = store->held_memory = 0;
    return held;
}

static void forget_held(struct store *store)
{
    struct revision *held = take_held(store);

    while (held != NULL) {
        struct revision *next = held->next;

        revision_destroy(held);
        held = next;
    }
}

static void apply_all(struct store *store, struct revision *revisions)
{
    for (struct revision *revision = revisions; revision != NULL; revision = revision->next)
        revision_apply(revision, &store->state.mirror);
    publish(store);
}

/* `own` was already reported to whoever asked for the batch. */
static void tell_all(struct store *store, struct revision *revisions, const struct revision *own)
{
    while (revisions != NULL) {
        struct revision *next = revisions->next;

        if (revisions != own)
            revision_tell(revisions, store->core, cause_of(store, revisions));
        revision_destroy(revisions);
        revisions = next;
    }
}

static void apply_held(struct store *store)
{
    struct revision *held = take_held(store);

    apply_all(store, held);
    tell_all(store, held, NULL);
}

static void end_batch(struct store *store, enum berth_code code, const char *message)
{
    if (code == BERTH_OK && store->commit.batch->count > 0) {
        end_trouble(store, STORE_SPACE);
        end_trouble(store, STORE_PERMISSION);
    }
    commit_finish(&store->commit);
    store->state.has_open_batch = false;
    berth_store_committed(store->core, code, message);
}

/* Ends a batch that did not move the mirror; what was held back for it moves it now. */
static void on_unmoved(void *self, enum berth_code code, const char *message)
{
    end_batch(self, code, message);
    apply_held(self);
}

static void on_refused(void *self, const struct commit_refusal *refusal)
{
    if (refusal->trouble != STORE_WELL)
        set_trouble(self, refusal->trouble, refusal->code, refusal->sentence);
    on_unmoved(self, refusal->code, refusal->sentence);
}

static void on_late(void *self, enum berth_code code)
{
    struct store *store = self;
    struct berth_error err;

    if (store->down_since_ms != 0)
        describe_loss(store, &err);
    else
        berth_error_set(&err, BERTH_UNAVAILABLE, "etcd did not answer within commit_timeout (%llu ms)",
                        (unsigned long long)store->state.options.commit_timeout_ms);
    on_unmoved(store, code, err.message);
    /* The member does not answer; try the next endpoint. */
    if (store->session != NULL && store->down_since_ms == 0)
        session_lose(store->session, "%s", err.message);
}

static const struct commit_events commit_events = {on_unmoved, on_refused, on_late};

/* The head moved: what became of the batch is known. */
static void decide(struct store *store, struct revision *revision)
{
    bool is_own = commit_is_own(&store->commit, revision);
    struct revision *all;

    hold(store, revision);
    all = take_held(store);
    apply_all(store, all);
    end_batch(store, is_own ? BERTH_OK : BERTH_ABORTED, is_own ? NULL : "another daemon committed first");
    tell_all(store, all, is_own ? revision : NULL);
}

static bool has_room(const struct store *store, const struct revision *revision)
{
    /* Only revisions that are held back count against the limit of held memory. */
    bool is_to_wait = store->state.has_open_batch && !revision->moves_head;

    return (!is_to_wait || store->held_memory + revision->memory <= MAX_HELD_BYTES) &&
           store->state.mirror.bytes + store->held_bytes + revision->bytes <= store_mirror_max(&store->state);
}

static bool on_revision(void *self, struct revision *revision)
{
    struct store *store = self;
    bool is_kept = store->state.is_ending || has_room(store, revision);

    if (store->state.is_ending || !is_kept) {
        revision_destroy(revision);
    } else if (store->state.has_open_batch && revision->moves_head) {
        decide(store, revision);
    } else {
        hold(store, revision);
        if (!store->state.has_open_batch)
            apply_held(store);
    }
    return is_kept;
}

static void on_loaded(void *self, struct mirror *loaded)
{
    struct store *store = self;
    struct mirror before = store->state.mirror;
    enum berth_code verdict = BERTH_PENDING;

    if (store->state.is_ending) {
        mirror_finish(loaded);
        return;
    }
    forget_held(store);
    if (store->state.has_open_batch)
        verdict = commit_judge(&store->commit, loaded);
    if (verdict == BERTH_OK)
        commit_write(&store->commit, &before);
    store->state.mirror = *loaded;
    publish(store);
    if (verdict != BERTH_PENDING)
        end_batch(store, verdict,
                  verdict == BERTH_OK
                      ? NULL
                      : "etcd has compacted the history that tells whether the change happened");
    if (before.revision != 0)
        revision_tell_difference(&before, &store->state.mirror, store->core);
    mirror_finish(&before);
}

/* The connection. */

static const char *current_endpoint(const struct store *store)
{
    return store->state.options.endpoints[store->endpoint % store->state.options.endpoint_count];
}

static void close_store(struct store *store);
static void on_retry(uv_timer_t *timer);

static void begin_loss(struct store *store)
{
    time_t now = time(NULL);
    struct tm utc;

    store->down_since_ms = uv_now(store->state.host->loop);
    strftime(store->down_since, sizeof(store->down_since), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
}

/* Each endpoint once, then a pause, longer each time. */
static void try_again(struct store *store)
{
    uint64_t pause = 0;

    store->endpoint++;
    if (store->tried % store->state.options.endpoint_count == 0) {
        pause = store->backoff_ms / 2 + uv_hrtime() % (store->backoff_ms / 2 + 1);
        store->backoff_ms = store->backoff_ms < LAST_BACKOFF_MS / 2 ? store->backoff_ms * 2 : LAST_BACKOFF_MS;
    }
    uv_timer_start(&store->retry, on_retry, pause, 0);
}

static void on_lost(void *self, bool was_live, const char *reason)
{
    struct store *store = self;
    const char *endpoint = current_endpoint(store);
    bool is_named = strstr(reason, endpoint) != NULL;
    struct berth_error err;

    store->session = NULL;
    snprintf(store->why, sizeof(store->why), "%s%s%s", is_named ? "" : endpoint, is_named ? "" : ": ",
             reason);
    commit_on_lost(&store->commit);
    forget_held(store);
    if (was_live && store->down_since_ms == 0) {
        begin_loss(store);
        if (store->down_since_ms - store->live_since_ms >= GOOD_WHILE_MS)
            store->backoff_ms = FIRST_BACKOFF_MS;
        berth_log(store->state.host, BERTH_LOG_WARN, "lost the connection to etcd: %s", store->why);
    }
    if (!store->is_starting && !store->state.is_ending)
        set_trouble(store, STORE_LINK, describe_loss(store, &err), err.message);
    if (store->state.is_ending)
        close_store(store);
    else
        try_again(store);
}

static void on_live(void *self)
{
    struct store *store = self;
    bool was_starting = store->is_starting;

    if (store->down_since_ms != 0) {
        berth_add_export(store->state.host, "endpoint", current_endpoint(store));
        berth_log(store->state.host, BERTH_LOG_INFO,
                  "connected to etcd endpoint=%s revision=%lld entries=%llu", current_endpoint(store),
                  (long long)store->state.mirror.revision, (unsigned long long)store->state.mirror.count);
    }
    store->down_since_ms = 0;
    store->tried = 0;
    store->live_since_ms = uv_now(store->state.host->loop);
    store->is_starting = false;
    uv_timer_stop(&store->dialling);
    if (!store->state.is_ending)
        end_trouble(store, STORE_LINK);
    commit_resume(&store->commit, store->session);
    if (was_starting && !store->state.is_ending)
        store->on_started(store, BERTH_OK, NULL);
}

static void end_when_closed(struct store *store)
{
    if (store->handles > 0 || store->sessions > 0)
        return;
    mirror_finish(&store->state.mirror);
    forget_held(store);
    store->on_ended(store);
}

static void on_session_closed(void *self)
{
    struct store *store = self;

    store->sessions--;
    if (store->state.is_ending)
        end_when_closed(store);
}

static const struct session_events session_events = {
    on_loaded, on_revision, on_live, on_presence, on_lost, on_session_closed,
};

static void on_retry(uv_timer_t *timer)
{
    struct store *store = timer->data;

    store->tried++;
    store->session = session_create(&store->state, current_endpoint(store), &session_events, store);
    if (store->session == NULL) {
        on_lost(store, false, "no memory for a connection");
        return;
    }
    store->sessions++;
    session_dial(store->session);
}

static void on_dial_timeout(uv_timer_t *timer)
{
    struct store *store = timer->data;
    struct berth_error err;

    store->is_starting = false;
    berth_error_set(&err, BERTH_UNAVAILABLE,
                    "could not load from etcd within dial_timeout (%llu ms); last tried: %s; once etcd is "
                    "reachable, run `berthctl plugins start io.berth.store.v1.etcd`",
                    (unsigned long long)store->state.options.dial_timeout_ms,
                    store->why[0] != '\0' ? store->why : store->state.options.endpoints[0]);
    store->on_started(store, BERTH_UNAVAILABLE, err.message);
}

/* The engine, and how it begins and ends. */

static enum berth_code begin(void *self, struct berth_error *err)
{
    const struct store *store = self;
    uint64_t max = store->state.options.max_stale_ms;

    if (store->down_since_ms == 0 || max == 0 ||
        uv_now(store->state.host->loop) - store->down_since_ms <= max)
        return BERTH_OK;
    return describe_loss(store, err);
}

static enum berth_code get(void *self, const char *bucket, struct berth_store_bytes key,
                           struct berth_store_bytes *ret_value, struct berth_error *err)
{
    const struct store *store = self;
    const struct mirror_entry *entry = mirror_find(&store->state.mirror, bucket, key);

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
    const struct mirror_entry *entry = mirror_next(&store->state.mirror, bucket, after);

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
    const struct mirror_entry *entry = mirror_next_bucket(&store->state.mirror, after);

    (void)err;
    if (entry == NULL)
        return BERTH_NOT_FOUND;
    mirror_entry_bucket(entry, ret_bucket);
    return BERTH_OK;
}

/* commit_timeout counts from the loss of the connection. */
static uint64_t time_left(const struct store *store)
{
    uint64_t timeout = store->state.options.commit_timeout_ms;
    uint64_t down = store->down_since_ms == 0 ? 0 : uv_now(store->state.host->loop) - store->down_since_ms;

    return down < timeout ? timeout - down : 0;
}

static void commit(void *self, const struct berth_store_batch *batch)
{
    struct store *store = self;

    store->state.has_open_batch = true;
    commit_start(&store->commit, batch, store->down_since_ms == 0 ? store->session : NULL, time_left(store));
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

static void begin_to_dial(struct store *store)
{
    uv_loop_t *loop = store->state.host->loop;

    uv_timer_init(loop, &store->retry);
    uv_timer_init(loop, &store->dialling);
    store->retry.data = store->dialling.data = store;
    store->backoff_ms = FIRST_BACKOFF_MS;
    store->is_starting = true;
    begin_loss(store);
    uv_timer_start(&store->dialling, on_dial_timeout, store->state.options.dial_timeout_ms, 0);
    uv_timer_start(&store->retry, on_retry, 0, 0);
}

enum berth_code store_start(const struct berth_host *host, const struct store_options *options, void *owner,
                            void (*on_started)(struct store *store, enum berth_code code,
                                               const char *message),
                            struct store **ret_store, struct berth_error *err)
{
    struct store *store = calloc(1, sizeof(*store));

    if (store == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a store");
    store->state.host = store->health.host = host;
    store->state.options = *options;
    store->owner = owner;
    store->on_started = on_started;
    store->held_end = &store->held;
    layout_init(&store->state.layout, options->prefix);
    if (!make_id(store->state.id, sizeof(store->state.id))) {
        free(store);
        return berth_error_set(err, BERTH_UNAVAILABLE,
                               "the system has no random bytes for the ID of this node");
    }
    store->core = berth_store_core_create(host->loop, &engine, store, &options->limits);
    if (store->core == NULL) {
        free(store);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a store");
    }
    berth_store_core_measure(store->core, host);
    berth_store_core_watch_snapshots(store->core, host);
    commit_init(&store->commit, &store->state, &commit_events, store);
    begin_to_dial(store);
    *ret_store = store;
    return BERTH_OK;
}

void store_set_options(struct store *store, const struct store_options *options)
{
    store->state.options = *options;
    check_mirror(store);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct store *store = handle->data;

    store->handles--;
    end_when_closed(store);
}

/* The last part of the end. */
static void close_store(struct store *store)
{
    uv_timer_t *timers[] = {&store->retry, &store->dialling, &store->commit.deadline};

    session_close(store->session);
    store->session = NULL;
    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        store->handles++;
        timers[i]->data = store;
        uv_close((uv_handle_t *)timers[i], on_handle_closed);
    }
}

static void on_revoked(void *self)
{
    close_store(self);
}

static void on_core_closed(void *self)
{
    struct store *store = self;

    store->state.is_ending = true;
    uv_timer_stop(&store->retry);
    uv_timer_stop(&store->dialling);
    store->core = NULL;
    if (store->session == NULL || !session_revoke(store->session, on_revoked))
        close_store(store);
}

void store_end(struct store *store, void (*on_ended)(struct store *store))
{
    store->on_ended = on_ended;
    commit_hurry(&store->commit);
    berth_store_core_close(store->core, on_core_closed);
}
