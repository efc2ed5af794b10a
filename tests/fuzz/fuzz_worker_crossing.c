/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon whose worker says anything about itself and about the interfaces that it uses: those are of a
 * store in memory, and of an exchange, deprecations and opt that keep what they are told. The input is a row
 * of packets without calls: type, two bytes of length, body. Types from 128 on have the worker asked before
 * to save a state and to load one.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <berth/store_memory.h>
#include <berth/types/deprecations.h>
#include <berth/types/events.h>
#include <berth/types/opt.h>
#include <berth/types/tracing.h>

#include <core/crossing/crossing.h>

#define URI "a.v1.b"

struct berth_subscription {
    void (*on_event)(void *context, const struct berth_event *event);
    void *context;
};

static struct berth_subscription *subscriptions[ASK_SUBSCRIPTIONS_MAX];
static struct berth_store_memory *memory;
static struct crossing crossing;
static struct channel channel;
static unsigned open_parts;

static const char *opt_path(void *instance)
{
    return "/opt/bin";
}

static const char *const *opt_environment(void *instance)
{
    static const char *const environment[] = {"PATH=/bin", "SECRET=x", NULL};

    return environment;
}

static enum berth_code on_emit(void *instance, const char *id, const char *message, struct berth_error *err)
{
    assert(strncmp(id, URI, strlen(URI)) == 0 || id[0] == '\0');
    assert(strlen(message) < PACKET_BODY_MAX);
    return BERTH_OK;
}

static enum berth_code on_publish(void *instance, const struct berth_event *event, struct berth_error *err)
{
    struct berth_event told = *event;

    assert(strlen(event->namespace_name) + strlen(event->topic) + strlen(event->type_url) < PACKET_BODY_MAX);
    told.envelope = "envelope";
    told.envelope_length = 8;
    for (size_t i = 0; i < ASK_SUBSCRIPTIONS_MAX; i++)
        if (subscriptions[i] != NULL)
            subscriptions[i]->on_event(subscriptions[i]->context, &told);
    return BERTH_OK;
}

static enum berth_code on_subscribe(void *instance, const char *const *filters, size_t filter_count,
                                    void (*on_event)(void *context, const struct berth_event *event),
                                    void *context, struct berth_subscription **ret_subscription,
                                    struct berth_error *err)
{
    size_t place = 0;

    assert(filter_count <= ASK_FILTERS_MAX);
    for (size_t i = 0; i < filter_count; i++)
        if (filters[i][0] == '!')
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "no such filter");
    while (subscriptions[place] != NULL)
        assert(++place < ASK_SUBSCRIPTIONS_MAX);
    *ret_subscription = subscriptions[place] = malloc(sizeof(**ret_subscription));
    *subscriptions[place] = (struct berth_subscription){on_event, context};
    return BERTH_OK;
}

static void on_unsubscribe(void *instance, struct berth_subscription *subscription)
{
    for (size_t i = 0; i < ASK_SUBSCRIPTIONS_MAX; i++)
        if (subscriptions[i] == subscription)
            subscriptions[i] = NULL;
    free(subscription);
}

static const struct berth_opt opt = {
    .size = sizeof(opt), .bin = opt_path, .lib = opt_path, .environment = opt_environment};
static const struct berth_deprecations deprecations = {.size = sizeof(deprecations), .emit = on_emit};
static const struct berth_exchange exchange = {
    .size = offsetof(struct berth_exchange, watch_failure),
    .publish = on_publish,
    .forward = on_publish,
    .subscribe = on_subscribe,
    .unsubscribe = on_unsubscribe,
};

struct berth_span_source {
    char unused;
};

static struct berth_span_source source;
static struct berth_span *spans[ASK_SPANS_MAX];

static void on_attribute(struct berth_span *span, const struct berth_attribute *attribute)
{
    assert(strlen(attribute->key) < PACKET_BODY_MAX && attribute->kind <= BERTH_ATTRIBUTE_DOUBLE);
    assert(attribute->kind != BERTH_ATTRIBUTE_TEXT || strlen(attribute->text) < PACKET_BODY_MAX);
}

static void on_attributes(struct berth_span *span, const struct berth_attribute *attributes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        on_attribute(span, &attributes[i]);
}

