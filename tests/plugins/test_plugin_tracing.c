/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of calls and of plugins, which are recorded, and what the variables of OpenTelemetry mean. */
#include <malloc.h>

#include "state_stage.h"

#include <berth/types/tracing.h>
#include <opentelemetry/proto/trace/v1/trace.pb-c.h>

#include <plugins/tracing/batch.h>
#include <plugins/tracing/options.h>
#include <plugins/tracing/sampler.h>
#include <plugins/tracing/transport.h>

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define UNSAMPLED "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

#define AUTHOR "io.test.v1.author"

/* What the processor was told: the last span, and its attributes and events as "key=value ". */
static struct {
    unsigned count;
    struct berth_span_data data;
    char name[128], state[64], scope[128], message[128], attributes[2048], events[2048], links[1024];
    /* Of all events and links. */
    uint32_t dropped_details;
} told;

/* Of the last call. */
static struct berth_trace seen;
static bool has_seen;
static struct berth_tracer tracer;

static void add_attributes(char *text, size_t size, const struct berth_attribute *attributes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct berth_attribute *one = &attributes[i];
        char value[64];

        if (one->kind == BERTH_ATTRIBUTE_TEXT)
            snprintf(value, sizeof(value), "%s", one->text);
        else if (one->kind == BERTH_ATTRIBUTE_INT)
            snprintf(value, sizeof(value), "%lld", (long long)one->number);
        else if (one->kind == BERTH_ATTRIBUTE_BOOL)
            snprintf(value, sizeof(value), "%s", one->truth ? "true" : "false");
        else
            snprintf(value, sizeof(value), "%g", one->real);
        snprintf(text + strlen(text), size - strlen(text), "%s=%s ", one->key, value);
    }
}

static void add_details(char *text, size_t size, const struct berth_span_details *details)
{
    told.dropped_details += details->dropped;
    if (details->count == 0)
        return;
    snprintf(text + strlen(text), size - strlen(text), "( ");
    add_attributes(text, size, details->attributes, details->count);
    snprintf(text + strlen(text), size - strlen(text), ") ");
}

static void on_span(void *instance, const struct berth_span_data *span)
{
    char id[BERTH_TRACE_ID_LENGTH + 1];

    told.count++;
    told.data = *span;
    told.dropped_details = 0;
    snprintf(told.name, sizeof(told.name), "%s", span->name);
    snprintf(told.state, sizeof(told.state), "%s", span->tracestate);
    snprintf(told.scope, sizeof(told.scope), "%s", span->scope);
    snprintf(told.message, sizeof(told.message), "%s", span->status_message);
    told.attributes[0] = told.events[0] = told.links[0] = '\0';
    add_attributes(told.attributes, sizeof(told.attributes), span->attributes, span->attribute_count);
    for (size_t i = 0; i < span->event_count; i++) {
        snprintf(told.events + strlen(told.events), sizeof(told.events) - strlen(told.events), "%s ",
                 span->events[i].name);
        add_details(told.events, sizeof(told.events), &span->event_details[i]);
    }
    for (size_t i = 0; i < span->link_count; i++) {
        berth_trace_format_id(&span->links[i].to, id);
        snprintf(told.links + strlen(told.links), sizeof(told.links) - strlen(told.links), "%.4s ", id);
        add_details(told.links, sizeof(told.links), &span->links[i].details);
    }
}

static const struct berth_span_processor processor = {.size = sizeof(processor), .on_span = on_span};

static void say(struct berth_call *call, const void *message, size_t length)
{
    has_seen = call->trace != NULL;
    if (has_seen)
        seen = *call->trace;
    if (length == 3)
        berth_call_finish(call, BERTH_NOT_FOUND, "no such thing");
    else if (length == 5)
        berth_call_finish(call, BERTH_INTERNAL, "broken");
    else
        berth_call_reply(call, "", 0);
}

static const struct berth_method methods[] = {{.name = "Say", .on_message = say}};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "test.Trace",
    .methods = methods,
    .method_count = 1,
};

static void clear_environment(void)
{
    static const char *const names[] = {
        "SDK_DISABLED",       "TRACES_EXPORTER",    "TRACES_SAMPLER",      "TRACES_SAMPLER_ARG",
        "PROPAGATORS",        "SERVICE_NAME",       "RESOURCE_ATTRIBUTES", "SEMCONV_STABILITY_OPT_IN",
        "BSP_SCHEDULE_DELAY", "BSP_EXPORT_TIMEOUT", "BSP_MAX_QUEUE_SIZE",  "BSP_MAX_EXPORT_BATCH_SIZE"};
    static const char *const parts[] = {"ENDPOINT",    "PROTOCOL",   "HEADERS",
                                        "TIMEOUT",     "INSECURE",   "CERTIFICATE",
                                        "COMPRESSION", "CLIENT_KEY", "CLIENT_CERTIFICATE"};
    char name[64];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(name, sizeof(name), "OTEL_%s", names[i]);
        unsetenv(name);
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        snprintf(name, sizeof(name), "OTEL_EXPORTER_OTLP_%s", parts[i]);
        unsetenv(name);
        snprintf(name, sizeof(name), "OTEL_EXPORTER_OTLP_TRACES_%s", parts[i]);
        unsetenv(name);
    }
}

static struct berth_testing *create(struct berth_error *err)
{
    struct berth_testing *testing = berth_testing_create(&berth_module, BERTH_TRACING_URI, NULL, err);

    if (testing == NULL)
        fail_msg("%s", err->message);
    berth_testing_provide(testing, BERTH_SPAN_PROCESSOR_TYPE ".test", &processor, NULL);
    berth_testing_provide(testing, AUTHOR, NULL, NULL);
    return testing;
}

