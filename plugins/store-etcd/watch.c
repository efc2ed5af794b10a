/* SPDX-License-Identifier: Apache-2.0 */
/* Follows what happens below the prefix, and hands it on revision by revision. */
#include "session.h"

#include "store.h"

/* Who removes all that a mirror may hold by one request needs more than it for a while: each entry's name,
 * and what is noted of its end. No revision of etcd's needs so much. */
#define REVISION_MAX(mirror) (4 * (mirror))

/* False: the session is over. */
static bool flush(struct session *session)
{
    struct revision *revision = session->gathered;

    session->gathered = NULL;
    if (revision == NULL)
        return true;
    session->told_revision = revision->number;
    return store_on_revision(session->store, revision);
}

static bool gather(struct session *session, const Mvccpb__Event *event)
{
    int64_t known = session->gathered == NULL ? session->told_revision : session->gathered->number - 1;
    int64_t number = event->kv == NULL ? 0 : event->kv->mod_revision;

    if (number <= known || number == INT64_MAX) {
        session_lose(session, "it tells of revision %lld after %lld", (long long)number, (long long)known);
        return false;
    }
    if (session->gathered != NULL && number > session->gathered->number && !flush(session))
        return false;
    if (session->gathered == NULL)
        session->gathered = revision_create(number);
    if (session->gathered == NULL || !revision_add(session->gathered, &session->store->layout, event))
        session_lose(session, "no memory for what it tells");
    else if (session->gathered->bytes > session->store->options.max_mirror ||
             session->gathered->memory > REVISION_MAX(session->store->options.max_mirror))
        session_lose(session, "revision %lld alone needs more memory than max_mirror allows",
                     (long long)number);
    return session->store != NULL;
}

static void on_created(struct session *session)
{
    session->is_live = true;
    session_be_present(session);
    /* Being present may have lost it already. */
    if (session->store != NULL)
        store_on_live(session->store);
}

static void on_cancelled(struct session *session, const Etcdserverpb__WatchResponse *reply)
{
    const char *reason = reply->cancel_reason[0] == '\0' ? "without a reason" : reply->cancel_reason;

    if (reply->compact_revision == 0)
        session_lose(session, "it ended the watch: %s", reason);
    else
        session_load(session);
}

static void on_response(void *context, struct berth_rpc_call *call, const Etcdserverpb__WatchResponse *reply)
{
    struct session *session = context;

    if (session->store == NULL || call != session->watch)
        return;
    if (reply->canceled) {
        session_watch_finish(session);
        on_cancelled(session, reply);
        return;
    }
    if (reply->created)
        on_created(session);
    for (size_t i = 0; i < reply->n_events && session->store != NULL; i++)
        if (!gather(session, reply->events[i]))
            return;
    if (session->store != NULL && !reply->fragment)
        flush(session);
}

static void on_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)trailers, (void)count;
    if (session->store == NULL || call != session->watch)
        return;
    session->watch = NULL;
    session_lose(session, "it ended the watch: %s: %s", berth_code_name(code), message);
}

static const struct etcdserverpb_watch_watch_events watch_events = {.on_message = on_response,
                                                                    .on_end = on_end};

static enum berth_code ask(struct session *session)
{
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;

    create.key = layout_bytes(&session->store->layout.begin);
    create.range_end = layout_bytes(&session->store->layout.end);
    create.start_revision = session->store->mirror.revision + 1;
    create.fragment = true;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    return etcdserverpb_watch_watch_send_request(session->watch, &request);
}

void session_watch(struct session *session)
{
    struct berth_rpc_call_options options = session_call_options(session);
    struct berth_error err;

    session->told_revision = session->store->mirror.revision;
    session_await(session, "beginning to watch");
    if (etcdserverpb_watch_watch_start(session->channel, &options, &watch_events, session, &session->watch,
                                       &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
    else if (ask(session) != BERTH_OK)
        session_lose(session, "no memory to ask for a watch");
}

void session_watch_finish(struct session *session)
{
    struct berth_rpc_call *watch = session->watch;

    session->watch = NULL;
    revision_destroy(session->gathered);
    session->gathered = NULL;
    if (watch != NULL)
        berth_rpc_call_cancel(watch);
}
