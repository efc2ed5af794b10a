/* SPDX-License-Identifier: Apache-2.0 */
#include "listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/namespace.h>
#include <berth/protobuf.h>
#include <berth/wire.h>

#define SERVICE(name) Containerd__Services__Containers__V1__##name

/* Maximum cost of a turn, and the cost of a container beyond its bytes. */
#define TURN_COST ((size_t)4 * 1024 * 1024)
#define VISIT_COST ((size_t)4096)

/* The state of a call: its filters and the last id visited, however slowly the caller reads. */
struct listing {
    /* NULL: it has ended, and the posted turn frees this. */
    struct berth_call *call;
    bool is_stream;
    size_t filter_count;
    char **filters;
    char last[BERTH_IDENTIFIER_MAX + 1];
    /* The store's message about the first damaged container; the others are listed before it is reported. */
    bool met_damage;
    char *damage;

    /* Why this turn ended before the end of the namespace. */
    size_t cost;
    bool is_over_cost, is_full, is_too_long;
    /* A turn has been posted. */
    bool is_posted;
    /* ListStream: the result of sending the last message. */
    enum berth_code sent;

    /* The reply of List; each message of ListStream. */
    struct berth_list_reply reply;
};

static void destroy(struct listing *listing)
{
    for (size_t i = 0; listing->filters != NULL && i < listing->filter_count; i++)
        free(listing->filters[i]);
    free(listing->filters);
    free(listing->damage);
    berth_wire_finish(&listing->reply.wire);
    free(listing);
}

/* One empty filter is enough, so the memory kept is bounded by the limits on filters. */
static size_t count_filters(const SERVICE(ListContainersRequest) * request)
{
    size_t count = 0;

    for (size_t i = 0; i < request->n_filters; i++)
        count += *request->filters[i] != '\0';
    return count + (count < request->n_filters);
}

