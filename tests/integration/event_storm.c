/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many events to many subscribers, for test_events.py:
 *
 *     event_storm subscribe ADDRESS SUBSCRIBERS PUBLISHERS EVENTS
 *         each on a connection of its own; "ready" once all are subscribed, "all" once each has had that many
 *         events of every publisher, in order; or, with 1 first, the sentence with which a call has ended.
 *     event_storm publish ADDRESS PUBLISHER EVENTS
 *         several calls at a time, so that the daemon has always work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/rpc/client.h>
#include <containerd/services/events/v1/events.client.h>

#define PUBLISHERS_MAX 64
#define CALLS_AT_A_TIME 64

/* The bytes of an event, which stand at the end of its envelope. */
struct number {
    uint32_t publisher;
    uint32_t number;
};

struct subscriber {
    uint32_t next[PUBLISHERS_MAX];
    uint64_t missing;
};

static struct {
    uv_loop_t loop;
    uint64_t waiting;
    uint32_t publisher_count;
    /* Of a publisher. */
    struct berth_rpc_channel *channel;
    uint32_t publisher;
    uint32_t started;
    uint32_t events;
} storm;

static void fail(const char *what, const char *why)
{
    printf("%s: %s\n", what, why);
    exit(1);
}

static void on_headers(void *context, struct berth_rpc_call *call, const struct berth_metadata *metadata,
                       size_t count)
{
    if (--storm.waiting == 0)
        puts("ready");
}

static void on_message(void *context, struct berth_rpc_call *call, const void *message, size_t length)
{
    struct subscriber *subscriber = context;
    struct number number;

    if (length < sizeof(number))
        fail("subscriber", "an event that nobody published");
    memcpy(&number, (const char *)message + length - sizeof(number), sizeof(number));
    if (number.publisher >= storm.publisher_count || number.number != subscriber->next[number.publisher]++)
        fail("subscriber", "an event out of its order");
    if (--subscriber->missing == 0 && --storm.events == 0) {
        puts("all");
        exit(0);
    }
}

static void on_subscription_end(void *context, struct berth_rpc_call *call, enum berth_code code,
                                const char *message, const struct berth_metadata *trailers, size_t count)
{
    fail(berth_code_name(code), message);
}

static struct berth_rpc_channel *connect_to(const char *address)
{
    struct berth_rpc_channel_options options = {
        .size = sizeof(options), .address = address, .connect_attempts = 10};
    struct berth_rpc_channel *channel;
    struct berth_error err;

    if (berth_rpc_channel_create(&storm.loop, &options, &channel, &err) != BERTH_OK)
        fail("channel", err.message);
    return channel;
}

static void subscribe(const char *address, uint32_t events)
{
    static const struct berth_rpc_call_options options = {
        .size = sizeof(options),
        .path = "/containerd.services.events.v1.Events/Subscribe",
        .kind = BERTH_METHOD_SERVER_STREAM,
    };
    static const struct berth_rpc_call_handlers handlers = {.size = sizeof(handlers),
                                                            .on_headers = on_headers,
                                                            .on_message = on_message,
                                                            .on_end = on_subscription_end};
    struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
    struct berth_rpc_call *call;
    struct berth_error err;

    if (subscriber == NULL)
        abort();
    subscriber->missing = (uint64_t)events * storm.publisher_count;
    if (berth_rpc_call_start(connect_to(address), &options, &handlers, subscriber, &call, &err) != BERTH_OK)
        fail("subscribe", err.message);
    berth_rpc_call_send(call, "", 0);
    berth_rpc_call_half_close(call);
}

static void start_publish(void);

static void on_published(void *context, struct berth_rpc_call *call, enum berth_code code,
                         const char *message, const struct berth_metadata *trailers, size_t count)
{
    if (code != BERTH_OK)
        fail(berth_code_name(code), message);
    if (storm.started < storm.events)
        start_publish();
    if (--storm.waiting == 0)
        berth_rpc_channel_close(storm.channel, NULL, NULL);
}

static void start_publish(void)
{
    static const struct containerd_services_events_v1_events_publish_events handlers = {.on_end =
                                                                                            on_published};
    static const struct berth_metadata namespace_name = {"containerd-namespace", "storm", 5};
    static const struct berth_rpc_call_options options = {
        .size = sizeof(options), .metadata = &namespace_name, .metadata_count = 1};
    struct number number = {storm.publisher, storm.started++};
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    Containerd__Services__Events__V1__PublishRequest request =
        CONTAINERD__SERVICES__EVENTS__V1__PUBLISH_REQUEST__INIT;
    struct berth_error err;

    any.type_url = (char *)(uintptr_t) "containerd.test.events.Number";
    any.value = (ProtobufCBinaryData){sizeof(number), (uint8_t *)&number};
    request.topic = (char *)(uintptr_t) "/storm/number";
    request.event = &any;
    storm.waiting++;
    if (containerd_services_events_v1_events_publish_start(storm.channel, &options, &request, &handlers, NULL,
                                                           NULL, &err) != BERTH_OK)
        fail("publish", err.message);
}

static void publish(const char *address, uint32_t publisher, uint32_t events)
{
    storm.channel = connect_to(address);
    storm.publisher = publisher;
    storm.events = events;
    while (storm.started < events && storm.waiting < CALLS_AT_A_TIME)
        start_publish();
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    uv_loop_init(&storm.loop);
    if (argc == 6 && strcmp(argv[1], "subscribe") == 0) {
        storm.waiting = storm.events = (uint32_t)atoi(argv[3]);
        storm.publisher_count = (uint32_t)atoi(argv[4]);
        for (uint32_t i = 0; i < storm.waiting; i++)
            subscribe(argv[2], (uint32_t)atoi(argv[5]));
    } else if (argc == 5 && strcmp(argv[1], "publish") == 0) {
        publish(argv[2], (uint32_t)atoi(argv[3]), (uint32_t)atoi(argv[4]));
    } else {
        fputs("usage: event_storm subscribe ADDRESS SUBSCRIBERS PUBLISHERS EVENTS\n"
              "       event_storm publish ADDRESS PUBLISHER EVENTS\n",
              stderr);
        return 2;
    }
    return uv_run(&storm.loop, UV_RUN_DEFAULT);
}
