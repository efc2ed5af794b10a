/* SPDX-License-Identifier: Apache-2.0 */
/* The events services over an exchange of the test: what callers may say, and subscribers that do not read.
 */
#include "plugin_stage.h"

#include <berth/types/events.h>
#include <containerd/services/events/v1/events.pb-c.h>
#include <containerd/services/ttrpc/events/v1/events.pb-c.h>

#define URI "io.containerd.grpc.v1.events"
#define GRPC "/containerd.services.events.v1.Events/"
#define TTRPC "/containerd.services.events.ttrpc.v1.Events/"

/* An exchange that notes what it is given and tells what the test says. */
struct berth_subscription {
    char filter[64];
    void (*on_event)(void *context, const struct berth_event *event);
    void *context;
    struct berth_subscription *next;
    bool is_over;
};

static struct {
    struct berth_subscription *subscriptions;
    char published[256];
    char forwarded[256];
    int64_t seconds;
    enum berth_code answer;
    size_t kept;
    size_t max_kept;
} fake;

static struct berth_testing *testing;
static struct berth_error err;

static void note(char *noted, size_t size, const struct berth_event *event)
{
    fake.seconds = event->seconds;
    snprintf(noted, size, "%s %s %s %.*s", event->namespace_name, event->topic,
             event->type_url == NULL ? "(none)" : event->type_url, (int)event->value_length,
             event->value_length == 0 ? "" : (const char *)event->value);
}

static enum berth_code fake_publish(void *instance, const struct berth_event *event, struct berth_error *why)
{
    note(fake.published, sizeof(fake.published), event);
    return fake.answer == BERTH_OK ? BERTH_OK : berth_error_set(why, fake.answer, "the exchange says no");
}

static enum berth_code fake_forward(void *instance, const struct berth_event *event, struct berth_error *why)
{
    note(fake.forwarded, sizeof(fake.forwarded), event);
    return fake.answer == BERTH_OK ? BERTH_OK : berth_error_set(why, fake.answer, "the exchange says no");
}

static enum berth_code fake_subscribe(void *instance, const char *const *filters, size_t filter_count,
                                      void (*on_event)(void *context, const struct berth_event *event),
                                      void *context, struct berth_subscription **ret_subscription,
                                      struct berth_error *why)
{
    struct berth_subscription *subscription = calloc(1, sizeof(*subscription));

    if (filter_count > 0 && strcmp(filters[0], "bad") == 0) {
        free(subscription);
        return berth_error_set(why, BERTH_INVALID_ARGUMENT, "filters: no");
    }
    snprintf(subscription->filter, sizeof(subscription->filter), "%s", filter_count > 0 ? filters[0] : "");
    subscription->on_event = on_event;
    subscription->context = context;
    subscription->next = fake.subscriptions;
    fake.subscriptions = subscription;
    *ret_subscription = subscription;
    return BERTH_OK;
}

static void fake_unsubscribe(void *instance, struct berth_subscription *subscription)
{
    subscription->is_over = true;
}

static const struct berth_event *fake_keep(void *instance, const struct berth_event *event)
{
    if (fake.kept >= fake.max_kept)
        return NULL;
    fake.kept++;
    return event;
}

static void fake_release(void *instance, const struct berth_event *kept)
{
    assert_true(fake.kept-- > 0);
}

static const struct berth_exchange exchange = {
    .size = sizeof(exchange),
    .publish = fake_publish,
    .forward = fake_forward,
    .subscribe = fake_subscribe,
    .unsubscribe = fake_unsubscribe,
    .keep = fake_keep,
    .release = fake_release,
};

/* Events of four bytes each, which live for as long as the test. */
static const struct berth_event *numbered(unsigned number)
{
    static char names[1000][5];
    static struct berth_event events[1000];

    assert_true(number < 1000);
    snprintf(names[number], sizeof(names[number]), "e%03u", number);
    events[number] =
        (struct berth_event){.size = sizeof(events[number]), .envelope = names[number], .envelope_length = 4};
    return &events[number];
}

static void tell(unsigned number)
{
    for (struct berth_subscription *each = fake.subscriptions; each != NULL; each = each->next)
        if (!each->is_over)
            each->on_event(each->context, numbered(number));
}

