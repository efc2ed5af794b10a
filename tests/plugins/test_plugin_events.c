/* SPDX-License-Identifier: Apache-2.0 */
/* The exchange: who is told what, in which order, whatever is done from inside. */
#include "plugin_stage.h"

#include <time.h>

#include <berth/types/events.h>
#include <containerd/events/container.pb-c.h>
#include <containerd/events/image.pb-c.h>
#include <containerd/events/task.pb-c.h>
#include <containerd/types/event.pb-c.h>

static struct berth_testing *testing;
static const struct berth_exchange *exchange;
static void *instance;
static struct berth_error err;

static void start(const char *settings)
{
    testing = plugin_run(BERTH_EXCHANGE_URI, settings);
    exchange = berth_testing_interface(testing);
    instance = berth_testing_instance(testing);
}

static int start_plain(void **state)
{
    start(NULL);
    return 0;
}

static int stop(void **state)
{
    plugin_destroy(testing);
    return 0;
}

#define HEARD_MAX 32

/* Notes the topics it hears, and does something at the first. */
struct listener {
    struct berth_subscription *subscription;
    char heard[HEARD_MAX][64];
    size_t count;
    void (*at_first)(struct listener *listener);
    struct listener *other;
    const struct berth_event *kept;
};

static struct berth_event event_of(const char *topic)
{
    return (struct berth_event){
        .size = sizeof(struct berth_event),
        .seconds = 12,
        .nanoseconds = 34,
        .namespace_name = "default",
        .topic = topic,
        .type_url = "test.Event",
        .value = "value",
        .value_length = 5,
    };
}

static enum berth_code publish(const char *topic)
{
    struct berth_event event = event_of(topic);

    return exchange->publish(instance, &event, &err);
}

static void on_event(void *context, const struct berth_event *event)
{
    struct listener *listener = context;

    assert_true(listener->count < HEARD_MAX);
    snprintf(listener->heard[listener->count++], sizeof(listener->heard[0]), "%s", event->topic);
    if (listener->count == 1 && listener->at_first != NULL)
        listener->at_first(listener);
}

static void listen_to(struct listener *listener, const char *filter)
{
    assert_int_equal(exchange->subscribe(instance, &filter, filter == NULL ? 0 : 1, on_event, listener,
                                         &listener->subscription, &err),
                     BERTH_OK);
}

static void leave(struct listener *listener)
{
    exchange->unsubscribe(instance, listener->subscription);
    listener->subscription = NULL;
}

static void assert_heard(const struct listener *listener, const char *expected)
{
    char all[1024] = "";

    for (size_t i = 0; i < listener->count; i++) {
        size_t used = strlen(all);

        snprintf(all + used, sizeof(all) - used, "%s%s", i == 0 ? "" : " ", listener->heard[i]);
    }
    assert_string_equal(all, expected);
}

static void events_are_counted_and_what_is_kept_is_measured(void **state)
{
    assert_true(berth_testing_metric(testing, "berth_events_published_total") == 0);
    assert_int_equal(publish("/one"), BERTH_OK);
    assert_int_equal(publish("/two"), BERTH_OK);
    assert_true(berth_testing_metric(testing, "berth_events_published_total") == 2);
    assert_true(berth_testing_metric(testing, "berth_events_kept_bytes") == 0);
    /* NaN is not equal to itself. */
    assert_false(berth_testing_metric(testing, "berth_events_unknown") ==
                 berth_testing_metric(testing, "berth_events_unknown"));
}

static void everybody_is_told_in_order(void **state)
{
    struct listener a = {0};
    struct listener b = {0};

    assert_int_equal(publish("/early"), BERTH_OK);
    listen_to(&a, NULL);
    assert_int_equal(publish("/one"), BERTH_OK);
    listen_to(&b, NULL);
    assert_int_equal(publish("/two"), BERTH_OK);
    assert_int_equal(publish("/three/and/more"), BERTH_OK);
    leave(&a);
    assert_int_equal(publish("/four"), BERTH_OK);
    assert_heard(&a, "/one /two /three/and/more");
    assert_heard(&b, "/two /three/and/more /four");
    leave(&b);
    leave(&b);
}