static void on_span_event(struct berth_span *span, const char *name)
{
    assert(strlen(name) < PACKET_BODY_MAX);
}

static void on_span_event_with(struct berth_span *span, const char *name,
                               const struct berth_attribute *attributes, size_t count)
{
    on_span_event(span, name);
    on_attributes(span, attributes, count);
}

static void on_link(struct berth_span *span, const struct berth_trace *to,
                    const struct berth_attribute *attributes, size_t count)
{
    on_attributes(span, attributes, count);
}

static void on_status(struct berth_span *span, enum berth_span_status status, const char *message)
{
    assert(status <= BERTH_SPAN_ERROR);
}

static void on_span_end(struct berth_span *span)
{
    size_t i = 0;

    while (i < ASK_SPANS_MAX && spans[i] != span)
        i++;
    assert(i < ASK_SPANS_MAX);
    spans[i] = NULL;
    free(span);
}

static struct berth_span_source *on_open(void *instance, const char *uri)
{
    assert(strcmp(uri, URI) == 0);
    return &source;
}

static void on_close(void *instance, struct berth_span_source *closed)
{
    for (size_t i = 0; i < ASK_SPANS_MAX; i++) {
        free(spans[i]);
        spans[i] = NULL;
    }
}

static struct berth_span *on_span(void *instance, struct berth_span_source *opened,
                                  const struct berth_trace *parent, const char *name,
                                  enum berth_span_kind kind)
{
    static const struct berth_span_ops ops = {.size = sizeof(ops),
                                              .set = on_attribute,
                                              .add_event = on_span_event,
                                              .set_status = on_status,
                                              .end = on_span_end,
                                              .add_event_with = on_span_event_with,
                                              .add_link = on_link};
    size_t i = 0;

    while (i < ASK_SPANS_MAX && spans[i] != NULL)
        i++;
    assert(i < ASK_SPANS_MAX);
    spans[i] = calloc(1, sizeof(*spans[i]));
    assert(spans[i] != NULL);
    spans[i]->ops = &ops;
    return spans[i];
}

static const struct berth_tracing tracing = {
    .size = sizeof(tracing), .open = on_open, .close = on_close, .start = on_span};

static const struct {
    const char *uri;
    const void *interface;
} provided[] = {
    {BERTH_OPT_URI, &opt},           {BERTH_DEPRECATIONS_URI, &deprecations},
    {BERTH_EXCHANGE_URI, &exchange}, {BERTH_STORE_TYPE ".memory", &berth_store_interface},
    {"io.nobody.v1.crosses", &opt},  {"io.nobody.v1.bare", NULL},
    {BERTH_TRACING_URI, &tracing},
};

#define PROVIDED (sizeof(provided) / sizeof(provided[0]))

static struct berth_ref ref_to(size_t i)
{
    return (struct berth_ref){provided[i].uri, provided[i].interface, memory, 1};
}

/* By the last letter of what is asked for, so that the fuzzer finds all. */
static enum berth_code on_get(const struct berth_host *host, const char *uri, struct berth_ref *ret_ref,
                              struct berth_error *err)
{
    size_t length = strlen(uri);

    if (length == 0)
        return berth_error_set(err, BERTH_NOT_FOUND, "nobody provides it");
    *ret_ref = ref_to((size_t)uri[length - 1] % PROVIDED);
    return BERTH_OK;
}

static enum berth_code on_each(const struct berth_host *host, const char *type,
                               bool (*on_ref)(void *context, const struct berth_ref *ref), void *context,
                               struct berth_error *err)
{
    for (size_t i = 0; i < PROVIDED; i++) {
        const struct berth_ref ref = ref_to(i);

        if (!on_ref(context, &ref))
            break;
    }
    return BERTH_OK;
}

static bool logs(const struct berth_host *host, enum berth_log_level level)
{
    return true;
}

static void on_log(const struct berth_host *host, enum berth_log_level level, const char *text)
{
    assert(strlen(text) < BERTH_LOG_MAX + 64);
}

static enum berth_code on_texts(const struct berth_host *host, const char *one, const char *other)
{
    assert(strlen(one) <= PACKET_PUBLISHED_MAX && strlen(other) <= PACKET_PUBLISHED_MAX);
    return BERTH_OK;
}

