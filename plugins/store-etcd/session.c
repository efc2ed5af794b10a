/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to one member of etcd: says who we are, finds out whether what the mirror knows still holds,
 * loads or goes on. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include <berth/address.h>

#include "store.h"

/* An answer may hold as much as etcd takes in a request, and what it adds. */
#define ANSWER_MAX(request) ((request)*3 < (16u << 20) ? (16u << 20) : (request)*3)

static void free_when_closed(struct session *session)
{
    struct store *owner = session->owner;

    if (--session->open_handles > 0)
        return;
    mirror_finish(&session->loading);
    free(session->token);
    free(session);
    store_on_session_closed(owner);
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
    session->store = NULL;
    session_watch_finish(session);
    uv_close((uv_handle_t *)&session->timer, on_timer_closed);
    if (session->channel != NULL)
        berth_rpc_channel_close(session->channel, on_channel_closed, session);
}

void session_lose(struct session *session, const char *format, ...)
{
    struct store *store = session->store;
    char reason[384];
    va_list arguments;

    if (store == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    session_close(session);
    store_on_lost(store, session->is_live, reason);
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
                 (unsigned long long)session->store->options.dial_timeout_ms, session->step);
}

void session_await(struct session *session, const char *step)
{
    session->step = step;
    uv_timer_start(&session->timer, on_patience_lost, session->store->options.dial_timeout_ms, 0);
}

/* Is the head, at the mirror's revision, what the mirror says? Then its history is this cluster's. Where
 * there was none yet, entries made by hand tell nothing and are loaded anew; but not at the cost of a batch's
 * trace. */
static bool is_as_known(const struct store *store, const Etcdserverpb__RangeResponse *reply)
{
    const Mvccpb__KeyValue *head = reply->n_kvs == 0 ? NULL : reply->kvs[0];
    const struct mirror *mirror = &store->mirror;
    size_t length = strlen(mirror->head);

    if (reply->header == NULL || reply->header->cluster_id != mirror->cluster)
        return false;
    if (mirror->head_revision == 0)
        return head == NULL && (mirror->count == 0 || commit_is_open(&store->commit));
    return head != NULL && head->mod_revision == mirror->head_revision && head->value.len >= length &&
           memcmp(head->value.data, mirror->head, length) == 0;
}

static void on_head(void *context, struct berth_rpc_call *call, const Etcdserverpb__RangeResponse *reply)
{
    struct session *session = context;

    (void)call;
    if (session->store != NULL)
        session->is_as_known = is_as_known(session->store, reply);
}

static void on_head_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                        const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (session->store == NULL)
        return;
    /* Compacted, or a revision that this etcd has not come to: its history is another one. */
    if (code == BERTH_OUT_OF_RANGE || (code == BERTH_OK && !session->is_as_known))
        session_load(session);
    else if (code == BERTH_OK)
        session_watch(session);
    else
        session_lose(session, "%s", message);
}

static const struct etcdserverpb_kv_range_events head_events = {.on_message = on_head, .on_end = on_head_end};

static void ask_for_head(struct session *session)
{
    struct berth_rpc_call_options options = session_call_options(session);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct berth_error err;

    session_await(session, "asking where it stands");
    session->is_as_known = false;
    request.key = layout_bytes(&session->store->layout.head);
    request.revision = session->store->mirror.revision;
    if (etcdserverpb_kv_range_start(session->channel, &options, &request, &head_events, session, NULL,
                                    &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
}

static void begin(struct session *session)
{
    if (session->store->is_loaded)
        ask_for_head(session);
    else
        session_load(session);
}

static void on_token(void *context, struct berth_rpc_call *call,
                     const Etcdserverpb__AuthenticateResponse *reply)
{
    struct session *session = context;

    (void)call;
    if (session->store == NULL || session->token != NULL)
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
    if (session->store == NULL)
        return;
    if (code != BERTH_OK || session->token == NULL)
        session_lose(session, "as user %s: %s", session->store->options.user,
                     code != BERTH_OK ? message : "no memory for the token");
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

    session_await(session, "logging in");
    request.name = (char *)session->store->options.user;
    request.password = (char *)session->store->options.password;
    if (etcdserverpb_auth_authenticate_start(session->channel, &options, &request, &token_events, session,
                                             NULL, &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
}

static enum berth_code open_channel(struct session *session, struct berth_error *err)
{
    const struct store_options *options = &session->store->options;
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
    return berth_rpc_channel_create(session->store->host->loop, &where, &session->channel, err);
}

static void dial(struct session *session)
{
    struct berth_error err;

    if (open_channel(session, &err) != BERTH_OK) {
        session_lose(session, "%s", err.message);
        return;
    }
    session->open_handles++;
    if (session->store->options.user != NULL)
        authenticate(session);
    else
        begin(session);
}

void session_start(struct store *store, const char *endpoint)
{
    struct session *session = calloc(1, sizeof(*session));

    if (session == NULL) {
        store_on_lost(store, false, "no memory for a connection");
        return;
    }
    session->store = session->owner = store;
    session->endpoint = endpoint;
    session->metadata[0] = (struct berth_metadata){"hasleader", "true", 4};
    uv_timer_init(store->host->loop, &session->timer);
    session->timer.data = session;
    session->open_handles = 1;
    store->sessions++;
    store->session = session;
    dial(session);
}