static void check_envelope(void *context, const struct berth_event *event)
{
    Containerd__Types__Envelope *envelope =
        containerd__types__envelope__unpack(NULL, event->envelope_length, event->envelope);

    assert_non_null(envelope);
    assert_true(envelope->timestamp->seconds == event->seconds);
    assert_int_equal(envelope->timestamp->nanos, event->nanoseconds);
    assert_string_equal(envelope->namespace_, "default");
    assert_string_equal(envelope->topic, "/a");
    assert_string_equal(envelope->event->type_url, "test.Event");
    assert_int_equal(envelope->event->value.len, 5);
    assert_memory_equal(envelope->event->value.data, "value", 5);
    assert_memory_equal(event->value, "value", 5);
    *(int64_t *)context = event->seconds;
    containerd__types__envelope__free_unpacked(envelope, NULL);
}

static void a_published_event_is_stamped_and_a_forwarded_one_is_not(void **state)
{
    struct berth_event event = event_of("/a");
    struct berth_subscription *subscription;
    int64_t before = time(NULL);
    int64_t seconds = 0;

    assert_int_equal(exchange->subscribe(instance, NULL, 0, check_envelope, &seconds, &subscription, &err),
                     BERTH_OK);
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_OK);
    assert_in_range(seconds, before, time(NULL) + 1);
    assert_int_equal(exchange->forward(instance, &event, &err), BERTH_OK);
    assert_true(seconds == 12);
    exchange->unsubscribe(instance, subscription);
}

static void publish_twice(struct listener *listener)
{
    assert_int_equal(publish("/inner/one"), BERTH_OK);
    assert_int_equal(publish("/inner/two"), BERTH_OK);
    assert_int_equal(listener->count, 1);
}

static void what_is_published_inside_is_told_after_the_running_event(void **state)
{
    struct listener first = {.at_first = publish_twice};
    struct listener second = {0};

    listen_to(&first, NULL);
    listen_to(&second, NULL);
    assert_int_equal(publish("/outer"), BERTH_OK);
    assert_heard(&first, "/outer /inner/one /inner/two");
    assert_heard(&second, "/outer /inner/one /inner/two");
    leave(&first);
    leave(&second);
}

static void subscribe_other(struct listener *listener)
{
    assert_int_equal(publish("/before"), BERTH_OK);
    listen_to(listener->other, NULL);
    assert_int_equal(publish("/after"), BERTH_OK);
}

static void who_subscribes_inside_hears_what_is_published_later(void **state)
{
    struct listener late = {0};
    struct listener first = {.at_first = subscribe_other, .other = &late};

    listen_to(&first, NULL);
    assert_int_equal(publish("/outer"), BERTH_OK);
    assert_heard(&first, "/outer /before /after");
    assert_heard(&late, "/after");
    leave(&first);
    leave(&late);
}

static void leave_both(struct listener *listener)
{
    leave(listener);
    leave(listener->other);
}

static void who_unsubscribes_inside_hears_nothing_more(void **state)
{
    struct listener other = {0};
    struct listener first = {.at_first = leave_both, .other = &other};
    struct listener last = {0};

    listen_to(&first, NULL);
    listen_to(&other, NULL);
    listen_to(&last, NULL);
    assert_int_equal(publish("/one"), BERTH_OK);
    assert_int_equal(publish("/two"), BERTH_OK);
    assert_heard(&first, "/one");
    assert_heard(&other, "");
    assert_heard(&last, "/one /two");
    leave(&last);
}

static void keep_it(void *context, const struct berth_event *event)
{
    struct listener *listener = context;

    listener->kept = exchange->keep(instance, event);
}

static void a_kept_event_outlives_the_telling(void **state)
{
    struct listener a = {0};
    struct listener b = {0};

    assert_int_equal(exchange->subscribe(instance, NULL, 0, keep_it, &a, &a.subscription, &err), BERTH_OK);
    assert_int_equal(exchange->subscribe(instance, NULL, 0, keep_it, &b, &b.subscription, &err), BERTH_OK);
    assert_int_equal(publish("/kept"), BERTH_OK);
    leave(&a);
    leave(&b);
    assert_ptr_equal(a.kept, b.kept);
    exchange->release(instance, a.kept);
    assert_string_equal(b.kept->topic, "/kept");
    assert_memory_equal(b.kept->value, "value", 5);
    exchange->release(instance, b.kept);
}