static struct berth_testing *start(void)
{
    struct berth_error err;
    struct berth_testing *testing = create(&err);

    memset(&told, 0, sizeof(told));
    if (berth_testing_start(testing, &err) != BERTH_OK ||
        berth_testing_provide_service(testing, &service, NULL, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return testing;
}

static void finish(struct berth_testing *testing)
{
    struct berth_error err = {""};

    if (berth_testing_destroy(testing, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    clear_environment();
}

static void call_with(struct berth_testing *testing, const char *message, const char *transport,
                      const struct berth_metadata *metadata, size_t count)
{
    const struct berth_testing_call_options options = {
        .metadata = metadata, .metadata_count = count, .transport = transport};
    struct berth_testing_call *made = berth_testing_call_create(testing, "/test.Trace/Say", &options);

    berth_testing_call_send(made, message, strlen(message));
    if (strcmp(message, "slow") == 0)
        berth_testing_advance(testing, 3);
    berth_testing_call_half_close(made);
    berth_testing_run(testing);
    berth_testing_call_destroy(made);
}

static void call(struct berth_testing *testing, const char *message, const char *parent, const char *state)
{
    const struct berth_metadata metadata[] = {{"traceparent", parent, strlen(parent)},
                                              {"tracestate", state, strlen(state)}};

    call_with(testing, message, NULL, metadata, (*parent != '\0') + (*state != '\0'));
}

static void a_call_has_a_span_below_its_callers(void **state)
{
    struct berth_testing *testing = start();
    struct berth_trace parent;

    assert_true(berth_trace_parse(PARENT, strlen(PARENT), &parent));
    call(testing, "slow", PARENT, "a=1");
    assert_int_equal(told.count, 1);
    assert_string_equal(told.name, "test.Trace/Say");
    assert_string_equal(told.state, "a=1");
    assert_string_equal(told.scope, BERTH_TRACING_URI);
    assert_int_equal(told.data.kind, BERTH_SPAN_SERVER);
    assert_int_equal(told.data.status, BERTH_SPAN_UNSET);
    assert_memory_equal(told.data.trace.trace_id, parent.trace_id, 16);
    assert_memory_equal(told.data.parent_id, parent.span_id, 8);
    assert_true(told.data.parent_is_remote);
    assert_int_equal(told.data.end_ns - told.data.start_ns, 3000000);
    assert_non_null(strstr(told.attributes, "rpc.system.name=grpc rpc.method=test.Trace/Say "
                                            "rpc.response.status_code=OK "));
    assert_true(has_seen);
    assert_memory_equal(&seen, &told.data.trace, sizeof(seen));
    finish(testing);
}

static void a_call_without_a_parent_begins_a_trace(void **state)
{
    static const uint8_t nobody[8];
    struct berth_testing *testing = start();

    call(testing, "x", "", "");
    assert_int_equal(told.count, 1);
    assert_memory_equal(told.data.parent_id, nobody, 8);
    assert_false(told.data.parent_is_remote);
    call(testing, "x", "00-0-0-01", "a=1");
    assert_int_equal(told.count, 2);
    assert_memory_equal(told.data.parent_id, nobody, 8);
    assert_string_equal(told.state, "");
    assert_true(berth_testing_has_logged(testing, "ignored invalid trace headers"));
    assert_true(berth_testing_has_logged(testing, "traceparent=1 "));
    finish(testing);
}

static void a_call_that_is_not_sampled_has_its_place_and_no_span(void **state)
{
    struct berth_testing *testing = start();
    struct berth_trace parent;

    assert_true(berth_trace_parse(UNSAMPLED, strlen(UNSAMPLED), &parent));
    call(testing, "x", UNSAMPLED, "");
    assert_int_equal(told.count, 0);
    assert_true(has_seen);
    assert_memory_equal(seen.trace_id, parent.trace_id, 16);
    assert_memory_not_equal(seen.span_id, parent.span_id, 8);
    assert_int_equal(seen.flags, 0);
    finish(testing);
}

static void only_the_servers_faults_are_errors(void **state)
{
    struct berth_testing *testing = start();

    call(testing, "bad", "", "");
    assert_int_equal(told.data.status, BERTH_SPAN_UNSET);
    assert_non_null(strstr(told.attributes, "rpc.response.status_code=NOT_FOUND "));
    call(testing, "fails", "", "");
    assert_int_equal(told.data.status, BERTH_SPAN_ERROR);
    assert_string_equal(told.message, "broken");
    assert_non_null(strstr(told.attributes, "error.type=INTERNAL "));
    finish(testing);
}

static void conventions_are_those_of_the_transport_and_of_the_variable(void **state)
{
    struct berth_testing *testing = start();

    call_with(testing, "bad", "ttrpc", NULL, 0);
    assert_non_null(strstr(told.attributes, "rpc.system=ttrpc rpc.service=test.Trace rpc.method=Say "
                                            "rpc.grpc.status_code=5 "));
    finish(testing);
    setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http,rpc/old", 1);
    testing = start();
    call_with(testing, "x", "grpc", NULL, 0);
    assert_non_null(strstr(told.attributes, "rpc.system=grpc rpc.service=test.Trace rpc.method=Say "
                                            "rpc.grpc.status_code=0 "));
    assert_null(strstr(told.attributes, "rpc.system.name"));
    finish(testing);
}

static void hostile_lists_are_counted_and_stay_out_of_the_span(void **state)
{
    static char baggage[1 << 20];
    struct berth_testing *testing = start();
    const struct berth_metadata metadata[] = {
        {"traceparent", PARENT, strlen(PARENT)},
        {"tracestate", "A=1", 3},
        {"baggage", baggage, sizeof(baggage)},
    };

    memset(baggage, 'x', sizeof(baggage));
    call_with(testing, "x", NULL, metadata, 3);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.state, "");
    assert_int_equal(berth_testing_close(testing, &(struct berth_error){""}), BERTH_OK);
    assert_true(berth_testing_has_logged(testing, "tracestate=1 baggage=1 "));
    finish(testing);
}

static void open_tracer(struct berth_testing *testing, const char *uri)
{
    tracer.tracing = berth_testing_interface(testing);
    tracer.instance = berth_testing_instance(testing);
    tracer.source = tracer.tracing->open(tracer.instance, uri);
    assert_non_null(tracer.source);
}

static void who_has_a_tracer_is_known_until_it_is_closed(void **state)
{
    struct berth_testing *testing = start();
    const struct berth_tracing *tracing = berth_testing_interface(testing);
    struct berth_span_source *source = tracing->open(berth_testing_instance(testing), AUTHOR);

    assert_int_equal(berth_testing_holdings(testing, "a tracer"), 1);
    tracing->close(berth_testing_instance(testing), source);
    assert_int_equal(berth_testing_holdings(testing, NULL), 0);
    finish(testing);
}

static void a_plugin_records_spans_of_its_own(void **state)
{
    struct berth_testing *testing = start();
    struct berth_span *span, *child;
    struct berth_trace parent;

    open_tracer(testing, AUTHOR);
    assert_true(berth_trace_parse(PARENT, strlen(PARENT), &parent));
    span = berth_span_start(&tracer, &parent, "resize");
    berth_span_set(span, "text", "a");
    berth_span_set_int(span, "int", -1);
    berth_span_set_bool(span, "bool", true);
    berth_span_set_double(span, "double", 1.5);
    berth_span_set(span, "text", "b\xff");
    berth_span_event(span, "began");
    berth_testing_advance(testing, 2);
    berth_span_event(span, "went on");
    berth_span_set_status(span, BERTH_SPAN_ERROR, "no paper");
    child = berth_span_start_client(&tracer, berth_span_trace(span), "print");
    berth_span_end(child);
    assert_string_equal(told.name, "print");
    assert_int_equal(told.data.kind, BERTH_SPAN_CLIENT);
    assert_memory_equal(told.data.parent_id, span->trace.span_id, 8);
    assert_false(told.data.parent_is_remote);
    berth_span_end(span);
    assert_string_equal(told.name, "resize");
    assert_string_equal(told.scope, AUTHOR);
    assert_string_equal(told.attributes, "text=b? int=-1 bool=true double=1.5 ");
    assert_string_equal(told.events, "began went on ");
    assert_string_equal(told.message, "no paper");
    assert_int_equal(told.data.kind, BERTH_SPAN_INTERNAL);
    assert_memory_equal(told.data.parent_id, parent.span_id, 8);
    parent.flags = 0;
    assert_null(berth_span_start(&tracer, &parent, "unsampled"));
    berth_tracer_close(&tracer);
    finish(testing);
}

static struct berth_attribute text_of(const char *key, const char *text)
{
    return (struct berth_attribute){.key = key, .kind = BERTH_ATTRIBUTE_TEXT, .text = text};
}

static void events_and_links_have_attributes(void **state)
{
    const struct berth_attribute attributes[] = {
        text_of("a", "first"),
        {.key = "b", .kind = BERTH_ATTRIBUTE_INT, .number = 7},
        text_of("a", "last"),
    };
    struct berth_testing *testing = start();
    struct berth_trace parent, other;
    struct berth_span *span;

    open_tracer(testing, AUTHOR);
    assert_true(berth_trace_parse(PARENT, strlen(PARENT), &parent));
    other = parent;
    other.trace_id[0] = 0xff;
    span = berth_span_start(&tracer, NULL, "batch");
    berth_span_event(span, "plain");
    berth_span_event_with(span, "rich", attributes, 3);
    berth_span_event_with(span, "poor", NULL, 0);
    berth_span_link(span, &parent, NULL, 0);
    berth_span_link(span, NULL, attributes, 3);
    berth_span_link(span, &other, attributes, 2);
    berth_span_end(span);
    assert_string_equal(told.events, "plain rich ( b=7 a=last ) poor ");
    assert_string_equal(told.links, "0af7 fff7 ( a=first b=7 ) ");
    assert_string_equal(told.attributes, "");
    assert_int_equal(told.dropped_details, 0);
    /* Nothing of it is in the next one, which has its memory. */
    span = berth_span_start(&tracer, NULL, "next");
    berth_span_event(span, "plain");
    berth_span_end(span);
    assert_string_equal(told.events, "plain ");
    assert_string_equal(told.links, "");
    berth_tracer_close(&tracer);
    finish(testing);
}

/* Of an older tracing plugin. */
static char older_events[64];

static void older_add_event(struct berth_span *span, const char *name)
{
    snprintf(older_events + strlen(older_events), sizeof(older_events) - strlen(older_events), "%s ", name);
}

static void an_older_tracing_plugin_takes_the_names_alone(void **state)
{
    const struct berth_span_ops ops = {.size = offsetof(struct berth_span_ops, add_event_with),
                                       .add_event = older_add_event};
    const struct berth_attribute attribute = text_of("a", "b");
    struct berth_span span = {.ops = &ops};

    berth_span_event_with(&span, "rich", &attribute, 1);
    berth_span_link(&span, &span.trace, &attribute, 1);
    assert_string_equal(older_events, "rich ");
}

static void what_is_not_recorded_costs_nothing_to_write_to(void **state)
{
    struct berth_tracer none = {.tracing = NULL};
    struct berth_span *span = berth_span_start(&none, NULL, "x");

    assert_null(span);
    assert_null(berth_span_trace(span));
    berth_span_set(span, "a", "b");
    berth_span_event(span, "c");
    berth_span_event_with(span, "c", NULL, 0);
    berth_span_link(span, NULL, NULL, 0);
    berth_span_set_status(span, BERTH_SPAN_OK, NULL);
    berth_span_end(span);
    berth_tracer_close(&none);
}

static void what_a_plugin_leaves_open_is_dropped(void **state)
{
    struct berth_testing *testing = start();

    open_tracer(testing, AUTHOR);
    assert_non_null(berth_span_start(&tracer, NULL, "left"));
    berth_tracer_close(&tracer);
    open_tracer(testing, "io.test.v1.gone");
    assert_non_null(berth_span_start(&tracer, NULL, "left too"));
    /* No plugin of that URI runs. */
    berth_testing_set_daemon(testing, true, false);
    berth_testing_run(testing);
    assert_int_equal(told.count, 0);
    assert_int_equal(berth_testing_close(testing, &(struct berth_error){""}), BERTH_OK);
    assert_true(berth_testing_has_logged(testing, "spans_left_open=2"));
    memset(&tracer, 0, sizeof(tracer));
    finish(testing);
}

static void a_span_has_limits(void **state)
{
    const struct berth_attribute few[] = {text_of("a", "1"), text_of("b", "2"), text_of("c", "3"),
                                          text_of("d", "4"), text_of("e", "5")};
    static char text[4096];
    struct berth_testing *testing = start();
    struct berth_span *span;
    char key[16];

    open_tracer(testing, AUTHOR);
    memset(text, 'x', sizeof(text) - 1);
    span = berth_span_start(&tracer, NULL, text);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        berth_span_set_int(span, key, i);
        berth_span_event(span, "e");
    }
    for (int i = 0; i < 20; i++)
        berth_span_link(span, berth_span_trace(span), few, 5);
    berth_span_end(span);
    assert_int_equal(told.data.attribute_count, BERTH_SPAN_ATTRIBUTES_MAX);
    assert_int_equal(told.data.dropped_attributes, 100 - BERTH_SPAN_ATTRIBUTES_MAX);
    assert_int_equal(told.data.event_count, BERTH_SPAN_EVENTS_MAX);
    assert_int_equal(told.data.dropped_events, 100 - BERTH_SPAN_EVENTS_MAX);
    assert_int_equal(told.data.link_count, BERTH_SPAN_LINKS_MAX);
    assert_int_equal(told.data.dropped_links, 20 - BERTH_SPAN_LINKS_MAX);
    assert_int_equal(told.dropped_details, 5 * BERTH_SPAN_LINKS_MAX - BERTH_SPAN_DETAILS_MAX);
    berth_tracer_close(&tracer);
    finish(testing);
}

/* What was replaced is left out, and what was set last is there. */
static void a_span_that_is_changed_for_days_stays_small(void **state)
{
    struct berth_testing *testing = start();
    struct berth_span *span;
    char text[1024];
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;

    open_tracer(testing, AUTHOR);
    span = berth_span_start(&tracer, NULL, "days");
    berth_span_event_with(span, "began", &(struct berth_attribute){.key = "by", .text = "me"}, 1);
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "%01000d", i);
        berth_span_set(span, "rest", text);
        if (i % 2 == 0)
            berth_span_set(span, "progress", text + 995);
        else
            berth_span_set_int(span, "progress", i);
        berth_span_set_status(span, BERTH_SPAN_ERROR, text + 995);
    }
    berth_span_set(span, "rest", "done");
    assert_true(mallinfo2().uordblks + mallinfo2().hblkhd < before + ((size_t)2 << 20));
    berth_span_end(span);
    assert_string_equal(told.name, "days");
    assert_string_equal(told.attributes, "rest=done progress=19999 ");
    assert_string_equal(told.events, "began ( by=me ) ");
    assert_string_equal(told.message, "19999");
    berth_tracer_close(&tracer);
    finish(testing);
}

