/* SPDX-License-Identifier: Apache-2.0 */
/* Events of the daemon's exchange: published by asking, and received as packets that give back credit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <core/wire/event.h>

#include "table.h"

/* Credit is given back in pieces of this size. */
#define CREDIT_PIECE (256u << 10)
/* Of events that the plugin keeps for later. */
#define KEPT_MAX (64u << 20)

struct berth_subscription {
    LIST_ENTRY(berth_subscription) link;
    uint32_t number;
    void (*on_event)(void *context, const struct berth_event *event);
    void *context;
    void (*on_failed)(void *context, enum berth_code code, const char *message);
    void *failed_context;
};

/* An event that is kept, with all that it points to. */
struct kept {
    struct berth_event event;
    size_t size;
    char bytes[];
};

static struct inside *of_instance(void *instance, const char *function, struct berth_error *err)
{
    struct used_interface *used = instance;

    return table_on_loop(&used->inside->table, function, err);
}

static enum berth_code say(void *instance, enum ask_kind kind, const struct berth_event *event,
                           struct berth_error *err)
{
    const struct used_interface *used = instance;
    struct inside *inside = of_instance(instance, "publish (events)", err);
    struct packet_writer *writer;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (event->value_length > PACKET_MESSAGE_MAX)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "an event of %zu bytes exceeds the limit of %u bytes for isolated plugins",
                               event->value_length, PACKET_MESSAGE_MAX);
    writer = table_begin_question(inside, kind);
    packet_put_u32(writer, used->number);
    if (kind == ASK_FORWARD)
        event_put_time(writer, event);
    event_put_content(writer, event);
    return table_ask(inside, NULL, err);
}

static enum berth_code publish(void *instance, const struct berth_event *event, struct berth_error *err)
{
    return say(instance, ASK_PUBLISH, event, err);
}

static enum berth_code forward(void *instance, const struct berth_event *event, struct berth_error *err)
{
    return say(instance, ASK_FORWARD, event, err);
}

static bool is_too_much(const char *const *filters, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count && count <= ASK_FILTERS_MAX; i++)
        bytes += strlen(filters[i]) + 1 + sizeof(uint32_t);
    return count > ASK_FILTERS_MAX || bytes > ASK_FILTER_BYTES_MAX;
}