static void start(const char *settings)
{
    memset(&fake, 0, sizeof(fake));
    fake.max_kept = 1000;
    testing = plugin_create(URI, settings);
    berth_testing_provide(testing, BERTH_EXCHANGE_URI, &exchange, NULL);
    plugin_start(testing);
}

static int start_plain(void **state)
{
    start(NULL);
    return 0;
}

static int start_small(void **state)
{
    start("{max_subscribers: 3, max_queued_events: 4, max_total_queued_events: 6}");
    return 0;
}

static int start_with_few_bytes(void **state)
{
    start("max_queued_bytes: 1KiB");
    return 0;
}

static int stop(void **state)
{
    plugin_destroy(testing);
    while (fake.subscriptions != NULL) {
        struct berth_subscription *next = fake.subscriptions->next;

        if (!fake.subscriptions->is_over)
            return -1;
        free(fake.subscriptions);
        fake.subscriptions = next;
    }
    return fake.kept == 0 ? 0 : -1;
}

static struct berth_testing_call *call(const char *path, const ProtobufCMessage *request)
{
    uint8_t bytes[512];
    size_t length = protobuf_c_message_get_packed_size(request);
    struct berth_testing_call_options options = {
        .transport = strncmp(path, TTRPC, strlen(TTRPC)) == 0 ? "ttrpc" : "grpc"};
    struct berth_testing_call *made = berth_testing_call_create(testing, path, &options);

    assert_true(length <= sizeof(bytes));
    protobuf_c_message_pack(request, bytes);
    berth_testing_call_send(made, bytes, length);
    berth_testing_call_half_close(made);
    berth_testing_run(testing);
    return made;
}

static void assert_ends(struct berth_testing_call *made, enum berth_code code, const char *message)
{
    assert_string_equal(berth_testing_call_message(made), message);
    assert_int_equal(berth_testing_call_code(made), code);
    berth_testing_call_destroy(made);
}

static char *text(const char *value)
{
    return (char *)(uintptr_t)value;
}

static Google__Protobuf__Any any_of(const char *type_url)
{
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;

    any.type_url = text(type_url);
    any.value = (ProtobufCBinaryData){3, (uint8_t *)text("abc")};
    return any;
}

static void publishing_needs_a_namespace(void **state)
{
    Containerd__Services__Events__V1__PublishRequest request =
        CONTAINERD__SERVICES__EVENTS__V1__PUBLISH_REQUEST__INIT;

    request.topic = text("/a");
    assert_ends(call(GRPC "Publish", &request.base), BERTH_FAILED_PRECONDITION,
                "failed publishing event: namespace is required: failed precondition");
    assert_string_equal(fake.published, "");
}

static Containerd__Types__Envelope envelope_of(Google__Protobuf__Timestamp *timestamp,
                                               Google__Protobuf__Any *any)
{
    Containerd__Types__Envelope envelope = CONTAINERD__TYPES__ENVELOPE__INIT;

    google__protobuf__timestamp__init(timestamp);
    timestamp->seconds = 77;
    *any = any_of("x.Y");
    envelope.timestamp = timestamp;
    envelope.namespace_ = text("moby");
    envelope.topic = text("/a/b");
    envelope.event = any;
    return envelope;
}

static void an_event_is_forwarded_as_it_is_over_both_transports(void **state)
{
    Google__Protobuf__Timestamp timestamp;
    Google__Protobuf__Any any;
    Containerd__Types__Envelope envelope = envelope_of(&timestamp, &any);
    Containerd__Services__Events__V1__ForwardRequest grpc =
        CONTAINERD__SERVICES__EVENTS__V1__FORWARD_REQUEST__INIT;
    Containerd__Services__Events__Ttrpc__V1__ForwardRequest ttrpc =
        CONTAINERD__SERVICES__EVENTS__TTRPC__V1__FORWARD_REQUEST__INIT;

    grpc.envelope = &envelope;
    ttrpc.envelope = &envelope;
    assert_ends(call(GRPC "Forward", &grpc.base), BERTH_OK, "");
    assert_string_equal(fake.forwarded, "moby /a/b x.Y abc");
    assert_true(fake.seconds == 77);
    memset(fake.forwarded, 0, sizeof(fake.forwarded));
    assert_ends(call(TTRPC "Forward", &ttrpc.base), BERTH_OK, "");
    assert_string_equal(fake.forwarded, "moby /a/b x.Y abc");
}

