/* SPDX-License-Identifier: Apache-2.0 */
#include "listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/answer.h>
#include <berth/namespace.h>
#include <berth/protobuf.h>
#include <berth/wire.h>

/* Maximum cost of a turn, and the cost of a lease beyond its bytes. */
#define TURN_COST ((size_t)4 * 1024 * 1024)
#define VISIT_COST ((size_t)4096)

/* The state of a call: its filters and the last id visited. */
struct listing {
    /* NULL: it has ended, and the posted turn frees this. */
    struct berth_call *call;
    size_t filter_count;
    char **filters;
    char last[BERTH_LEASE_ID_MAX + 1];
    /* Why this turn ended before the end of the namespace. */
    size_t cost;
    bool is_over_cost, is_too_long;
    /* A turn has been posted. */
    bool is_posted;
    struct berth_list_reply reply;
};

static void destroy(struct listing *listing)
{
    for (size_t i = 0; listing->filters != NULL && i < listing->filter_count; i++)
        free(listing->filters[i]);
    free(listing->filters);
    berth_wire_finish(&listing->reply.wire);
    free(listing);
}

/* One empty filter is enough, so the memory kept is bounded by the limits on filters. */
static bool keep_filters(struct listing *listing,
                         const Containerd__Services__Leases__V1__ListRequest *request)
{
    size_t count = 1;
    bool has_empty = false;

    for (size_t i = 0; i < request->n_filters; i++)
        count += *request->filters[i] != '\0';
    listing->filters = calloc(count, sizeof(*listing->filters));
    if (listing->filters == NULL)
        return false;
    for (size_t i = 0; i < request->n_filters; i++) {
        bool is_empty = *request->filters[i] == '\0';

        if (is_empty && has_empty)
            continue;
        has_empty = has_empty || is_empty;
        listing->filters[listing->filter_count] = strdup(request->filters[i]);
        if (listing->filters[listing->filter_count++] == NULL)
            return false;
    }
    return true;
}

static struct listing *make(struct berth_call *call,
                            const Containerd__Services__Leases__V1__ListRequest *request)
{
    const struct leases *leases = call->instance;
    struct listing *listing = calloc(1, sizeof(*listing));

    if (listing == NULL)
        return NULL;
    listing->call = call;
    listing->reply.max_bytes = leases->max_list_bytes;
    if (keep_filters(listing, request))
        return listing;
    destroy(listing);
    return NULL;
}

/* @return whether the turn may visit another. */
static bool pass(void *context, const struct berth_store_entry *lease)
{
    struct listing *listing = context;
    size_t length = lease->key.length;

    /* Longer ids could not have been stored. */
    if (length > BERTH_LEASE_ID_MAX)
        length = BERTH_LEASE_ID_MAX;
    memcpy(listing->last, lease->key.data, length);
    listing->last[length] = '\0';
    listing->cost += VISIT_COST + lease->value.length;
    listing->is_over_cost = listing->cost >= TURN_COST;
    return !listing->is_over_cost;
}

static bool append(void *context, const struct berth_store_entry *lease)
{
    struct listing *listing = context;

    if (!berth_list_reply_add(&listing->reply, lease->value.data, lease->value.length)) {
        listing->is_too_long = true;
        return false;
    }
    return pass(listing, lease);
}

/* Malformed filters are refused in containerd's form: the message, then the class of the error. */
static void refuse(struct berth_call *call, enum berth_code code, const struct berth_error *err)
{
    char sentence[BERTH_ERROR_MAX + 32];

    snprintf(sentence, sizeof(sentence), "%s%s", err->message,
             code == BERTH_INVALID_ARGUMENT ? ": invalid argument" : "");
    berth_call_finish(call, code, sentence);
}

static void finish(struct listing *listing)
{
    /* It is sent once the listing is gone. */
    struct berth_wire_buffer reply = listing->reply.wire;

    listing->reply.wire = (struct berth_wire_buffer){0};
    berth_call_answer_wire(listing->call, &reply, BERTH_OK, NULL);
}

static void finish_too_long(struct listing *listing)
{
    struct berth_error err;

    berth_error_set(&err, BERTH_RESOURCE_EXHAUSTED,
                    "the list exceeds max_list_bytes (%zu): narrow the filters", listing->reply.max_bytes);
    berth_call_finish(listing->call, BERTH_RESOURCE_EXHAUSTED, err.message);
}

static void go_on(struct listing *listing);

static void run_posted(void *data)
{
    struct listing *listing = data;

    listing->is_posted = false;
    if (listing->call != NULL)
        go_on(listing);
    else
        destroy(listing);
}

static void post(struct listing *listing)
{
    const struct leases *leases = listing->call->instance;
    enum berth_code code = berth_post(leases->host, run_posted, listing);

    listing->is_posted = code == BERTH_OK;
    if (code != BERTH_OK)
        berth_call_finish(listing->call, code, "cannot continue the list of leases; call again");
}

/* Finishing the call frees the listing. */
static void go_on(struct listing *listing)
{
    struct berth_call *call = listing->call;
    const struct leases *leases = call->instance;
    struct berth_leases_query query = {
        .size = sizeof(query),
        .filters = (const char *const *)listing->filters,
        .filter_count = listing->filter_count,
        .after = berth_store_text(listing->last),
        .on_other = pass,
    };
    struct berth_error err = {""};
    enum berth_code code = berth_call_namespace(call, &query.namespace_name, &err);

    listing->cost = 0;
    listing->is_over_cost = false;
    if (code != BERTH_OK) {
        berth_call_finish(call, code, err.message);
        return;
    }
    code = leases->service->list_part(leases->instance, NULL, &query, append, listing, &err);
    if (code != BERTH_OK)
        refuse(call, code, &err);
    else if (listing->is_too_long)
        finish_too_long(listing);
    else if (listing->is_over_cost)
        post(listing);
    else
        finish(listing);
}

void listing_begin(struct berth_call *call, const Containerd__Services__Leases__V1__ListRequest *request)
{
    struct listing *listing = make(call, request);

    call->state = listing;
    if (listing == NULL)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of leases");
    else
        go_on(listing);
}

void listing_on_end(struct berth_call *call, enum berth_code code)
{
    struct listing *listing = call->state;

    if (listing == NULL)
        return;
    listing->call = NULL;
    if (!listing->is_posted)
        destroy(listing);
}