static bool keep_filters(struct listing *listing, const SERVICE(ListContainersRequest) * request)
{
    size_t count = count_filters(request);
    bool has_empty = false;

    listing->filters = calloc(count + 1, sizeof(*listing->filters));
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

static struct listing *make(struct berth_call *call, const SERVICE(ListContainersRequest) * request)
{
    const struct containers *containers = call->instance;
    struct listing *listing = calloc(1, sizeof(*listing));

    if (listing == NULL)
        return NULL;
    listing->call = call;
    listing->reply.max_bytes = containers->max_list_bytes;
    if (keep_filters(listing, request))
        return listing;
    destroy(listing);
    return NULL;
}

/* Refuses filters in containerd's form: the sentence, followed by the class of the error. */
static void refuse(struct berth_call *call, enum berth_code code, const struct berth_error *err)
{
    char sentence[BERTH_ERROR_MAX + 32];

    snprintf(sentence, sizeof(sentence), "%s%s", err->message,
             strncmp(err->message, "filters: ", 9) == 0 ? ": invalid argument" : "");
    berth_call_finish(call, code, sentence);
}

/* @return whether the turn may visit another. */
static bool pass(void *context, const struct berth_store_entry *container)
{
    struct listing *listing = context;
    size_t length = container->key.length;

    /* Longer ids could not have been stored. */
    if (length > BERTH_IDENTIFIER_MAX)
        length = BERTH_IDENTIFIER_MAX;
    memcpy(listing->last, container->key.data, length);
    listing->last[length] = '\0';
    listing->cost += VISIT_COST + container->value.length;
    listing->is_over_cost = listing->cost >= TURN_COST;
    return !listing->is_over_cost;
}

static bool append(void *context, const struct berth_store_entry *container)
{
    struct listing *listing = context;

    if (!berth_list_reply_add(&listing->reply, container->value.data, container->value.length)) {
        listing->is_too_long = true;
        return false;
    }
    return pass(listing, container);
}

static bool send_next(void *context, const struct berth_store_entry *container)
{
    struct listing *listing = context;
    struct berth_wire_buffer *message = &listing->reply.wire;

    listing->is_full = !berth_call_can_send(listing->call);
    if (listing->is_full)
        return false;
    message->length = 0;
    berth_wire_put_bytes(message, 1, container->value.data, container->value.length);
    listing->sent = message->failed ? BERTH_RESOURCE_EXHAUSTED
                                    : berth_call_send(listing->call, message->bytes, message->length);
    return pass(listing, container) && listing->sent == BERTH_OK;
}

static void keep_damage(struct listing *listing, const struct berth_error *err)
{
    if (listing->met_damage)
        return;
    listing->met_damage = true;
    listing->damage = strdup(err->message);
}

static void finish_too_long(struct listing *listing)
{
    const struct berth_list_reply *reply = &listing->reply;
    char sentence[256];

    snprintf(sentence, sizeof(sentence),
             "a list of more than %zu containers exceeds max_list_bytes (%zu): narrow the filters, or use "
             "ListStream, which sends each in a message of its own",
             reply->count, reply->max_bytes);
    berth_call_finish(listing->call, BERTH_RESOURCE_EXHAUSTED, sentence);
}

static void finish(struct listing *listing)
{
    /* It is sent once the listing is gone. */
    struct berth_wire_buffer reply = listing->reply.wire;

    if (listing->met_damage)
        berth_call_finish(listing->call, BERTH_DATA_LOSS,
                          listing->damage != NULL ? listing->damage : "a container is damaged in the store");
    else if (listing->is_stream)
        berth_call_finish(listing->call, BERTH_OK, NULL);
    else {
        listing->reply.wire = (struct berth_wire_buffer){0};
        berth_call_answer_wire(listing->call, &reply, BERTH_OK, NULL);
    }
}

static void run_posted(void *data)
{
    struct listing *listing = data;

    listing->is_posted = false;
    if (listing->call != NULL)
        listing_go_on(listing->call);
    else
        destroy(listing);
}

static void post(struct listing *listing)
{
    const struct containers *containers = listing->call->instance;
    enum berth_code code = berth_post(containers->host, run_posted, listing);

    listing->is_posted = code == BERTH_OK;
    if (code != BERTH_OK)
        berth_call_finish(listing->call, code, "cannot continue the list of containers; call again");
}

/* Finishing the call frees the listing. */
void listing_go_on(struct berth_call *call)
{
    const struct containers *containers = call->instance;
    struct listing *listing = call->state;
    struct berth_containers_query query = {
        .size = sizeof(query),
        .filters = (const char *const *)listing->filters,
        .filter_count = listing->filter_count,
        .after = berth_store_text(listing->last),
        .on_other = pass,
    };
    struct berth_error err;
    enum berth_code code;

    if (listing->is_posted)
        return;
    listing->cost = 0;
    listing->is_over_cost = listing->is_full = false;
    code = berth_call_namespace(call, &query.namespace_name, &err);
    if (code == BERTH_OK)
        code = containers->service->list(containers->instance, NULL, &query,
                                         listing->is_stream ? send_next : append, listing, &err);
    if (listing->is_stream)
        berth_wire_finish(&listing->reply.wire);
    if (code == BERTH_DATA_LOSS)
        keep_damage(listing, &err);
    if (code != BERTH_OK && code != BERTH_DATA_LOSS)
        refuse(call, code, &err);
    else if (listing->sent != BERTH_OK)
        berth_call_finish_sent(call, listing->sent);
    else if (listing->is_too_long)
        finish_too_long(listing);
    else if (listing->is_over_cost)
        post(listing);
    else if (!listing->is_full)
        finish(listing);
}

static void begin(struct berth_call *call, const SERVICE(ListContainersRequest) * request, bool is_stream)
{
    struct listing *listing = make(call, request);

    call->state = listing;
    if (listing == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of containers");
        return;
    }
    listing->is_stream = is_stream;
    listing_go_on(call);
}

void listing_begin(struct berth_call *call, const SERVICE(ListContainersRequest) * request)
{
    begin(call, request, false);
}

void listing_begin_stream(struct berth_call *call, const SERVICE(ListContainersRequest) * request)
{
    begin(call, request, true);
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
