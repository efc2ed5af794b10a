/* SPDX-License-Identifier: Apache-2.0 */
/* The containers of a namespace that filters let through, from any id on. */
#include "service.h"

#include "search.h"

struct listing {
    const struct berth_store *store;
    struct berth_store_txn *txn;
    const char *bucket;
    struct search search;
    bool (*on_container)(void *context, const struct berth_store_entry *container);
    void *context;
};

/* Whether a damaged container would match is not known: it is passed over, and the end is no good one. */
static enum berth_code visit(struct listing *listing, struct berth_store_bytes after, struct berth_error *err)
{
    struct berth_store_entry entry = {.key = after};
    enum berth_code end = BERTH_OK;
    bool goes_on = true;

    while (goes_on) {
        struct berth_error why;
        bool matches;
        enum berth_code code = listing->store->next(listing->txn, listing->bucket, entry.key, &entry, &why);

        if (code == BERTH_NOT_FOUND)
            return end;
        if (code != BERTH_OK && end == BERTH_OK)
            end = berth_error_set(err, code, "%s", why.message);
        if (code == BERTH_DATA_LOSS && entry.key.length > 0)
            continue;
        if (code != BERTH_OK)
            return end;
        code = search_match(&listing->search, entry.value, &matches, err);
        if (code != BERTH_OK)
            return code;
        if (matches)
            goes_on = listing->on_container(listing->context, &entry);
    }
    return end;
}

static enum berth_code visit_in_snapshot(struct listing *listing, void *store_instance,
                                         struct berth_store_bytes after, struct berth_error *err)
{
    enum berth_code code;

    if (listing->txn != NULL)
        return visit(listing, after, err);
    code = listing->store->begin(store_instance, &listing->txn, err);
    if (code != BERTH_OK)
        return code;
    code = visit(listing, after, err);
    listing->store->end(listing->txn);
    return code;
}

enum berth_code containers_list(void *instance, struct berth_store_txn *txn,
                                const struct berth_containers_query *query,
                                bool (*on_container)(void *context,
                                                     const struct berth_store_entry *container),
                                void *context, struct berth_error *err)
{
    const struct containers_service *service = instance;
    char bucket[CONTAINERS_BUCKET_SIZE];
    struct listing listing = {
        .store = service->store,
        .txn = txn,
        .bucket = bucket,
        .on_container = on_container,
        .context = context,
    };
    enum berth_code code = containers_bucket(query->namespace_name, bucket, err);

    if (code == BERTH_OK)
        code = search_init(&listing.search, query->filters, query->filter_count, err);
    if (code == BERTH_OK)
        code = visit_in_snapshot(&listing, service->store_instance, query->after, err);
    search_finish(&listing.search);
    return code;
}
