/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to one member of etcd: authenticates, checks whether the mirror is still valid, reloads it
 * if not, follows changes, and keeps alive the lease under which this daemon is registered.
 */
#include "session.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <etcd/etcdserverpb/rpc.client.h>

#include <berth/address.h>

/* An answer may be as large as a request to etcd, plus what etcd adds. */
#define ANSWER_MAX(request) ((request)*3 < (16u << 20) ? (16u << 20) : (request)*3)

#define FIRST_PAGE 64
#define LARGEST_PAGE 4096
/* A page that is larger halves the next, one that is much smaller doubles it. */
#define WANTED_PAGE_BYTES (4 * 1024 * 1024)

/* A request that removes everything in a full mirror briefly needs more memory than the mirror: each name and
 * a record of its removal. No valid revision exceeds this. */
#define REVISION_MAX(mirror) (4 * (mirror))

/* A lease is renewed this many times within its TTL. */
#define BEATS_IN_A_LEASE 3

struct session {
    const struct store_state *state;
    const struct session_events *events;
    void *self;
    /* Nothing more comes from it: its handles are closing, and answers that still arrive are ignored. */
    bool is_over;
    const char *endpoint;
    struct berth_rpc_channel *channel;
    /* Until it is live the timeout of `step`, then the heartbeat. */
    uv_timer_t timer;
    const char *step;
    size_t open_handles;
    bool is_live;
    char *token;
    struct berth_metadata metadata[2];
    /* The head matches the mirror. */
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
    /* The last revision reported; the mirror may be behind it while a batch is in flight. */
    int64_t told_revision;

    /* Registration. */
    struct berth_rpc_call *keepalive;
    int64_t lease;
    bool awaits_beat;
    uint64_t ticked_ms;
    bool was_refused;
    void (*on_revoked)(void *self);
};

static void finish_watch(struct session *session)
{
    struct berth_rpc_call *watch = session->watch;

    session->watch = NULL;
    revision_destroy(session->gathered);
    session->gathered = NULL;
    if (watch != NULL)
        berth_rpc_call_cancel(watch);
}

static void free_when_closed(struct session *session)
{
    const struct session_events *events = session->events;
    void *self = session->self;

    if (--session->open_handles > 0)
        return;
    mirror_finish(&session->loading);
    free(session->token);
    free(session);
    events->on_closed(self);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free_when_closed(handle->data);
}

static void on_channel_closed(void *context)
{
    free_when_closed(context);
}

void session_close(struct session *session)
{
    if (session == NULL)
        return;
    session->is_over = true;
    finish_watch(session);
    uv_close((uv_handle_t *)&session->timer, on_timer_closed);
    if (session->channel != NULL)
        berth_rpc_channel_close(session->channel, on_channel_closed, session);
}

void session_lose(struct session *session, const char *format, ...)
{
    char reason[384];
    va_list arguments;

    if (session->is_over)
        return;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    session_close(session);
    session->events->on_lost(session->self, session->is_live, reason);
}

struct berth_rpc_call_options session_call_options(const struct session *session)
{
    return (struct berth_rpc_call_options){
        .size = sizeof(struct berth_rpc_call_options),
        .metadata = session->metadata,
        .metadata_count = session->token == NULL ? 1 : 2,
    };
}

static void on_patience_lost(uv_timer_t *timer)
{
    struct session *session = timer->data;

    session_lose(session, "no answer for %llu ms while %s",
                 (unsigned long long)session->state->options.dial_timeout_ms, session->step);
}

static void await_answer(struct session *session, const char *step)
{
    session->step = step;
    uv_timer_start(&session->timer, on_patience_lost, session->state->options.dial_timeout_ms, 0);
}

/* Unreachable, or it no longer knows our token. */
static bool is_lost(enum berth_code code)
{
    return code == BERTH_UNAVAILABLE || code == BERTH_UNAUTHENTICATED;
}

/* Continues without a lease; the next heartbeat tries again. */
static void do_without(struct session *session, enum berth_code code, const char *message)
{
    session->awaits_beat = false;
    session->lease = 0;
    if (code != BERTH_OK)
        session->events->on_presence(session->self, code, message);
    if (!session->was_refused && !session->state->is_ending)
        berth_log(session->state->host, BERTH_LOG_WARN,
                  "this daemon cannot be seen in etcd: %s endpoint=%s code=%s", message, session->endpoint,
                  berth_code_name(code));
    session->was_refused = true;
}