static void what_is_kept_is_bounded(void **state)
{
    char *large = calloc(1, 40000);
    struct berth_event event = event_of("/large");
    struct listener a = {0};
    const struct berth_event *first;

    event.value = large;
    event.value_length = 40000;
    assert_int_equal(exchange->subscribe(instance, NULL, 0, keep_it, &a, &a.subscription, &err), BERTH_OK);
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_OK);
    first = a.kept;
    assert_non_null(first);
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_OK);
    assert_null(a.kept);
    exchange->release(instance, first);
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_OK);
    assert_non_null(a.kept);
    exchange->release(instance, a.kept);
    leave(&a);
    free(large);
}

static enum berth_code publish_until_refused_code;

static void publish_until_refused(struct listener *listener)
{
    char *large = calloc(1, 30000);
    struct berth_event event = event_of("/large");
    enum berth_code code = BERTH_OK;

    event.value = large;
    event.value_length = 30000;
    for (size_t i = 0; i < HEARD_MAX && code == BERTH_OK; i++)
        code = exchange->publish(instance, &event, &err);
    publish_until_refused_code = code;
    free(large);
}

static void what_waits_inside_is_bounded(void **state)
{
    struct listener first = {.at_first = publish_until_refused};

    listen_to(&first, NULL);
    assert_int_equal(publish("/outer"), BERTH_OK);
    assert_int_equal(publish_until_refused_code, BERTH_RESOURCE_EXHAUSTED);
    assert_heard(&first, "/outer /large /large");
    leave(&first);
}

static void assert_refused(const struct berth_event *event, bool forwarded, enum berth_code code,
                           const char *sentence)
{
    assert_int_equal((forwarded ? exchange->forward : exchange->publish)(instance, event, &err), code);
    assert_string_equal(err.message, sentence);
}

#define NO_IDENTIFIER " must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument"

static void a_topic_that_is_none_is_refused_in_containerds_words(void **state)
{
    static const struct {
        const char *topic;
        const char *sentence;
    } cases[] = {
        {"", "envelope topic \"\": must not be empty: invalid argument"},
        {"a", "envelope topic \"a\": must start with '/': invalid argument"},
        {"/", "envelope topic \"/\": must have at least one component: invalid argument"},
        {"/a/", "envelope topic \"/a/\": failed validation on component \"\": identifier must not be empty: "
                "invalid argument"},
        {"/a//b", "envelope topic \"/a//b\": failed validation on component \"\": identifier must not be "
                  "empty: invalid argument"},
        {"/a b",
         "envelope topic \"/a b\": failed validation on component \"a b\": identifier \"a b\"" NO_IDENTIFIER},
        {"/\xff", "envelope topic \"/\\xff\": failed validation on component \"\\xff\": identifier "
                  "\"\\xff\"" NO_IDENTIFIER},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_event event = event_of(cases[i].topic);

        assert_refused(&event, false, BERTH_INVALID_ARGUMENT, cases[i].sentence);
        assert_refused(&event, true, BERTH_INVALID_ARGUMENT, cases[i].sentence);
    }
}

static void a_very_long_topic_is_refused_with_its_reason(void **state)
{
    char *topic = malloc(100001);
    struct berth_event event = event_of(topic);

    memset(topic, 'x', 100000);
    topic[0] = '/';
    topic[100000] = '\0';
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "greater than maximum length (76 characters): invalid argument"));
    free(topic);
}

static void a_namespace_that_is_none_is_refused(void **state)
{
    struct berth_event event = event_of("/a");

    event.namespace_name = "a b";
    assert_refused(&event, true, BERTH_INVALID_ARGUMENT,
                   "event envelope has invalid namespace: identifier \"a b\"" NO_IDENTIFIER);
    assert_refused(&event, false, BERTH_INVALID_ARGUMENT,
                   "failed publishing event: namespace validation: identifier \"a b\"" NO_IDENTIFIER);
    event.namespace_name = NULL;
    assert_refused(&event, true, BERTH_INVALID_ARGUMENT,
                   "event envelope has invalid namespace: identifier must not be empty: invalid argument");
}