static enum berth_code on_platform(const struct berth_host *host, const char *os, const char *architecture,
                                   const char *variant)
{
    return on_texts(host, os, architecture);
}

static enum berth_code on_capability(const struct berth_host *host, const char *capability)
{
    return on_texts(host, capability, "");
}

static struct berth_hold *on_hold(const struct berth_host *host, const char *what)
{
    return NULL;
}

static void on_release(const struct berth_host *host, struct berth_hold *hold)
{
}

static void on_condition(const struct berth_host *host, enum berth_code code, const char *message)
{
    assert(strlen(message) < PACKET_BODY_MAX);
}

static void on_misuse(const struct berth_host *host, const char *what, const void *caller)
{
}

static const struct berth_host host = {
    .size = sizeof(host),
    .uri = URI,
    .logs = logs,
    .log = on_log,
    .get = on_get,
    .get_single = on_get,
    .each = on_each,
    .add_export = on_texts,
    .add_platform = on_platform,
    .add_capability = on_capability,
    .hold = on_hold,
    .release = on_release,
    .fail = on_condition,
    .report = on_condition,
    .report_misuse = on_misuse,
};

static enum berth_code on_state(const struct berth_state_writer *writer, const void *bytes, size_t length,
                                struct berth_error *err)
{
    assert(length <= PACKET_BODY_MAX);
    return length > 100 ? berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "too much") : BERTH_OK;
}

static void ask_for_state(void)
{
    static const struct berth_state_writer writer = {.size = sizeof(writer), .write = on_state};
    static const char state[2u << 20];
    const char *message = "";

    assert(crossing_end_state(&crossing, &message) == BERTH_OK || message[0] != '\0');
    crossing_save(&crossing, &writer);
    crossing_load(&crossing, state, sizeof(state));
}

static void on_packet(struct channel *unused, const struct packet *packet)
{
}

static void on_broken(struct channel *unused, const char *reason)
{
    assert(reason[0] != '\0');
}

static void on_channel_closed(struct channel *unused)
{
    open_parts--;
}

static void on_crossing_closed(struct crossing *unused)
{
    assert(crossing.changes == 0);
    open_parts--;
}

static void on_store_closed(void *context)
{
    open_parts--;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct manifest_plugin plugin = {.uri = URI};
    char sink[65536];
    uv_loop_t loop;
    int pair[2];

    channel = (struct channel){.on_packet = on_packet, .on_broken = on_broken};
    crossing = (struct crossing){.plugin = &plugin, .channel = &channel};
    assert(uv_loop_init(&loop) == 0);
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    assert(channel_open(&channel, &loop, pair[0]) == 0);
    memory = berth_store_memory_create(&loop);
    assert(memory != NULL);
    crossing_init(&crossing);
    crossing_begin(&crossing, &host);
    crossing_open(&crossing, &loop);
    while (size >= 3 && !channel.is_broken) {
        size_t length = (size_t)data[1] << 8 | data[2];
        struct packet packet = {.type = (enum packet_type)(data[0] % 128 % PACKET_TYPES), .body = data + 3};

        packet.length = length < size - 3 ? length : size - 3;
        if (data[0] >= 128)
            ask_for_state();
        crossing_take(&crossing, &packet);
        data += 3 + packet.length;
        size -= 3 + packet.length;
        /* What was asked for is answered, and read: then something else may be asked for. */
        uv_run(&loop, UV_RUN_NOWAIT);
        while (recv(pair[1], sink, sizeof(sink), MSG_DONTWAIT) > 0)
            ;
    }
    crossing_end(&crossing);
    for (size_t i = 0; i < ASK_SUBSCRIPTIONS_MAX; i++)
        assert(subscriptions[i] == NULL);
    open_parts = 3;
    crossing_close(&crossing, on_crossing_closed);
    while (crossing.changes > 0)
        uv_run(&loop, UV_RUN_ONCE);
    channel_close(&channel, on_channel_closed);
    berth_store_memory_close(memory, on_store_closed, NULL);
    while (open_parts > 0)
        uv_run(&loop, UV_RUN_ONCE);
    crossing_finish(&crossing);
    close(pair[1]);
    assert(uv_loop_close(&loop) == 0);
    return 0;
}