static void a_forwarded_event_without_time_or_type_is_the_exchanges_to_refuse(void **state)
{
    Google__Protobuf__Timestamp timestamp;
    Google__Protobuf__Any any;
    Containerd__Types__Envelope envelope = envelope_of(&timestamp, &any);
    Containerd__Services__Events__V1__ForwardRequest request =
        CONTAINERD__SERVICES__EVENTS__V1__FORWARD_REQUEST__INIT;

    envelope.timestamp = NULL;
    envelope.event = NULL;
    request.envelope = &envelope;
    fake.answer = BERTH_INVALID_ARGUMENT;
    assert_ends(call(GRPC "Forward", &request.base), BERTH_INVALID_ARGUMENT, "the exchange says no");
    assert_string_equal(fake.forwarded, "moby /a/b (none) ");
    assert_true(fake.seconds == BERTH_EVENT_NO_TIME);
}

static void no_envelope_is_an_invalid_argument_over_both_transports(void **state)
{
    Containerd__Services__Events__V1__ForwardRequest grpc =
        CONTAINERD__SERVICES__EVENTS__V1__FORWARD_REQUEST__INIT;
    Containerd__Services__Events__Ttrpc__V1__ForwardRequest ttrpc =
        CONTAINERD__SERVICES__EVENTS__TTRPC__V1__FORWARD_REQUEST__INIT;

    assert_ends(call(GRPC "Forward", &grpc.base), BERTH_INVALID_ARGUMENT,
                "envelope must be set: invalid argument");
    assert_ends(call(TTRPC "Forward", &ttrpc.base), BERTH_INVALID_ARGUMENT,
                "envelope must be set: invalid argument");
    assert_string_equal(fake.forwarded, "");
}

static struct berth_testing_call *subscribe(const char *filter)
{
    Containerd__Services__Events__V1__SubscribeRequest request =
        CONTAINERD__SERVICES__EVENTS__V1__SUBSCRIBE_REQUEST__INIT;
    char *filters[] = {text(filter)};

    request.n_filters = filter == NULL ? 0 : 1;
    request.filters = filters;
    return call(GRPC "Subscribe", &request.base);
}

static void assert_replies(const struct berth_testing_call *made, unsigned first, size_t count)
{
    char expected[5];

    assert_int_equal(berth_testing_call_reply_count(made), count);
    for (size_t i = 0; i < count; i++) {
        snprintf(expected, sizeof(expected), "e%03u", first + (unsigned)i);
        assert_string_equal(berth_testing_call_reply(made, i, NULL), expected);
    }
}

static void a_subscriber_is_sent_what_is_told_until_it_leaves(void **state)
{
    struct berth_testing_call *made = subscribe("topic==\"/a\"");

    assert_string_equal(fake.subscriptions->filter, "topic==\"/a\"");
    tell(0);
    tell(1);
    assert_replies(made, 0, 2);
    assert_int_equal(berth_testing_call_code(made), BERTH_PENDING);
    berth_testing_call_cancel(made);
    berth_testing_run(testing);
    assert_true(fake.subscriptions->is_over);
    berth_testing_call_destroy(made);
}

static void a_filter_that_is_none_is_refused_as_containerd_does(void **state)
{
    assert_ends(subscribe("bad"), BERTH_UNKNOWN,
                "subscription error: failed parsing subscription filters: filters: no");
}

static void who_reads_later_gets_everything_in_order(void **state)
{
    struct berth_testing_call *made = subscribe(NULL);

    tell(0);
    berth_testing_call_set_slow(made, true);
    for (unsigned i = 1; i < 300; i++)
        tell(i);
    assert_replies(made, 0, 1);
    assert_int_equal(fake.kept, 299);
    berth_testing_call_set_slow(made, false);
    berth_testing_run(testing);
    tell(300);
    assert_replies(made, 0, 301);
    assert_int_equal(fake.kept, 0);
    berth_testing_call_destroy(made);
}