static void a_forwarded_event_needs_a_time(void **state)
{
    struct berth_event event = event_of("/a");

    event.seconds = BERTH_EVENT_NO_TIME;
    event.nanoseconds = 0;
    assert_refused(&event, true, BERTH_INVALID_ARGUMENT,
                   "timestamp must be set on forwarded event: invalid argument");
    event.seconds = 0;
    assert_int_equal(exchange->forward(instance, &event, &err), BERTH_OK);
    event.seconds = BERTH_EVENT_NO_TIME - 1;
    assert_int_equal(exchange->forward(instance, &event, &err), BERTH_INVALID_ARGUMENT);
    event.seconds = INT64_C(253402300800);
    assert_int_equal(exchange->forward(instance, &event, &err), BERTH_INVALID_ARGUMENT);
    event.seconds = 5;
    event.nanoseconds = 1000000000;
    assert_int_equal(exchange->forward(instance, &event, &err), BERTH_INVALID_ARGUMENT);
    event.nanoseconds = -1;
    assert_int_equal(exchange->forward(instance, &event, &err), BERTH_INVALID_ARGUMENT);
}

static void an_event_needs_a_type_that_is_text_but_no_bytes(void **state)
{
    struct berth_event event = event_of("/a");

    event.type_url = NULL;
    assert_refused(&event, false, BERTH_INVALID_ARGUMENT, "envelope event: must be set: invalid argument");
    event.type_url = "a\xff";
    assert_refused(&event, false, BERTH_INVALID_ARGUMENT,
                   "envelope event type \"a\\xff\": must be UTF-8: invalid argument");
    event.type_url = "";
    event.value = NULL;
    event.value_length = 0;
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_OK);
}

static void an_event_that_is_too_large_is_refused(void **state)
{
    char value[1024] = "";
    struct berth_event event = event_of("/a");

    event.value = value;
    event.value_length = sizeof(value) - strlen("/a") - strlen("test.Event");
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_OK);
    event.value_length++;
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "max_event_bytes"));
}

static void a_filter_that_is_none_is_refused(void **state)
{
    const char *const filters[] = {"topic==\"/a\"", "id=="};
    struct listener a = {0};

    assert_int_equal(exchange->subscribe(instance, filters, 2, on_event, &a, &a.subscription, &err),
                     BERTH_INVALID_ARGUMENT);
    assert_string_equal(err.message,
                        "filters: parse error: [id==]: expected value or quoted: invalid argument");
}

/* How many of one event of a type pass a filter. */
static size_t passes(const char *filter, const char *type_url, const ProtobufCMessage *message)
{
    uint8_t value[512];
    struct berth_event event = event_of("/tasks/exit");
    struct listener a = {0};

    assert_true(protobuf_c_message_get_packed_size(message) <= sizeof(value));
    event.type_url = type_url;
    event.value = value;
    event.value_length = protobuf_c_message_pack(message, value);
    listen_to(&a, filter);
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_OK);
    leave(&a);
    return a.count;
}

static void filters_choose_by_namespace_topic_and_fields(void **state)
{
    Containerd__Events__TaskIO io = CONTAINERD__EVENTS__TASK_IO__INIT;
    Containerd__Events__TaskCreate create = CONTAINERD__EVENTS__TASK_CREATE__INIT;
    static const struct {
        const char *filter;
        size_t count;
    } cases[] = {
        {"", 1},
        {"namespace==default", 1},
        {"namespace==other", 0},
        {"topic==\"/tasks/exit\"", 1},
        {"topic~=\"^/containers/\"", 0},
        {"timestamp", 0},
        {"event", 0},
        {"event.container_id==c1", 1},
        {"event.container_id==c2", 0},
        {"event.container_id!=c2", 1},
        {"event.container_id", 1},
        {"event.bundle", 0},
        {"event.pid", 0},
        {"event.rootfs", 0},
        {"event.rootfs.type", 0},
        {"event.io.stdin==\"/dev/null\"", 1},
        {"event.io.stdout", 0},
        {"event.io.terminal==false", 1},
        {"event.io", 0},
        {"event.nothing", 0},
        {"event.container_id==c1,topic==\"/tasks/exit\"", 1},
        {"event.container_id==c1,namespace==other", 0},
    };

    io.stdin = (char *)(uintptr_t) "/dev/null";
    create.container_id = (char *)(uintptr_t) "c1";
    create.io = &io;
    create.pid = 7;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (passes(cases[i].filter, "containerd.events.TaskCreate", &create.base) != cases[i].count)
            fail_msg("%s: not %zu", cases[i].filter, cases[i].count);
        if (passes(cases[i].filter, "type.googleapis.com/containerd.events.TaskCreate", &create.base) !=
            cases[i].count)
            fail_msg("with a prefix, %s: not %zu", cases[i].filter, cases[i].count);
    }
}