static enum berth_code subscribe(void *instance, const char *const *filters, size_t filter_count,
                                 void (*on_event)(void *context, const struct berth_event *event),
                                 void *context, struct berth_subscription **ret_subscription,
                                 struct berth_error *err)
{
    const struct used_interface *used = instance;
    struct inside *inside = of_instance(instance, "subscribe", err);
    struct berth_subscription *subscription;
    struct packet_writer *writer;
    enum berth_code code;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (is_too_much(filters, filter_count))
        return berth_error_set(
            err, BERTH_RESOURCE_EXHAUSTED,
            "a subscription of an isolated plugin may have at most %u filters and %u bytes of them",
            ASK_FILTERS_MAX, ASK_FILTER_BYTES_MAX);
    subscription = calloc(1, sizeof(*subscription));
    if (subscription == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for a subscription");
    subscription->number = ++inside->subscription_count;
    subscription->on_event = on_event;
    subscription->context = context;
    writer = table_begin_question(inside, ASK_SUBSCRIBE);
    packet_put_u32(writer, used->number);
    packet_put_u32(writer, subscription->number);
    packet_put_u32(writer, (uint32_t)filter_count);
    for (size_t i = 0; i < filter_count; i++)
        packet_put_text(writer, filters[i]);
    code = table_ask(inside, NULL, err);
    if (code != BERTH_OK) {
        free(subscription);
        return code;
    }
    LIST_INSERT_HEAD(&inside->subscriptions, subscription, link);
    *ret_subscription = subscription;
    return BERTH_OK;
}

static void unsubscribe(void *instance, struct berth_subscription *subscription)
{
    struct inside *inside = of_instance(instance, "unsubscribe", NULL);
    struct packet_writer *writer;

    if (inside == NULL || subscription == NULL)
        return;
    writer = table_begin_question(inside, ASK_UNSUBSCRIBE);
    packet_put_u32(writer, subscription->number);
    table_ask(inside, NULL, NULL);
    LIST_REMOVE(subscription, link);
    free(subscription);
}

static void *copy(char **at, const void *bytes, size_t length)
{
    char *copied = *at;

    memcpy(copied, bytes, length);
    *at += length;
    return copied;
}

static const struct berth_event *keep(void *instance, const struct berth_event *event)
{
    struct inside *inside = ((struct used_interface *)instance)->inside;
    size_t name = strlen(event->namespace_name) + 1, topic = strlen(event->topic) + 1;
    size_t type = strlen(event->type_url) + 1;
    size_t size = sizeof(struct kept) + name + topic + type + event->value_length + event->envelope_length;
    struct kept *kept = size <= KEPT_MAX - inside->events_kept ? malloc(size) : NULL;
    char *at;

    if (kept == NULL)
        return NULL;
    at = kept->bytes;
    kept->event = *event;
    kept->size = size;
    kept->event.namespace_name = copy(&at, event->namespace_name, name);
    kept->event.topic = copy(&at, event->topic, topic);
    kept->event.type_url = copy(&at, event->type_url, type);
    kept->event.value = copy(&at, event->value, event->value_length);
    kept->event.envelope = copy(&at, event->envelope, event->envelope_length);
    inside->events_kept += size;
    return &kept->event;
}

static void release(void *instance, const struct berth_event *event)
{
    struct kept *kept = CONTAINER_OF(event, struct kept, event);

    ((struct used_interface *)instance)->inside->events_kept -= kept->size;
    free(kept);
}

static void watch_failure(void *instance, struct berth_subscription *subscription,
                          void (*on_failed)(void *context, enum berth_code code, const char *message))
{
    subscription->on_failed = on_failed;
    subscription->failed_context = subscription->context;
}

const struct berth_exchange used_exchange = {
    .size = sizeof(used_exchange),
    .publish = publish,
    .forward = forward,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .keep = keep,
    .release = release,
    .watch_failure = watch_failure,
};

static struct berth_subscription *find(struct inside *inside, uint32_t number)
{
    struct berth_subscription *subscription;

    LIST_FOREACH(subscription, &inside->subscriptions, link)
    if (subscription->number == number)
        return subscription;
    return NULL;
}

static void give_back(struct inside *inside, size_t bytes)
{
    struct packet_writer *writer;

    inside->events_owed += (uint32_t)bytes;
    if (inside->events_owed < CREDIT_PIECE)
        return;
    writer = table_begin(inside, PACKET_EVENTS_CREDIT);
    packet_put_u32(writer, inside->events_owed);
    packet_end(writer);
    inside->events_owed = 0;
}

void events_take(struct inside *inside, const struct packet *packet, struct packet_reader *reader)
{
    struct berth_event event = {.size = sizeof(event)};
    struct berth_subscription *subscription = find(inside, packet_get_u32(reader));

    event_get_time(reader, &event);
    event_get_content(reader, &event);
    event.envelope = packet_get_bytes(reader, &event.envelope_length);
    if (reader->is_bad) {
        channel_break(&inside->process->channel, "sent a malformed event");
        return;
    }
    /* It may have crossed with the end of the subscription. */
    if (subscription != NULL)
        subscription->on_event(subscription->context, &event);
    give_back(inside, PACKET_HEAD + packet->length);
}

void events_take_end(struct inside *inside, const struct packet *packet, struct packet_reader *reader)
{
    struct berth_subscription *subscription = find(inside, packet_get_u32(reader));
    uint32_t code = packet_get_u32(reader);
    const char *message = packet_get_text(reader);

    if (reader->is_bad || code > BERTH_UNAUTHENTICATED)
        channel_break(&inside->process->channel, "ended a subscription with a malformed packet");
    else if (subscription != NULL && subscription->on_failed != NULL)
        subscription->on_failed(subscription->failed_context, (enum berth_code)code, message);
}
