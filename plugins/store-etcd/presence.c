/* SPDX-License-Identifier: Apache-2.0 */
/* Shows that this daemon is there: a key under a lease that is kept alive, which also is the connection's
 * heartbeat. A cluster that grants no lease is still a good store. */
#include "session.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "store.h"

/* How much sooner than it runs out a lease is renewed. */
#define BEATS_IN_A_LEASE 3

/* It is not there, or does not know us any more. */
static bool is_lost(enum berth_code code)
{
    return code == BERTH_UNAVAILABLE || code == BERTH_UNAUTHENTICATED;
}

/* Without a lease for now; the next beat tries again. */
static void do_without(struct session *session, enum berth_code code, const char *message)
{
    session->awaits_beat = false;
    session->lease = 0;
    if (code != BERTH_OK)
        room_on_presence(session->store, code, message);
    if (!session->was_refused && !session->store->is_ending)
        berth_log(session->store->host, BERTH_LOG_WARN,
                  "this daemon cannot be seen in etcd: %s endpoint=%s code=%s", message, session->endpoint,
                  berth_code_name(code));
    session->was_refused = true;
}

static void on_renewed(void *context, struct berth_rpc_call *call,
                       const Etcdserverpb__LeaseKeepAliveResponse *reply)
{
    struct session *session = context;

    if (session->store == NULL || call != session->keepalive)
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
    if (session->store == NULL || call != session->keepalive)
        return;
    session->keepalive = NULL;
    session_lose(session, "it ended the lease's renewal: %s: %s", berth_code_name(code), message);
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
        session_lose(session, "no memory to renew the lease");
}

static void on_put_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                       const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (session->store == NULL)
        return;
    if (code == BERTH_OK)
        room_on_presence(session->store, code, message);
    if (is_lost(code))
        session_lose(session, "%s", message);
    else if (code != BERTH_OK)
        do_without(session, code, message);
    else
        session->awaits_beat = false;
}

static const struct etcdserverpb_kv_put_events put_events = {.on_end = on_put_end};

/* The key is there, and stays: it was only asked whether there is space again. */
static void on_probe_end(void *context, struct berth_rpc_call *call, enum berth_code code,
                         const char *message, const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (session->store != NULL)
        room_on_presence(session->store, code, message);
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
             session->store->host->inspect->daemon->version);
    layout_node_key(&session->store->layout, session->store->id, &key);
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
    if (session->store != NULL)
        session->lease = reply->id;
}

static void on_grant_end(void *context, struct berth_rpc_call *call, enum berth_code code,
                         const char *message, const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (session->store == NULL)
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

    request.ttl = (int64_t)(session->store->options.lease_ttl_ms + 999) / 1000;
    if (etcdserverpb_lease_lease_grant_start(session->channel, &options, &request, &grant_events, session,
                                             NULL, &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
}

/* A loop that was held up may have the answer and not have read it yet. */
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
                     (unsigned long long)session->store->options.lease_ttl_ms / BEATS_IN_A_LEASE);
        return;
    }
    session->awaits_beat = true;
    if (session->lease == 0) {
        ask_for_lease(session);
        return;
    }
    if (berth_store_health_has(&session->store->health, STORE_SPACE))
        put_key(session, &probe_events);
    if (session->store != NULL)
        renew(session);
}

void session_be_present(struct session *session)
{
    uint64_t interval = session->store->options.lease_ttl_ms / BEATS_IN_A_LEASE;

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
    if (session->store != NULL)
        session->on_revoked(session);
}

static const struct etcdserverpb_lease_lease_revoke_events revoke_events = {.on_end = on_revoke_end};

/* Who leaves does not wait long to be polite. */
#define REVOKE_TIMEOUT_MS 1000

bool session_revoke(struct session *session, void (*on_revoked)(struct session *session))
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