static void filters_choose_by_labels_with_dots(void **state)
{
    Containerd__Services__Images__V1__ImageCreate create =
        CONTAINERD__SERVICES__IMAGES__V1__IMAGE_CREATE__INIT;
    Containerd__Services__Images__V1__ImageCreate__LabelsEntry label =
        CONTAINERD__SERVICES__IMAGES__V1__IMAGE_CREATE__LABELS_ENTRY__INIT;
    Containerd__Services__Images__V1__ImageCreate__LabelsEntry *labels[] = {&label};
    const char *type = "containerd.services.images.v1.ImageCreate";

    label.key = (char *)(uintptr_t) "io.x.y";
    label.value = (char *)(uintptr_t) "v";
    create.name = (char *)(uintptr_t) "image";
    create.n_labels = 1;
    create.labels = labels;
    assert_int_equal(passes("event.labels.io.x.y==v", type, &create.base), 1);
    assert_int_equal(passes("event.labels.\"io.x.y\"==v", type, &create.base), 1);
    assert_int_equal(passes("event.labels.io.x==v", type, &create.base), 0);
    assert_int_equal(passes("event.labels", type, &create.base), 0);
    label.value = (char *)(uintptr_t) "";
    assert_int_equal(passes("event.labels.io.x.y", type, &create.base), 1);
}

static void filters_look_into_messages_but_not_into_what_any_holds(void **state)
{
    Containerd__Events__ContainerCreate create = CONTAINERD__EVENTS__CONTAINER_CREATE__INIT;
    Containerd__Events__ContainerCreate__Runtime runtime =
        CONTAINERD__EVENTS__CONTAINER_CREATE__RUNTIME__INIT;
    Google__Protobuf__Any options = GOOGLE__PROTOBUF__ANY__INIT;
    const char *type = "containerd.events.ContainerCreate";

    assert_int_equal(passes("event.runtime.name", type, &create.base), 0);
    options.type_url = (char *)(uintptr_t) "x.Y";
    runtime.name = (char *)(uintptr_t) "runc";
    runtime.options = &options;
    create.runtime = &runtime;
    assert_int_equal(passes("event.runtime.name==runc", type, &create.base), 1);
    assert_int_equal(passes("event.runtime.options.type_url", type, &create.base), 0);
    assert_int_equal(passes("event.runtime", type, &create.base), 0);
}

static void events_of_unknown_types_or_broken_bytes_have_no_fields(void **state)
{
    Containerd__Events__TaskOOM message = CONTAINERD__EVENTS__TASK_OOM__INIT;
    struct berth_event event = event_of("/tasks/oom");
    struct listener a = {0};

    message.container_id = (char *)(uintptr_t) "c1";
    assert_int_equal(passes("event.container_id", "containerd.events.TaskOOM", &message.base), 1);
    assert_int_equal(passes("event.container_id", "some.other.TaskOOM", &message.base), 0);
    assert_int_equal(passes("event.container_id", "", &message.base), 0);
    event.type_url = "containerd.events.TaskOOM";
    event.value = "\xff\xff\xff";
    event.value_length = 3;
    listen_to(&a, "event.container_id");
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_OK);
    assert_heard(&a, "");
    leave(&a);
}

struct failure {
    struct berth_subscription *subscription;
    size_t told;
    size_t failed;
};

static void count_event(void *context, const struct berth_event *event)
{
    ((struct failure *)context)->told++;
}

static void leave_failed(void *context, enum berth_code code, const char *message)
{
    struct failure *failure = context;

    assert_int_equal(code, BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(message, "too complex to search a value of"));
    exchange->unsubscribe(instance, failure->subscription);
    failure->subscription = NULL;
    failure->failed++;
}