static void samplers_decide_by_parent_and_ratio(void **state)
{
    static const struct {
        const char *name, *argument;
        /* Without a parent, below one that is sampled, below one that is not: for an ID of high value. */
        bool root, sampled, unsampled;
    } cases[] = {
        {"", "", true, true, false},
        {"always_on", "", true, true, true},
        {"always_off", "", false, false, false},
        {"traceidratio", "", true, true, true},
        {"traceidratio", "0.5", false, false, false},
        {"traceidratio", "1", true, true, true},
        {"traceidratio", "0", false, false, false},
        {"parentbased_always_on", "", true, true, false},
        {"parentbased_always_off", "", false, true, false},
        {"parentbased_traceidratio", "0.25", false, true, false},
    };
    const uint8_t high[16] = {[8] = 0xff, [15] = 1}, low[16] = {[8] = 0x0f, [15] = 1};
    const struct berth_trace sampled = {.flags = BERTH_TRACE_SAMPLED}, unsampled = {.flags = 0};
    struct sampler sampler;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setenv("OTEL_TRACES_SAMPLER", cases[i].name, 1);
        setenv("OTEL_TRACES_SAMPLER_ARG", cases[i].argument, 1);
        assert_int_equal(sampler_init(&sampler, &(struct berth_error){""}), BERTH_OK);
        assert_int_equal(sampler_decide(&sampler, NULL, high), cases[i].root);
        assert_int_equal(sampler_decide(&sampler, &sampled, high), cases[i].sampled);
        assert_int_equal(sampler_decide(&sampler, &unsampled, high), cases[i].unsampled);
    }
    assert_true(sampler_decide(&sampler, NULL, low));
    clear_environment();
}

