/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events from and to a worker. It may have a bounded number of bytes of them waiting; a subscription that
 * would need more is ended, as that of a slow client of the events service is.
 */
#include <stdlib.h>
#include <string.h>

#include <core/wire/event.h>

#include "asked.h"
#include "kinds.h"

struct crossing_subscription {
    struct crossing *crossing;
    /** As the worker calls it. */
    uint32_t number;
    const struct berth_exchange *exchange;
    void *instance;
    struct berth_subscription *subscription;
};

static struct crossing_subscription **place_of(struct used *used, uint32_t number)
{
    for (size_t i = 0; i < ASK_SUBSCRIPTIONS_MAX; i++)
        if (used->subscriptions[i] != NULL && used->subscriptions[i]->number == number)
            return &used->subscriptions[i];
    return NULL;
}

static void end_subscription(struct crossing_subscription *subscription)
{
    struct crossing_subscription **place = place_of(&subscription->crossing->used, subscription->number);

    if (place != NULL)
        *place = NULL;
    subscription->exchange->unsubscribe(subscription->instance, subscription->subscription);
    free(subscription);
}

static void fail_subscription(struct crossing_subscription *subscription, enum berth_code code,
                              const char *message)
{
    struct packet_writer *writer =
        channel_write(subscription->crossing->channel, subscription->crossing->number);

    packet_begin(writer, PACKET_EVENTS_ENDED, 0, 0);
    packet_put_u32(writer, subscription->number);
    packet_put_u32(writer, (uint32_t)code);
    packet_put_text(writer, message);
    packet_end(writer);
    crossing_log(subscription->crossing, BERTH_LOG_WARN, "subscription ended: ", message);
    end_subscription(subscription);
}

/* Of the packet for this event; more than it takes. */
static size_t size_of(const struct berth_event *event)
{
    return 128 + strlen(event->namespace_name) + strlen(event->topic) + strlen(event->type_url) +
           event->value_length + event->envelope_length;
}

static void on_event(void *context, const struct berth_event *event)
{
    struct crossing_subscription *subscription = context;
    struct used *used = &subscription->crossing->used;
    struct packet_writer *writer;
    size_t before, size = size_of(event);

    if (size > ASK_EVENTS_CREDIT - used->events_waiting) {
        fail_subscription(subscription, BERTH_RESOURCE_EXHAUSTED,
                          "more than 16 MiB of events are queued for the process of an isolated plugin");
        return;
    }
    writer = channel_write(subscription->crossing->channel, subscription->crossing->number);
    before = writer->length;
    packet_begin(writer, PACKET_EVENT, 0, 0);
    packet_put_u32(writer, subscription->number);
    event_put_time(writer, event);
    event_put_content(writer, event);
    packet_put_bytes(writer, event->envelope, event->envelope_length);
    packet_end(writer);
    used->events_waiting += writer->length - before;
}

static void on_failed(void *context, enum berth_code code, const char *message)
{
    fail_subscription(context, code, message);
}

void events_take_credit(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    uint32_t bytes = packet_get_u32(reader);

    if (reader->is_bad || bytes > crossing->used.events_waiting)
        channel_break(crossing->channel, "acknowledged more events than it was sent");
    else
        crossing->used.events_waiting -= bytes;
}

void events_end(struct crossing *crossing)
{
    for (size_t i = 0; i < ASK_SUBSCRIPTIONS_MAX; i++)
        if (crossing->used.subscriptions[i] != NULL)
            end_subscription(crossing->used.subscriptions[i]);
}

static enum berth_code publish(struct crossing *crossing, struct packet_reader *reader, bool forwards,
                               struct berth_error *err)
{
    struct berth_event event = {.size = sizeof(event)};
    uint32_t number = packet_get_u32(reader);
    const struct berth_exchange *exchange;
    void *instance;

    if (forwards)
        event_get_time(reader, &event);
    event_get_content(reader, &event);
    exchange = used_find(crossing, number, ASK_INTERFACE_EXCHANGE, reader, &instance);
    if (exchange == NULL)
        return BERTH_INVALID_ARGUMENT;
    return (forwards ? exchange->forward : exchange->publish)(instance, &event, err);
}

enum berth_code asked_publish(struct crossing *crossing, struct packet_reader *reader,
                              struct packet_writer *answer, struct berth_error *err)
{
    return publish(crossing, reader, false, err);
}

enum berth_code asked_forward(struct crossing *crossing, struct packet_reader *reader,
                              struct packet_writer *answer, struct berth_error *err)
{
    return publish(crossing, reader, true, err);
}

/* @return how many; borrowed from the packet. */
static size_t read_filters(struct packet_reader *reader, const char *filters[ASK_FILTERS_MAX])
{
    size_t count = packet_get_count(reader, sizeof(uint32_t) + 1);

    if (count > ASK_FILTERS_MAX || reader->left > ASK_FILTER_BYTES_MAX)
        reader->is_bad = true;
    for (size_t i = 0; i < count && !reader->is_bad; i++)
        filters[i] = packet_get_text(reader);
    return count;
}

enum berth_code asked_subscribe(struct crossing *crossing, struct packet_reader *reader,
                                struct packet_writer *answer, struct berth_error *err)
{
    struct used *used = &crossing->used;
    uint32_t ref = packet_get_u32(reader), number = packet_get_u32(reader);
    const char *filters[ASK_FILTERS_MAX];
    size_t count = read_filters(reader, filters), free_place = 0;
    void *instance;
    const struct berth_exchange *exchange =
        used_find(crossing, ref, ASK_INTERFACE_EXCHANGE, reader, &instance);
    struct crossing_subscription *subscription;
    enum berth_code code;

    if (exchange == NULL || place_of(used, number) != NULL) {
        reader->is_bad = true;
        return BERTH_INVALID_ARGUMENT;
    }
    while (free_place < ASK_SUBSCRIPTIONS_MAX && used->subscriptions[free_place] != NULL)
        free_place++;
    if (free_place == ASK_SUBSCRIPTIONS_MAX)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "an isolated plugin may have at most %u subscriptions", ASK_SUBSCRIPTIONS_MAX);
    subscription = malloc(sizeof(*subscription));
    if (subscription == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for a subscription");
    *subscription = (struct crossing_subscription){
        .crossing = crossing, .number = number, .exchange = exchange, .instance = instance};
    code = exchange->subscribe(instance, filters, count, on_event, subscription, &subscription->subscription,
                               err);
    if (code != BERTH_OK) {
        free(subscription);
        return code;
    }
    used->subscriptions[free_place] = subscription;
    if (BERTH_HAS(exchange, watch_failure))
        exchange->watch_failure(instance, subscription->subscription, on_failed);
    return BERTH_OK;
}

enum berth_code asked_unsubscribe(struct crossing *crossing, struct packet_reader *reader,
                                  struct packet_writer *answer, struct berth_error *err)
{
    uint32_t number = packet_get_u32(reader);
    struct crossing_subscription **place = reader->is_bad ? NULL : place_of(&crossing->used, number);

    /* It may have been ended meanwhile. */
    if (place != NULL)
        end_subscription(*place);
    return BERTH_OK;
}