static void who_does_not_read_is_ended_and_the_others_are_served(void **state)
{
    struct berth_testing_call *stuck = subscribe(NULL);
    struct berth_testing_call *reader = subscribe(NULL);

    berth_testing_call_set_slow(stuck, true);
    for (unsigned i = 0; i < 10; i++)
        tell(i);
    berth_testing_run(testing);
    assert_replies(reader, 0, 10);
    assert_int_equal(fake.kept, 0);
    assert_ends(stuck, BERTH_RESOURCE_EXHAUSTED,
                "the subscriber is too slow: it is 4 events (16 bytes) behind, more than "
                "max_queued_events allows; subscribe again for the events from here on");
    assert_int_equal(berth_testing_call_code(reader), BERTH_PENDING);
    assert_true(berth_testing_has_logged(testing, "limit=max_queued_events"));
    assert_true(berth_testing_metric(testing, "berth_events_dropped_total") == 5);
    assert_true(berth_testing_metric(testing, "berth_events_slow_subscribers_total") == 1);
    assert_true(berth_testing_metric(testing, "berth_events_subscribers") == 1);
    berth_testing_call_destroy(reader);
}

static void who_is_too_many_bytes_behind_is_ended(void **state)
{
    struct berth_testing_call *stuck = subscribe(NULL);

    berth_testing_call_set_slow(stuck, true);
    for (unsigned i = 0; i < 256; i++)
        tell(i);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_call_code(stuck), BERTH_PENDING);
    tell(256);
    berth_testing_run(testing);
    assert_non_null(strstr(berth_testing_call_message(stuck), "256 events (1024 bytes) behind"));
    assert_non_null(strstr(berth_testing_call_message(stuck), "max_queued_bytes"));
    berth_testing_call_destroy(stuck);
}

static void all_together_are_bounded_and_the_furthest_behind_goes(void **state)
{
    struct berth_testing_call *first = subscribe(NULL);
    struct berth_testing_call *second;

    berth_testing_call_set_slow(first, true);
    tell(0);
    second = subscribe(NULL);
    berth_testing_call_set_slow(second, true);
    tell(1);
    tell(2);
    tell(3);
    berth_testing_run(testing);
    assert_non_null(strstr(berth_testing_call_message(first), "max_total_queued_events"));
    assert_int_equal(berth_testing_call_code(first), BERTH_RESOURCE_EXHAUSTED);
    berth_testing_call_set_slow(second, false);
    berth_testing_run(testing);
    assert_replies(second, 1, 3);
    berth_testing_call_destroy(first);
    berth_testing_call_destroy(second);
}

static void what_the_exchange_cannot_keep_costs_the_furthest_behind(void **state)
{
    struct berth_testing_call *first = subscribe(NULL);
    struct berth_testing_call *second;

    fake.max_kept = 4;
    berth_testing_call_set_slow(first, true);
    tell(0);
    tell(1);
    tell(2);
    second = subscribe(NULL);
    berth_testing_call_set_slow(second, true);
    tell(3);
    assert_int_equal(berth_testing_call_code(first), BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(berth_testing_call_message(first), "max_kept_bytes"));
    assert_int_equal(berth_testing_call_code(second), BERTH_PENDING);
    fake.max_kept = 1;
    tell(4);
    assert_int_equal(berth_testing_call_code(second), BERTH_RESOURCE_EXHAUSTED);
    berth_testing_call_destroy(first);
    berth_testing_call_destroy(second);
}

static void who_has_nothing_waiting_goes_itself_where_nothing_can_be_kept(void **state)
{
    struct berth_testing_call *only = subscribe(NULL);

    fake.max_kept = 0;
    berth_testing_call_set_slow(only, true);
    tell(0);
    assert_int_equal(berth_testing_call_code(only), BERTH_RESOURCE_EXHAUSTED);
    berth_testing_call_destroy(only);
}