static void refuses_to_start(const char *variable, const char *value, const char *why)
{
    struct berth_error err = {""};
    struct berth_testing *testing = create(&err);

    setenv(variable, value, 1);
    assert_int_equal(berth_testing_start(testing, &err), BERTH_INVALID_ARGUMENT);
    if (strstr(err.message, why) == NULL)
        fail_msg("%s", err.message);
    finish(testing);
}

static void a_variable_without_effect_is_an_error(void **state)
{
    refuses_to_start("OTEL_TRACES_SAMPLER", "jaeger_remote", "OTEL_TRACES_SAMPLER: \"jaeger_remote\" is not");
    refuses_to_start("OTEL_TRACES_SAMPLER_ARG", "0.5",
                     "has no effect with the sampler parentbased_always_on");
    refuses_to_start("OTEL_PROPAGATORS", "b3", "OTEL_PROPAGATORS: \"b3\" is not supported");
    setenv("OTEL_TRACES_SAMPLER", "traceidratio", 1);
    refuses_to_start("OTEL_TRACES_SAMPLER_ARG", "2", "\"2\" is not a ratio from 0 to 1");
}

static void the_exporters_variables_are_checked(void **state)
{
    static const struct {
        const char *variables, *problem;
    } cases[] = {
        {"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTLP_PROTOCOL: \"http/json\" is not supported"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318", "is not a URL (try http://localhost:4318)"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=http://a:1/v1/traces", "has a path"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=http://", "has no host"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=http://a OTEL_EXPORTER_OTLP_CERTIFICATE=/x",
         "_CERTIFICATE: has no effect"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=https://a OTEL_EXPORTER_OTLP_CERTIFICATE=/x", "cannot read \"/x\""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=https://a OTEL_EXPORTER_OTLP_INSECURE=true",
         "contradicts the endpoint"},
        {"OTEL_EXPORTER_OTLP_INSECURE=maybe", "\"maybe\" is neither true nor false"},
        {"OTEL_EXPORTER_OTLP_HEADERS=a", "\"a\" is not KEY=VALUE"},
        {"OTEL_EXPORTER_OTLP_HEADERS=a=%zz", "not valid percent-encoding"},
        {"OTEL_EXPORTER_OTLP_HEADERS=a=%0a", "has characters that a header cannot have"},
        {"OTEL_EXPORTER_OTLP_HEADERS=a/b=1", "\"a/b\" is not a header's name"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT=10s", "OTLP_TIMEOUT: \"10s\" is not a whole number"},
        {"OTEL_EXPORTER_OTLP_COMPRESSION=zstd", "\"zstd\" is neither gzip nor none"},
        {"OTEL_BSP_MAX_QUEUE_SIZE=0", "OTEL_BSP_MAX_QUEUE_SIZE: \"0\" is not a whole number from 1"},
        {"OTEL_BSP_MAX_QUEUE_SIZE=5 OTEL_BSP_MAX_EXPORT_BATCH_SIZE=6", "exceeds OTEL_BSP_MAX_QUEUE_SIZE (5)"},
        {"OTEL_TRACES_EXPORTER=zipkin", "\"zipkin\" is not supported (use otlp or none)"},
        {"OTEL_SDK_DISABLED=yes", "\"yes\" is neither true nor false"},
        {"OTEL_RESOURCE_ATTRIBUTES=a=1,b", "OTEL_RESOURCE_ATTRIBUTES: \"b\" is not KEY=VALUE"},
        {"OTEL_RESOURCE_ATTRIBUTES=a=%ff", "OTEL_RESOURCE_ATTRIBUTES: \"a\" or its value is not UTF-8"},
        {"OTEL_SERVICE_NAME=\xff", "OTEL_SERVICE_NAME: \"service.name\" or its value is not UTF-8"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *variables = strdup(cases[i].variables), *rest;
        struct berth_error err = {""};
        struct options options;

        setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a", 1);
        for (char *one = strtok_r(variables, " ", &rest); one != NULL; one = strtok_r(NULL, " ", &rest)) {
            char *equals = strchr(one, '=');

            *equals = '\0';
            setenv(one, equals + 1, 1);
        }
        assert_int_equal(options_init(&options, "1", &err), BERTH_INVALID_ARGUMENT);
        if (strstr(err.message, cases[i].problem) == NULL)
            fail_msg("%s", err.message);
        free(variables);
        clear_environment();
    }
}

static void assert_endpoint(const char *protocol, const char *variable, const char *endpoint,
                            const char *expected, bool tls)
{
    struct berth_error err = {""};
    struct options options;

    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, 1);
    setenv(variable, endpoint, 1);
    if (options_init(&options, "1", &err) != BERTH_OK)
        fail_msg("%s", err.message);
    assert_string_equal(options.endpoint, expected);
    assert_int_equal(options.tls, tls);
    options_finish(&options);
    clear_environment();
}

static void endpoints_are_read_as_opentelemetry_has_them(void **state)
{
    static const char all[] = "OTEL_EXPORTER_OTLP_ENDPOINT", own[] = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

    assert_endpoint("", all, "http://a:4318", "http://a:4318/v1/traces", false);
    assert_endpoint("http/protobuf", all, "https://a/b/", "https://a/b/v1/traces", true);
    assert_endpoint("http/protobuf", own, "http://a:1/x", "http://a:1/x", false);
    assert_endpoint("grpc", all, "http://a:4317", "a:4317", false);
    assert_endpoint("grpc", all, "https://[::1]/", "[::1]:4317", true);
    assert_endpoint("grpc", all, "a:1", "a:1", true);
    assert_endpoint("grpc", own, "unix:///run/x.sock", "unix:/run/x.sock", false);
    setenv("OTEL_EXPORTER_OTLP_INSECURE", "TRUE", 1);
    assert_endpoint("grpc", all, "a:1", "a:1", false);
}

static void a_password_is_used_and_not_shown(void **state)
{
    static const struct {
        const char *protocol, *endpoint, *shown, *problem;
    } cases[] = {
        {"", "http://ann:s3cret@a:4318", "http://***@a:4318/v1/traces", NULL},
        {"", "https://s3cret@a/x@y", "https://***@a/x@y/v1/traces", NULL},
        {"", "https://a:1/p@q", "https://a:1/p@q/v1/traces", NULL},
        {"", "https://ann:s3@cret@a", "https://***@a/v1/traces", NULL},
        {"", "ann:s3cret@a:4318", NULL, "\"***@a:4318\" is not a URL (try"},
        {"", "http://ann:s3cret@a:4318/ b", NULL, "\"http://***@a:4318/ b\" is not a URL"},
        {"grpc", "https://ann:s3cret@a", NULL, "\"https://***@a\" has a user, which gRPC cannot use"},
        {"grpc", "ann:s3cret@a/x", NULL, "\"***@a/x\" has a path"},
        {"grpc", "unix:///run/a@b", "unix:/run/a@b", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_error err = {""};
        struct options options;
        enum berth_code code;

        setenv("OTEL_EXPORTER_OTLP_PROTOCOL", cases[i].protocol, 1);
        setenv("OTEL_EXPORTER_OTLP_ENDPOINT", cases[i].endpoint, 1);
        code = options_init(&options, "1", &err);
        if (code != (cases[i].shown != NULL ? BERTH_OK : BERTH_INVALID_ARGUMENT))
            fail_msg("%s: %s", cases[i].endpoint, err.message);
        assert_null(strstr(err.message, "s3cret"));
        if (cases[i].shown != NULL) {
            assert_string_equal(options.shown_endpoint, cases[i].shown);
            options_finish(&options);
        } else if (strstr(err.message, cases[i].problem) == NULL) {
            fail_msg("%s: %s", cases[i].endpoint, err.message);
        }
        clear_environment();
    }
}

static size_t count_in(const struct resource *resource, const char *text)
{
    const uint8_t *at = resource->bytes.bytes, *end = at + resource->bytes.length;
    size_t count = 0;

    while ((at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        at += strlen(text);
        count++;
    }
    return count;
}

static void an_attribute_of_the_resource_has_one_value(void **state)
{
    struct berth_error err = {""};
    struct options options;

    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a", 1);
    setenv("OTEL_SERVICE_NAME", "shop", 1);
    setenv("OTEL_RESOURCE_ATTRIBUTES",
           "service.version=9.9,service.name=other,a=first,a=second,telemetry.sdk.name=mine", 1);
    assert_int_equal(options_init(&options, "1.2.3", &err), BERTH_OK);
    assert_int_equal(count_in(&options.resource, "service.version"), 1);
    assert_int_equal(count_in(&options.resource, "9.9"), 1);
    assert_int_equal(count_in(&options.resource, "service.name"), 1);
    assert_int_equal(count_in(&options.resource, "shop"), 1);
    assert_int_equal(count_in(&options.resource, "first"), 1);
    assert_int_equal(count_in(&options.resource, "second"), 0);
    assert_int_equal(count_in(&options.resource, "telemetry.sdk.name"), 1);
    assert_int_equal(count_in(&options.resource, "mine"), 0);
    /* Of the exporter. */
    assert_int_equal(count_in(&options.resource, "1.2.3"), 1);
    options_finish(&options);
    clear_environment();
}

static void disabled_is_skipped(void **state)
{
    struct berth_error err = {""};
    struct options options;

    assert_int_equal(options_init(&options, "1", &err), BERTH_SKIP);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a", 1);
    setenv("OTEL_SDK_DISABLED", "True", 1);
    assert_int_equal(options_init(&options, "1", &err), BERTH_SKIP);
    assert_string_equal(err.message, "OTEL_SDK_DISABLED is true");
    setenv("OTEL_SDK_DISABLED", "false", 1);
    setenv("OTEL_TRACES_EXPORTER", "none", 1);
    assert_int_equal(options_init(&options, "1", &err), BERTH_SKIP);
    clear_environment();
}

static void the_queue_is_bounded_and_leaves_in_batches(void **state)
{
    const struct berth_span_data span = {.size = sizeof(span),
                                         .trace = {.trace_id = {1}, .span_id = {2}},
                                         .tracestate = "",
                                         .name = "n",
                                         .kind = BERTH_SPAN_SERVER,
                                         .status_message = "",
                                         .scope = "s"};
    struct resource resource = {.bytes = {0}};
    struct berth_wire_buffer request;
    struct queue queue;
    size_t count;

    queue_init(&queue, 3);
    for (int i = 0; i < 3; i++)
        assert_true(queue_add(&queue, &span));
    assert_false(queue_add(&queue, &span));
    queue_take(&queue, &resource, 2, &request, &count);
    assert_int_equal(count, 2);
    assert_int_equal(queue.count, 1);
    assert_false(request.failed);
    berth_wire_finish(&request);
    queue_finish(&queue);
    assert_int_equal(queue.count, 0);
    assert_int_equal(queue.bytes, 0);
}

static void a_span_is_encoded_with_all_that_it_has(void **state)
{
    const struct berth_attribute attributes[] = {text_of("a", "b"), text_of("c", "d")};
    const struct berth_span_event events[] = {{"plain", 5}, {"rich", 6}};
    const struct berth_span_details details[] = {{NULL, 0, 0}, {attributes, 1, 3}};
    const struct berth_span_link link = {.to = {.trace_id = {9}, .span_id = {8}, .flags = 1},
                                         .details = {attributes + 1, 1, 4}};
    struct berth_span_data data = {.size = sizeof(data),
                                   .tracestate = "",
                                   .name = "n",
                                   .status_message = "",
                                   .scope = "s",
                                   .events = events,
                                   .event_count = 2,
                                   .event_details = details,
                                   .links = &link,
                                   .link_count = 1,
                                   .dropped_links = 2};
    Opentelemetry__Proto__Trace__V1__Span *span;
    struct queue queue;

    queue_init(&queue, 3);
    assert_true(queue_add(&queue, &data));
    span = opentelemetry__proto__trace__v1__span__unpack(NULL, STAILQ_FIRST(&queue.items)->length,
                                                         STAILQ_FIRST(&queue.items)->bytes);
    assert_non_null(span);
    assert_int_equal(span->n_events, 2);
    assert_int_equal(span->events[0]->n_attributes, 0);
    assert_int_equal(span->events[1]->n_attributes, 1);
    assert_string_equal(span->events[1]->attributes[0]->value->string_value, "b");
    assert_int_equal(span->events[1]->dropped_attributes_count, 3);
    assert_int_equal(span->n_links, 1);
    assert_int_equal(span->links[0]->trace_id.data[0], 9);
    assert_int_equal(span->links[0]->trace_id.len, 16);
    assert_int_equal(span->links[0]->span_id.data[0], 8);
    assert_int_equal(span->links[0]->flags, 1);
    assert_string_equal(span->links[0]->attributes[0]->key, "c");
    assert_int_equal(span->links[0]->dropped_attributes_count, 4);
    assert_int_equal(span->dropped_links_count, 2);
    opentelemetry__proto__trace__v1__span__free_unpacked(span, NULL);
    /* From a tracing plugin that knows neither. */
    data.size = offsetof(struct berth_span_data, event_details);
    assert_true(queue_add(&queue, &data));
    queue_finish(&queue);
}

#define OTLP "io.containerd.tracing.processor.v1.otlp"

static struct berth_testing *start_otlp(void)
{
    /* Nobody listens there. */
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", 1);
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", 1);
    return plugin_run(OTLP, NULL);
}

static void record(struct berth_testing *testing, int count)
{
    const struct berth_span_data span = {.size = sizeof(span),
                                         .trace = {.trace_id = {1}, .span_id = {2}},
                                         .tracestate = "",
                                         .name = "n",
                                         .kind = BERTH_SPAN_SERVER,
                                         .status_message = "",
                                         .scope = "s"};
    const struct berth_span_processor *otlp = berth_testing_interface(testing);

    for (int i = 0; i < count; i++)
        otlp->on_span(berth_testing_instance(testing), &span);
}

static void close_because(struct berth_testing *testing, enum berth_ending ending)
{
    struct berth_error err = {""};

    berth_testing_set_ending(testing, ending);
    for (int i = 0; i < 100 && berth_testing_close(testing, &err) == BERTH_PENDING; i++) {
        berth_testing_run(testing);
        berth_testing_advance(testing, 100);
        if (berth_testing_step(testing, BERTH_STEP_CLOSE, &err) == BERTH_OK)
            break;
    }
    assert_int_equal(berth_testing_step(testing, BERTH_STEP_CLOSE, &err), BERTH_OK);
}

static void spans_that_wait_go_to_the_next_generation_once(void **state)
{
    struct berth_testing *old = start_otlp(), *new;
    struct saved_state saved, again;
    struct berth_error err;

    record(old, 5);
    assert_int_equal(berth_testing_serve(old, &err), BERTH_OK);
    plugin_drain_for_another(old);
    saved = state_save(old);
    new = start_otlp();
    state_refuse_version(new, &saved);
    state_load(new, &saved);
    again = state_save(new);
    assert_int_equal(again.length, saved.length);
    assert_memory_equal(again.bytes, saved.bytes, saved.length);
    /* Two that end only when the old one closes are its own to deliver; here it cannot. */
    record(old, 2);
    close_because(old, BERTH_ENDING_REPLACED);
    assert_true(berth_testing_has_logged(old, " dropped=2 exported=0"));
    close_because(new, BERTH_ENDING_STOPPING);
    assert_true(berth_testing_has_logged(new, " dropped=5 exported=0"));
    saved_state_finish(&saved);
    saved_state_finish(&again);
    plugin_destroy(new);
    plugin_destroy(old);
    clear_environment();
}

static void an_exporter_whose_upgrade_is_given_up_goes_on(void **state)
{
    struct berth_testing *testing = start_otlp();
    struct saved_state saved;
    struct berth_error err;

    record(testing, 5);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    plugin_drain_for_another(testing);
    saved = state_save(testing);
    /* It tries to send, again and again, and drops them after the export timeout. */
    for (int i = 0; i < 600 && !berth_testing_has_logged(testing, " dropped=5 "); i++) {
        berth_testing_advance(testing, 100);
        berth_testing_run(testing);
    }
    assert_true(berth_testing_has_logged(testing, " dropped=5 "));
    saved_state_finish(&saved);
    close_because(testing, BERTH_ENDING_STOPPING);
    plugin_destroy(testing);
    clear_environment();
}

static void a_batch_in_hand_is_handed_over_as_it_is(void **state)
{
    static const uint8_t batch[] = {1 << 3 | 2, 3, 'a', 'b', 'c'};
    uint8_t bytes[64];
    struct berth_wire_buffer buffer = {0};
    struct saved_state given, saved;
    struct berth_testing *testing = start_otlp();

    berth_wire_put_bytes(&buffer, 2, batch, sizeof(batch));
    berth_wire_put_number(&buffer, 3, 7);
    berth_wire_put_number(&buffer, 4, 12);
    assert_true(buffer.length < sizeof(bytes));
    given = (struct saved_state){buffer.bytes, buffer.length};
    state_load(testing, &given);
    saved = state_save(testing);
    assert_int_equal(saved.length, given.length);
    assert_memory_equal(saved.bytes, given.bytes, given.length);
    close_because(testing, BERTH_ENDING_STOPPING);
    assert_true(berth_testing_has_logged(testing, " dropped=7 exported=12"));
    saved_state_finish(&saved);
    berth_wire_finish(&buffer);
    plugin_destroy(testing);
    clear_environment();
}

static void damaged_spans_are_refused(void **state)
{
    struct berth_testing *testing = start_otlp();
    struct saved_state saved;

    record(testing, 2);
    saved = state_save(testing);
    close_because(testing, BERTH_ENDING_STOPPING);
    plugin_destroy(testing);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", 1);
    for (size_t i = 0; i < saved.length * 9; i++) {
        size_t length = i < saved.length * 8 ? saved.length : i - saved.length * 8;
        uint8_t *bytes = malloc(length > 0 ? length : 1);
        struct berth_error err = {""};
        enum berth_code code;

        memcpy(bytes, saved.bytes, length);
        if (i < saved.length * 8)
            bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        testing = start_otlp();
        code = berth_testing_load_state(testing, 1, bytes, length, &err);
        if (code != BERTH_OK && (code != BERTH_DATA_LOSS || strlen(err.message) < 10))
            fail_msg("%s: \"%s\"", berth_code_name(code), err.message);
        close_because(testing, BERTH_ENDING_STOPPING);
        plugin_destroy(testing);
        free(bytes);
    }
    saved_state_finish(&saved);
    clear_environment();
}

static void what_is_logged_counts_on_in_the_next_generation(void **state)
{
    struct berth_testing *old = start(), *new;
    struct saved_state saved, again;

    call(old, "x", "bad", "");
    saved = state_save(old);
    assert_true(saved.length > 0);
    new = start();
    state_load(new, &saved);
    state_refuse_version(new, &saved);
    again = state_save(new);
    assert_int_equal(again.length, saved.length);
    assert_memory_equal(again.bytes, saved.bytes, saved.length);
    finish(new);
    finish(old);
    saved_state_finish(&saved);
    saved_state_finish(&again);
}

static void an_answer_that_cannot_be_read_is_survived(void **state)
{
    /* partial_success { rejected_spans = 7, error_message = "no" } */
    static const uint8_t partial[] = {0x0a, 6, 8, 7, 0x12, 2, 'n', 'o'};
    struct delivery delivery = {.result = DELIVERY_DONE};

    transport_read_response("\xff\xff", 2, &delivery);
    assert_int_equal(delivery.rejected, 0);
    assert_string_equal(delivery.reason, "the collector's answer cannot be read");
    transport_read_response(partial, sizeof(partial), &delivery);
    assert_int_equal(delivery.rejected, 7);
    assert_string_equal(delivery.reason, "the collector says: no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_has_a_span_below_its_callers),
        cmocka_unit_test(a_call_without_a_parent_begins_a_trace),
        cmocka_unit_test(a_call_that_is_not_sampled_has_its_place_and_no_span),
        cmocka_unit_test(only_the_servers_faults_are_errors),
        cmocka_unit_test(conventions_are_those_of_the_transport_and_of_the_variable),
        cmocka_unit_test(hostile_lists_are_counted_and_stay_out_of_the_span),
        cmocka_unit_test(who_has_a_tracer_is_known_until_it_is_closed),
        cmocka_unit_test(a_plugin_records_spans_of_its_own),
        cmocka_unit_test(events_and_links_have_attributes),
        cmocka_unit_test(an_older_tracing_plugin_takes_the_names_alone),
        cmocka_unit_test(what_is_not_recorded_costs_nothing_to_write_to),
        cmocka_unit_test(what_a_plugin_leaves_open_is_dropped),
        cmocka_unit_test(a_span_has_limits),
        cmocka_unit_test(a_span_that_is_changed_for_days_stays_small),
        cmocka_unit_test(samplers_decide_by_parent_and_ratio),
        cmocka_unit_test(a_variable_without_effect_is_an_error),
        cmocka_unit_test(the_exporters_variables_are_checked),
        cmocka_unit_test(endpoints_are_read_as_opentelemetry_has_them),
        cmocka_unit_test(a_password_is_used_and_not_shown),
        cmocka_unit_test(an_attribute_of_the_resource_has_one_value),
        cmocka_unit_test(disabled_is_skipped),
        cmocka_unit_test(the_queue_is_bounded_and_leaves_in_batches),
        cmocka_unit_test(a_span_is_encoded_with_all_that_it_has),
        cmocka_unit_test(spans_that_wait_go_to_the_next_generation_once),
        cmocka_unit_test(an_exporter_whose_upgrade_is_given_up_goes_on),
        cmocka_unit_test(a_batch_in_hand_is_handed_over_as_it_is),
        cmocka_unit_test(damaged_spans_are_refused),
        cmocka_unit_test(what_is_logged_counts_on_in_the_next_generation),
        cmocka_unit_test(an_answer_that_cannot_be_read_is_survived),
    };

    clear_environment();
    return cmocka_run_group_tests_name("tracing", tests, NULL, NULL);
}