static void a_filter_that_costs_too_much_fails_its_subscription_alone(void **state)
{
    static char id[64 << 10];
    static const char *const filter = "event.id~=\".*a.{900}b\"";
    Containerd__Events__ContainerCreate message = CONTAINERD__EVENTS__CONTAINER_CREATE__INIT;
    struct berth_event event = event_of("/containers/create");
    static uint8_t packed[sizeof(id) + 64];
    struct failure watched = {.told = 0};
    struct failure silent = {.told = 0};
    struct listener other = {.count = 0};

    memset(id, 'a', sizeof(id) - 1);
    message.id = id;
    event.type_url = "containerd.events.ContainerCreate";
    event.value_length = containerd__events__container_create__pack(&message, packed);
    event.value = packed;
    assert_int_equal(
        exchange->subscribe(instance, &filter, 1, count_event, &watched, &watched.subscription, &err),
        BERTH_OK);
    exchange->watch_failure(instance, watched.subscription, leave_failed);
    assert_int_equal(
        exchange->subscribe(instance, &filter, 1, count_event, &silent, &silent.subscription, &err),
        BERTH_OK);
    listen_to(&other, NULL);
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_OK);
    assert_int_equal(exchange->publish(instance, &event, &err), BERTH_OK);
    assert_int_equal(watched.failed, 1);
    assert_int_equal(watched.told + silent.told, 0);
    assert_int_equal(other.count, 2);
    exchange->unsubscribe(instance, silent.subscription);
    leave(&other);
}

static void who_subscribes_is_known_until_it_unsubscribes(void **state)
{
    const struct berth_exchange *table = berth_testing_interface(testing);
    struct listener a = {0};

    listen_to(&a, NULL);
    assert_int_equal(berth_testing_holdings(testing, "a subscription to events"), 1);
    table->unsubscribe(berth_testing_instance(testing), a.subscription);
    assert_int_equal(berth_testing_holdings(testing, NULL), 0);
}

static void subscriptions_left_behind_go_with_the_exchange(void **state)
{
    struct listener a = {0};

    listen_to(&a, "topic~=\"x\"");
    assert_int_equal(berth_testing_close(testing, &err), BERTH_OK);
}

static void the_largest_event_is_changed_in_place(void **state)
{
    static const struct {
        const char *settings;
        enum berth_code code;
    } cases[] = {
        {"max_event_bytes: 1KiB", BERTH_RESOURCE_EXHAUSTED},
        {"max_event_bytes: 4KiB", BERTH_OK},
        {NULL, BERTH_OK},
    };
    static const uint8_t value[2048];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct berth_event event = {
            .size = sizeof(event),
            .namespace_name = "default",
            .topic = "/a",
            .type_url = "x.Y",
            .value = value,
            .value_length = sizeof(value),
        };
        const struct berth_exchange *table = berth_testing_interface(testing);

        assert_int_equal(plugin_reconfigure(testing, cases[i].settings), BERTH_OK);
        assert_int_equal(table->publish(berth_testing_instance(testing), &event, &err), cases[i].code);
    }
}

static int start_with_little_memory(void **state)
{
    start("max_kept_bytes: 64KiB");
    return 0;
}

static int start_with_small_events(void **state)
{
    start("max_event_bytes: 1KiB");
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_plain, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_are_counted_and_what_is_kept_is_measured),
        TEST(everybody_is_told_in_order),
        TEST(a_published_event_is_stamped_and_a_forwarded_one_is_not),
        TEST(what_is_published_inside_is_told_after_the_running_event),
        TEST(who_subscribes_inside_hears_what_is_published_later),
        TEST(who_unsubscribes_inside_hears_nothing_more),
        TEST(a_kept_event_outlives_the_telling),
        cmocka_unit_test_setup_teardown(what_is_kept_is_bounded, start_with_little_memory, stop),
        cmocka_unit_test_setup_teardown(what_waits_inside_is_bounded, start_with_little_memory, stop),
        TEST(a_topic_that_is_none_is_refused_in_containerds_words),
        TEST(a_very_long_topic_is_refused_with_its_reason),
        TEST(a_namespace_that_is_none_is_refused),
        TEST(a_forwarded_event_needs_a_time),
        TEST(an_event_needs_a_type_that_is_text_but_no_bytes),
        cmocka_unit_test_setup_teardown(an_event_that_is_too_large_is_refused, start_with_small_events, stop),
        TEST(a_filter_that_is_none_is_refused),
        TEST(filters_choose_by_namespace_topic_and_fields),
        TEST(filters_choose_by_labels_with_dots),
        TEST(filters_look_into_messages_but_not_into_what_any_holds),
        TEST(events_of_unknown_types_or_broken_bytes_have_no_fields),
        TEST(a_filter_that_costs_too_much_fails_its_subscription_alone),
        TEST(who_subscribes_is_known_until_it_unsubscribes),
        TEST(subscriptions_left_behind_go_with_the_exchange),
        TEST(the_largest_event_is_changed_in_place),
    };

    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