static void too_many_subscribers_are_refused(void **state)
{
    struct berth_testing_call *made[3];

    for (size_t i = 0; i < 3; i++)
        made[i] = subscribe(NULL);
    assert_ends(subscribe(NULL), BERTH_RESOURCE_EXHAUSTED,
                "there are already 3 subscribers, as many as max_subscribers of " URI " allows");
    berth_testing_call_destroy(made[0]);
    made[0] = subscribe(NULL);
    assert_int_equal(berth_testing_call_code(made[0]), BERTH_PENDING);
    for (size_t i = 0; i < 3; i++)
        berth_testing_call_destroy(made[i]);
}

static void a_drain_ends_the_subscribers_and_takes_no_new_ones(void **state)
{
    struct berth_testing_call *reader = subscribe(NULL);
    struct berth_testing_call *stuck = subscribe(NULL);

    berth_testing_call_set_slow(stuck, true);
    tell(0);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_drain(testing, &err), BERTH_OK);
    assert_ends(reader, BERTH_UNAVAILABLE, "the daemon is stopping");
    assert_ends(stuck, BERTH_UNAVAILABLE, "the daemon is stopping");
    assert_ends(subscribe(NULL), BERTH_UNAVAILABLE, "the daemon is stopping");
}

static void who_is_replaced_asks_to_subscribe_again_and_may_go_on(void **state)
{
    struct berth_testing_call *reader = subscribe(NULL);
    struct berth_testing_call *later;

    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    plugin_drain_for_another(testing);
    assert_ends(reader, BERTH_UNAVAILABLE, PLUGIN_REPLACED);
    /* The upgrade was given up. */
    later = subscribe(NULL);
    tell(0);
    assert_replies(later, 0, 1);
    berth_testing_call_destroy(later);
}

static void changed_limits_are_in_effect(void **state)
{
    struct berth_testing_call *slow = subscribe(NULL), *second;

    berth_testing_call_set_slow(slow, true);
    for (unsigned i = 0; i < 4; i++)
        tell(i);
    assert_int_equal(plugin_reconfigure(testing, "{max_subscribers: 1, max_queued_events: 4}"), BERTH_OK);
    assert_int_equal(berth_testing_call_code(slow), BERTH_PENDING);
    second = subscribe(NULL);
    assert_int_equal(berth_testing_call_code(second), BERTH_RESOURCE_EXHAUSTED);
    berth_testing_call_destroy(second);
    tell(4);
    assert_int_equal(berth_testing_call_code(slow), BERTH_RESOURCE_EXHAUSTED);
    berth_testing_call_destroy(slow);
    assert_int_equal(plugin_reconfigure(testing, "max_subscribers: 0"), BERTH_INVALID_ARGUMENT);
    assert_int_equal(plugin_reconfigure(testing, NULL), BERTH_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_plain, stop)
#define SMALL(name) cmocka_unit_test_setup_teardown(name, start_small, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(publishing_needs_a_namespace),
        TEST(an_event_is_forwarded_as_it_is_over_both_transports),
        TEST(a_forwarded_event_without_time_or_type_is_the_exchanges_to_refuse),
        TEST(no_envelope_is_an_invalid_argument_over_both_transports),
        TEST(a_subscriber_is_sent_what_is_told_until_it_leaves),
        TEST(a_filter_that_is_none_is_refused_as_containerd_does),
        TEST(who_reads_later_gets_everything_in_order),
        SMALL(who_does_not_read_is_ended_and_the_others_are_served),
        cmocka_unit_test_setup_teardown(who_is_too_many_bytes_behind_is_ended, start_with_few_bytes, stop),
        SMALL(all_together_are_bounded_and_the_furthest_behind_goes),
        TEST(what_the_exchange_cannot_keep_costs_the_furthest_behind),
        TEST(who_has_nothing_waiting_goes_itself_where_nothing_can_be_kept),
        SMALL(too_many_subscribers_are_refused),
        TEST(a_drain_ends_the_subscribers_and_takes_no_new_ones),
        TEST(who_is_replaced_asks_to_subscribe_again_and_may_go_on),
        TEST(changed_limits_are_in_effect),
    };

    return cmocka_run_group_tests_name("events services", tests, NULL, NULL);
}
