/* SPDX-License-Identifier: Apache-2.0 */
/* Loads all that lies below the prefix, page by page, as of one revision. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "store.h"

#define FIRST_PAGE 64
#define LARGEST_PAGE 4096
/* A page that is larger halves the next, one that is much smaller doubles it. */
#define WANTED_PAGE_BYTES (4 * 1024 * 1024)

static void ask_for_page(struct session *session);

static bool keep_entry(struct session *session, const struct layout_name *name, const Mvccpb__KeyValue *pair)
{
    struct mirror *mirror = &session->loading;
    struct mirror_entry *entry = mirror_entry_create(name, pair->value.data, pair->value.len);

    if (entry == NULL) {
        session_lose(session, "no memory for %llu entries", (unsigned long long)mirror->count + 1);
        return false;
    }
    free(mirror_put(mirror, entry));
    if (mirror->bytes <= store_mirror_max(session->store))
        return true;
    session_lose(session, "what is there needs more memory than max_mirror allows (%llu bytes)",
                 (unsigned long long)session->store->options.max_mirror);
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

    switch (layout_parse(&session->store->layout, pair->key.data, pair->key.len, &name)) {
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

/* The next page begins with the least key after the last one; false where keys do not go on. */
static bool go_on(struct session *session, const Mvccpb__KeyValue *last)
{
    size_t length = session->next.length < last->key.len ? session->next.length : last->key.len;
    int order = memcmp(last->key.data, session->next.bytes, length);

    if (order < 0 || (order == 0 && last->key.len < session->next.length))
        return false;
    /* No key of ours is so long: what comes behind it may be passed over up to the next of that length. */
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
    store_on_loaded(session->store, &loaded);
    session_watch(session);
}

static void on_page(void *context, struct berth_rpc_call *call, const Etcdserverpb__RangeResponse *reply)
{
    struct session *session = context;

    (void)call;
    if (session->store == NULL)
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
        session_lose(session, "what it answers is no etcd's: no revision, or pages that do not go on");
    else
        adjust_page(session, reply);
}

static void on_page_end(void *context, struct berth_rpc_call *call, enum berth_code code, const char *message,
                        const struct berth_metadata *trailers, size_t count)
{
    struct session *session = context;

    (void)call, (void)trailers, (void)count;
    if (session->store == NULL)
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

    session_await(session, "loading");
    session->has_answered = false;
    request.key = layout_bytes(&session->next);
    request.range_end = layout_bytes(&session->store->layout.end);
    request.limit = session->page_size;
    request.revision = session->loading.revision;
    if (etcdserverpb_kv_range_start(session->channel, &options, &request, &page_events, session, NULL,
                                    &err) != BERTH_OK)
        session_lose(session, "%s", err.message);
}

void session_load(struct session *session)
{
    mirror_finish(&session->loading);
    session->loading = (struct mirror){0};
    session->next = session->store->layout.begin;
    session->page_size = FIRST_PAGE;
    ask_for_page(session);
}