static void on_renewed(void *context, struct berth_rpc_call *call,
                       const Etcdserverpb__LeaseKeepAliveResponse *reply)
{
    struct session *session = context;

    if (session->is_over || call != session->keepalive)
        return;
    session->awaits_beat = false;
    if (reply->ttl <= 0)
        session->lease = 0;
}

static void on_renewing_end(void *context, struct berth_rpc_call *call, enum berth_code code,
                            const char *message, const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)trailers, (void)count;
    if (session->is_over || call != session->keepalive)
        return;
    session->keepalive = NULL;
    session_lose(session, "the lease keepalive ended: %s: %s", berth_code_name(code), message);
}

static const struct etcdserverpb_lease_lease_keep_alive_events renewal_events = {.on_message = on_renewed,
                                                                                 .on_end = on_renewing_end};

static void renew(struct session *session)
{
    struct berth_rpc_call_options options = session_call_options(session);
    Etcdserverpb__LeaseKeepAliveRequest request = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    struct berth_error err;

    request.id = session->lease;
    if (session->keepalive == NULL &&
        etcdserverpb_lease_lease_keep_alive_start(session->channel, &options, &renewal_events, session,
                                                  &session->keepalive, &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
    else if (etcdserverpb_lease_lease_keep_alive_send_request(session->keepalive, &request) != BERTH_OK)
        session_lose(session, "out of memory");
}

static void on_put_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                       const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (session->is_over)
        return;
    if (code == BERTH_OK)
        session->events->on_presence(session->self, code, message);
    if (is_lost(code))
        session_lose(session, "%s", message);
    else if (code != BERTH_OK)
        do_without(session, code, message);
    else
        session->awaits_beat = false;
}

static const struct etcdserverpb_kv_put_events put_events = {.on_end = on_put_end};

/* The key exists and stays; the put only probes whether there is space again. */
static void on_probe_end(void *context, struct berth_rpc_call *call, enum berth_code code,
                         const char *message, const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (!session->is_over)
        session->events->on_presence(session->self, code, message);
}

static const struct etcdserverpb_kv_put_events probe_events = {.on_end = on_probe_end};

static void put_key(struct session *session, const struct etcdserverpb_kv_put_events *events)
{
    struct berth_rpc_call_options options = session_call_options(session);
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    char host[HOST_NAME_MAX + 1] = "";
    char value[HOST_NAME_MAX + 128];
    struct layout_key key;
    struct berth_error err;

    gethostname(host, sizeof(host) - 1);
    snprintf(value, sizeof(value), "host=%s pid=%ld version=%s", host, (long)getpid(),
             session->state->host->inspect->daemon->version);
    layout_node_key(&session->state->layout, session->state->id, &key);
    request.key = layout_bytes(&key);
    request.value = (ProtobufCBinaryData){.len = strlen(value), .data = (uint8_t *)value};
    request.lease = session->lease;
    if (etcdserverpb_kv_put_start(session->channel, &options, &request, events, session, NULL, &err) !=
        BERTH_OK)
        session_lose(session, "%s", err.message);
}

static void on_granted(void *context, struct berth_rpc_call *call,
                       const Etcdserverpb__LeaseGrantResponse *reply)
{
    struct session *session = context;

    (void)call;
    if (!session->is_over)
        session->lease = reply->id;
}

static void on_grant_end(void *context, struct berth_rpc_call *call, enum berth_code code,
                         const char *message, const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (session->is_over)
        return;
    if (is_lost(code))
        session_lose(session, "%s", message);
    else if (code != BERTH_OK || session->lease == 0)
        do_without(session, code, message);
    else
        put_key(session, &put_events);
}

static const struct etcdserverpb_lease_lease_grant_events grant_events = {.on_message = on_granted,
                                                                          .on_end = on_grant_end};

static void ask_for_lease(struct session *session)
{
    struct berth_rpc_call_options options = session_call_options(session);
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct berth_error err;

    request.ttl = (int64_t)(session->state->options.lease_ttl_ms + 999) / 1000;
    if (etcdserverpb_lease_lease_grant_start(session->channel, &options, &request, &grant_events, session,
                                             NULL, &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
}

/* If the loop was held up, the answer may be there but unread. */
static bool is_late(struct session *session, uint64_t interval)
{
    uint64_t last = session->ticked_ms;

    session->ticked_ms = uv_now(session->timer.loop);
    return session->ticked_ms - last > interval + interval / 4;
}

static void beat(uv_timer_t *timer)
{
    struct session *session = timer->data;
    bool came_late = is_late(session, uv_timer_get_repeat(timer));

    if (session->awaits_beat && came_late)
        return;
    if (session->awaits_beat) {
        session_lose(session, "no answer to the heartbeat for %llu ms",
                     (unsigned long long)session->state->options.lease_ttl_ms / BEATS_IN_A_LEASE);
        return;
    }
    session->awaits_beat = true;
    if (session->lease == 0) {
        ask_for_lease(session);
        return;
    }
    if (session->state->is_out_of_space)
        put_key(session, &probe_events);
    if (!session->is_over)
        renew(session);
}

static void be_present(struct session *session)
{
    uint64_t interval = session->state->options.lease_ttl_ms / BEATS_IN_A_LEASE;

    session->ticked_ms = uv_now(session->timer.loop);
    uv_timer_start(&session->timer, beat, interval, interval);
    if (!session->awaits_beat)
        beat(&session->timer);
}

static void on_revoke_end(void *context, struct berth_rpc_call *call, enum berth_code code,
                          const char *message, const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)code, (void)message, (void)trailers, (void)count;
    if (!session->is_over)
        session->on_revoked(session->self);
}

static const struct etcdserverpb_lease_lease_revoke_events revoke_events = {.on_end = on_revoke_end};

/* Limit on the wait for the lease's revocation at exit. */
#define REVOKE_TIMEOUT_MS 1000

bool session_revoke(struct session *session, void (*on_revoked)(void *self))
{
    struct berth_rpc_call_options options = session_call_options(session);
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    struct berth_error err;

    if (session->lease == 0)
        return false;
    session->on_revoked = on_revoked;
    request.id = session->lease;
    options.timeout_ms = REVOKE_TIMEOUT_MS;
    uv_timer_stop(&session->timer);
    return etcdserverpb_lease_lease_revoke_start(session->channel, &options, &request, &revoke_events,
                                                 session, NULL, &err) == BERTH_OK;
}

/* False: the session is over. */
static bool flush(struct session *session)
{
    struct revision *revision = session->gathered;

    session->gathered = NULL;
    if (revision == NULL)
        return true;
    session->told_revision = revision->number;
    if (!session->events->on_revision(session->self, revision))
        session_lose(session, "the data needs more memory than max_mirror (%llu bytes)",
                     (unsigned long long)session->state->options.max_mirror);
    return !session->is_over;
}

static bool gather(struct session *session, const Mvccpb__Event *event)
{
    int64_t known = session->gathered == NULL ? session->told_revision : session->gathered->number - 1;
    int64_t number = event->kv == NULL ? 0 : event->kv->mod_revision;

    if (number <= known || number == INT64_MAX) {
        session_lose(session, "revision %lld is out of order after %lld", (long long)number,
                     (long long)known);
        return false;
    }
    if (session->gathered != NULL && number > session->gathered->number && !flush(session))
        return false;
    if (session->gathered == NULL)
        session->gathered = revision_create(number);
    if (session->gathered == NULL || !revision_add(session->gathered, &session->state->layout, event))
        session_lose(session, "out of memory for a revision");
    else if (session->gathered->bytes > session->state->options.max_mirror ||
             session->gathered->memory > REVISION_MAX(session->state->options.max_mirror))
        session_lose(session, "revision %lld alone needs more memory than max_mirror allows",
                     (long long)number);
    return !session->is_over;
}

static void on_created(struct session *session)
{
    session->is_live = true;
    be_present(session);
    /* Registering may already have lost the session. */
    if (!session->is_over)
        session->events->on_live(session->self);
}

static void load(struct session *session);

static void on_cancelled(struct session *session, const Etcdserverpb__WatchResponse *reply)
{
    const char *reason = reply->cancel_reason[0] == '\0' ? "no reason given" : reply->cancel_reason;

    if (reply->compact_revision == 0)
        session_lose(session, "the watch was cancelled: %s", reason);
    else
        load(session);
}

static void on_response(void *context, struct berth_rpc_call *call, const Etcdserverpb__WatchResponse *reply)
{
    struct session *session = context;

    if (session->is_over || call != session->watch)
        return;
    if (reply->canceled) {
        finish_watch(session);
        on_cancelled(session, reply);
        return;
    }
    if (reply->created)
        on_created(session);
    for (size_t i = 0; i < reply->n_events && !session->is_over; i++)
        if (!gather(session, reply->events[i]))
            return;
    if (!session->is_over && !reply->fragment)
        flush(session);
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)trailers, (void)count;
    if (session->is_over || call != session->watch)
        return;
    session->watch = NULL;
    session_lose(session, "the watch ended: %s: %s", berth_code_name(code), message);
}

static const struct etcdserverpb_watch_watch_events watch_events = {.on_message = on_response,
                                                                    .on_end = on_end};

static enum berth_code ask(struct session *session)
{
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;

    create.key = layout_bytes(&session->state->layout.begin);
    create.range_end = layout_bytes(&session->state->layout.end);
    create.start_revision = session->state->mirror.revision + 1;
    create.fragment = true;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    return etcdserverpb_watch_watch_send_request(session->watch, &request);
}

static void start_watch(struct session *session)
{
    struct berth_rpc_call_options options = session_call_options(session);
    struct berth_error err;

    session->told_revision = session->state->mirror.revision;
    await_answer(session, "starting the watch");
    if (etcdserverpb_watch_watch_start(session->channel, &options, &watch_events, session, &session->watch,
                                       &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
    else if (ask(session) != BERTH_OK)
        session_lose(session, "out of memory");
}

static void ask_for_page(struct session *session);

static bool keep_entry(struct session *session, const struct layout_name *name, const Mvccpb__KeyValue *pair)
{
    struct mirror *mirror = &session->loading;
    struct mirror_entry *entry = mirror_entry_create(name, pair->value.data, pair->value.len);

    if (entry == NULL) {
        session_lose(session, "out of memory after %llu entries", (unsigned long long)mirror->count);
        return false;
    }
    free(mirror_put(mirror, entry));
    if (mirror->bytes <= store_mirror_max(session->state))
        return true;
    session_lose(session, "the data needs more memory than max_mirror (%llu bytes)",
                 (unsigned long long)session->state->options.max_mirror);
    return false;
}

static void keep_head(struct mirror *mirror, const Mvccpb__KeyValue *pair)
{
    size_t length = pair->value.len < sizeof(mirror->head) ? pair->value.len : sizeof(mirror->head) - 1;

    mirror->head_revision = pair->mod_revision;
    if (length > 0)
        memcpy(mirror->head, pair->value.data, length);
}

static bool keep(struct session *session, const Mvccpb__KeyValue *pair)
{
    struct layout_name name;

    switch (layout_parse(&session->state->layout, pair->key.data, pair->key.len, &name)) {
    case LAYOUT_HEAD:
        keep_head(&session->loading, pair);
        return true;
    case LAYOUT_ENTRY:
        return keep_entry(session, &name, pair);
    case LAYOUT_NODE:
        session->loading.nodes++;
        return true;
    case LAYOUT_FOREIGN:
        break;
    }
    return true;
}

/* The next page begins with the smallest key after the last one. False if the keys do not advance. */
static bool go_on(struct session *session, const Mvccpb__KeyValue *last)
{
    size_t length = session->next.length < last->key.len ? session->next.length : last->key.len;
    int order = memcmp(last->key.data, session->next.bytes, length);

    if (order < 0 || (order == 0 && last->key.len < session->next.length))
        return false;
    /* None of our keys is that long, so all keys up to the next one of that length can be skipped. */
    session->next.length = last->key.len;
    if (session->next.length > sizeof(session->next.bytes) - 1)
        session->next.length = sizeof(session->next.bytes) - 1;
    memcpy(session->next.bytes, last->key.data, session->next.length);
    if (session->next.length == last->key.len)
        session->next.bytes[session->next.length++] = '\0';
    else
        session->next.bytes[session->next.length++] = 0xff;
    return true;
}

static void adjust_page(struct session *session, const Etcdserverpb__RangeResponse *reply)
{
    size_t bytes = 0;

    for (size_t i = 0; i < reply->n_kvs; i++)
        bytes += reply->kvs[i]->key.len + reply->kvs[i]->value.len;
    if (bytes > WANTED_PAGE_BYTES && session->page_size > 1)
        session->page_size /= 2;
    else if (bytes < WANTED_PAGE_BYTES / 4 && session->page_size < LARGEST_PAGE)
        session->page_size *= 2;
}

static void finish_load(struct session *session)
{
    struct mirror loaded = session->loading;

    session->loading = (struct mirror){0};
    session->events->on_loaded(session->self, &loaded);
    if (!session->is_over)
        start_watch(session);
}

static void on_page(void *context, struct berth_rpc_call *call, const Etcdserverpb__RangeResponse *reply)
{
    struct session *session = context;

    (void)call;
    if (session->is_over)
        return;
    if (session->loading.revision == 0 && reply->header != NULL) {
        session->loading.revision = reply->header->revision;
        session->loading.cluster = reply->header->cluster_id;
    }
    for (size_t i = 0; i < reply->n_kvs; i++)
        if (!keep(session, reply->kvs[i]))
            return;
    session->has_answered = true;
    session->has_more = reply->more;
    if (session->loading.revision <= 0 || session->loading.revision == INT64_MAX ||
        (reply->more && reply->n_kvs == 0) || (reply->more && !go_on(session, reply->kvs[reply->n_kvs - 1])))
        session_lose(session, "invalid answer: no revision, or pages that do not advance");
    else
        adjust_page(session, reply);
}

static void on_page_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                        const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (session->is_over)
        return;
    if (code == BERTH_RESOURCE_EXHAUSTED && !session->has_answered && session->page_size > 1) {
        session->page_size /= 2;
        ask_for_page(session);
    } else if (code != BERTH_OK || !session->has_answered) {
        session_lose(session, "%s", message);
    } else if (session->has_more) {
        ask_for_page(session);
    } else {
        finish_load(session);
    }
}

static const struct etcdserverpb_kv_range_events page_events = {.on_message = on_page, .on_end = on_page_end};

static void ask_for_page(struct session *session)
{
    struct berth_rpc_call_options options = session_call_options(session);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct berth_error err;

    await_answer(session, "loading");
    session->has_answered = false;
    request.key = layout_bytes(&session->next);
    request.range_end = layout_bytes(&session->state->layout.end);
    request.limit = session->page_size;
    request.revision = session->loading.revision;
    if (etcdserverpb_kv_range_start(session->channel, &options, &request, &page_events, session, NULL,
                                    &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
}

static void load(struct session *session)
{
    mirror_finish(&session->loading);
    session->loading = (struct mirror){0};
    session->next = session->state->layout.begin;
    session->page_size = FIRST_PAGE;
    ask_for_page(session);
}

/* Does the head, at the mirror's revision, match the mirror? Then this cluster continues its history. Without
 * a head, entries made by other means prove nothing and are loaded again, unless that would lose track of a
 * batch in flight. */
static bool is_as_known(const struct store_state *state, const Etcdserverpb__RangeResponse *reply)
{
    const Mvccpb__KeyValue *head = reply->n_kvs == 0 ? NULL : reply->kvs[0];
    const struct mirror *mirror = &state->mirror;
    size_t length = strlen(mirror->head);

    if (reply->header == NULL || reply->header->cluster_id != mirror->cluster)
        return false;
    if (mirror->head_revision == 0)
        return head == NULL && (mirror->count == 0 || state->has_open_batch);
    return head != NULL && head->mod_revision == mirror->head_revision && head->value.len >= length &&
           memcmp(head->value.data, mirror->head, length) == 0;
}

static void on_head(void *context, struct berth_rpc_call *call, const Etcdserverpb__RangeResponse *reply)
{
    struct session *session = context;

    (void)call;
    if (!session->is_over)
        session->is_as_known = is_as_known(session->state, reply);
}

static void on_head_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                        const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (session->is_over)
        return;
    /* Compacted, or a revision that this etcd has not reached: it has a different history. */
    if (code == BERTH_OUT_OF_RANGE || (code == BERTH_OK && !session->is_as_known))
        load(session);
    else if (code == BERTH_OK)
        start_watch(session);
    else
        session_lose(session, "%s", message);
}

static const struct etcdserverpb_kv_range_events head_events = {.on_message = on_head, .on_end = on_head_end};

static void ask_for_head(struct session *session)
{
    struct berth_rpc_call_options options = session_call_options(session);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct berth_error err;

    await_answer(session, "reading the head");
    session->is_as_known = false;
    request.key = layout_bytes(&session->state->layout.head);
    request.revision = session->state->mirror.revision;
    if (etcdserverpb_kv_range_start(session->channel, &options, &request, &head_events, session, NULL,
                                    &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
}

static void begin(struct session *session)
{
    if (session->state->mirror.revision != 0)
        ask_for_head(session);
    else
        load(session);
}

static void on_token(void *context, struct berth_rpc_call *call,
                     const Etcdserverpb__AuthenticateResponse *reply)
{
    struct session *session = context;

    (void)call;
    if (session->is_over || session->token != NULL)
        return;
    session->token = strdup(reply->token);
    if (session->token != NULL)
        session->metadata[1] = (struct berth_metadata){"token", session->token, strlen(session->token)};
}

static void on_token_end(void *context, struct berth_rpc_call *call, enum berth_code code,
                         const char *message, const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (session->is_over)
        return;
    if (code != BERTH_OK || session->token == NULL)
        session_lose(session, "cannot log in as user %s: %s", session->state->options.user,
                     code != BERTH_OK ? message : "out of memory");
    else
        begin(session);
}

static const struct etcdserverpb_auth_authenticate_events token_events = {.on_message = on_token,
                                                                          .on_end = on_token_end};

static void authenticate(struct session *session)
{
    struct berth_rpc_call_options options = session_call_options(session);
    Etcdserverpb__AuthenticateRequest request = ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;
    struct berth_error err;

    await_answer(session, "logging in");
    request.name = (char *)session->state->options.user;
    request.password = (char *)session->state->options.password;
    if (etcdserverpb_auth_authenticate_start(session->channel, &options, &request, &token_events, session,
                                             NULL, &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
}

static enum berth_code open_channel(struct session *session, struct berth_error *err)
{
    const struct store_options *options = &session->state->options;
    struct berth_address address;
    struct berth_rpc_channel_options where = {
        .size = sizeof(where),
        .address = session->endpoint,
        .connect_timeout_ms = (uint32_t)options->dial_timeout_ms,
        .max_recv_message_bytes = ANSWER_MAX(options->max_request),
        .max_send_message_bytes = options->max_request + 64 * 1024,
    };

    if (berth_address_parse(session->endpoint, &address, err) == BERTH_OK && address.path == NULL)
        where.tls = options->tls;
    return berth_rpc_channel_create(session->state->host->loop, &where, &session->channel, err);
}

struct session *session_create(const struct store_state *state, const char *endpoint,
                               const struct session_events *events, void *self)
{
    struct session *session = calloc(1, sizeof(*session));

    if (session == NULL)
        return NULL;
    session->state = state;
    session->events = events;
    session->self = self;
    session->endpoint = endpoint;
    session->metadata[0] = (struct berth_metadata){"hasleader", "true", 4};
    uv_timer_init(state->host->loop, &session->timer);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_timer_start(&session->timer, on_patience_lost, 0, 0);
    uv_timer_stop(&session->timer);
    session->timer.data = session;
    session->open_handles = 1;
    return session;
}

void session_dial(struct session *session)
{
    struct berth_error err;

    if (open_channel(session, &err) != BERTH_OK) {
        session_lose(session, "%s", err.message);
        return;
    }
    session->open_handles++;
    if (session->state->options.user != NULL)
        authenticate(session);
    else
        begin(session);
}

struct berth_rpc_channel *session_channel(const struct session *session)
{
    return session->channel;
}
