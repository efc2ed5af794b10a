/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker may make of the daemon's log, of its list of conditions and of its memory by its packets. */
#include <core/crossing/crossing.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <berth/types/deprecations.h>
#include <berth/types/metrics.h>

#include <sdk/base/memory.h>
#include <tests/cmocka.h>

#define URI "a.v1.b"
#define PATIENCE_NS UINT64_C(20000000000)

static uv_loop_t loop;
static struct channel channel;
static struct crossing crossing;
static int far;
static unsigned open_parts;

/* What the host was told. */
static unsigned reports, failures, asked_for, lines, emitted;
static enum berth_code last_code;
static char last_message[BERTH_ERROR_MAX];

static bool logs(const struct berth_host *host, enum berth_log_level level)
{
    return true;
}

static void on_log(const struct berth_host *host, enum berth_log_level level, const char *text)
{
    lines++;
}

static void on_report(const struct berth_host *host, enum berth_code code, const char *message)
{
    reports++;
    last_code = code;
    snprintf(last_message, sizeof(last_message), "%s", message);
}

static void on_fail(const struct berth_host *host, enum berth_code code, const char *message)
{
    failures++;
    last_code = code;
}

static struct berth_hold *refuse_hold(const struct berth_host *host, const char *what)
{
    asked_for++;
    return NULL;
}

static enum berth_code refuse_export(const struct berth_host *host, const char *key, const char *value)
{
    asked_for++;
    return BERTH_INVALID_ARGUMENT;
}

static const struct berth_host host = {
    .size = sizeof(host),
    .uri = URI,
    .logs = logs,
    .log = on_log,
    .fail = on_fail,
    .report = on_report,
    .hold = refuse_hold,
    .add_export = refuse_export,
};

static void on_packet(struct channel *unused, const struct packet *packet)
{
}

static void on_broken(struct channel *unused, const char *reason)
{
}

static void on_channel_closed(struct channel *unused)
{
    open_parts--;
}

static void on_crossing_closed(struct crossing *unused)
{
    open_parts--;
}

static int begin_with(const struct manifest_plugin *plugin)
{
    int pair[2];

    reports = failures = asked_for = lines = emitted = 0;
    channel = (struct channel){.on_packet = on_packet, .on_broken = on_broken};
    crossing = (struct crossing){.plugin = plugin, .channel = &channel};
    if (uv_loop_init(&loop) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 ||
        channel_open(&channel, &loop, pair[0]) != 0)
        return -1;
    far = pair[1];
    crossing_init(&crossing);
    crossing_begin(&crossing, &host);
    crossing_open(&crossing, &loop);
    return 0;
}

static int begin(void **state)
{
    static const struct manifest_service service = {.name = "test.Described"};
    static const struct manifest_plugin plugin = {.uri = URI, .services = &service, .service_count = 1};

    return begin_with(&plugin);
}

static int begin_http(void **state)
{
    static const struct manifest_plugin plugin = {
        .uri = URI, .type = "io.berth.http.v1", .interface = "berth_http", .http_prefix = "/x"};
    int result = begin_with(&plugin);

    forward_open(&crossing.forward);
    return result;
}

static int end(void **state)
{
    crossing_end(&crossing);
    open_parts = 2;
    channel_close(&channel, on_channel_closed);
    crossing_close(&crossing, on_crossing_closed);
    while (open_parts > 0)
        uv_run(&loop, UV_RUN_ONCE);
    crossing_finish(&crossing);
    close(far);
    return uv_loop_close(&loop);
}

/* The packet that was written. */
static void take(struct packet_writer *writer)
{
    struct packet packet;
    size_t bytes;

    packet_end(writer);
    assert_int_equal(packet_parse(writer->bytes, writer->length, &packet, &bytes), PACKET_WHOLE);
    crossing_take(&crossing, &packet);
    packet_writer_finish(writer);
}

static void say_condition(enum packet_type type, uint32_t code, const char *message)
{
    struct packet_writer writer = {0};

    packet_begin(&writer, type, 0, 0);
    packet_put_u32(&writer, code);
    packet_put_text(&writer, message);
    take(&writer);
}

static void run_until(const unsigned *count, unsigned wanted)
{
    uint64_t start = uv_hrtime();

    while (*count < wanted && uv_hrtime() - start < PATIENCE_NS) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(10000);
    }
    assert_int_equal(*count, wanted);
}

static void of_many_reports_some_go_on_and_then_the_last(void **state)
{
    char text[32];

    for (unsigned i = 0; i < 10000; i++) {
        snprintf(text, sizeof(text), "report %u", i);
        say_condition(PACKET_REPORT, i % 2 == 0 ? BERTH_OK : BERTH_UNAVAILABLE, text);
    }
    /* It may have taken more than a second. */
    assert_in_range(reports, CROSSING_CONDITIONS, 9000);
    run_until(&reports, reports + 1);
    assert_string_equal(last_message, "report 9999");
    assert_int_equal(last_code, BERTH_UNAVAILABLE);
}

static void a_failure_is_not_lost_among_reports(void **state)
{
    for (unsigned i = 0; i < 1000; i++)
        say_condition(PACKET_REPORT, BERTH_OK, "");
    say_condition(PACKET_FAIL, BERTH_DATA_LOSS, "broken");
    say_condition(PACKET_REPORT, BERTH_OK, "");
    run_until(&failures, 1);
    assert_int_equal(last_code, BERTH_DATA_LOSS);
}

static void what_waits_is_forgotten_with_its_worker(void **state)
{
    unsigned before;

    for (unsigned i = 0; i < 1000; i++)
        say_condition(PACKET_REPORT, BERTH_UNAVAILABLE, "");
    before = reports;
    crossing_end(&crossing);
    assert_false(uv_is_active((uv_handle_t *)&crossing.tick));
    assert_int_equal(reports, before);
}

static void a_code_that_does_not_exist_is_unknown(void **state)
{
    say_condition(PACKET_REPORT, UINT32_MAX, "");
    assert_int_equal(last_code, BERTH_UNKNOWN);
    say_condition(PACKET_REPORT, BERTH_UNAUTHENTICATED + 1, "");
    assert_int_equal(last_code, BERTH_UNKNOWN);
    assert_int_equal(reports, 2);
}

static void publish(void)
{
    struct packet_writer hold = {0}, export = {0};

    packet_begin(&hold, PACKET_HOLD, 0, 0);
    packet_put_u32(&hold, 1);
    packet_put_text(&hold, "late");
    take(&hold);
    packet_begin(&export, PACKET_EXPORT, 0, 0);
    packet_put_text(&export, "berth.x");
    packet_put_text(&export, "x");
    take(&export);
}

static void descriptors_of_a_service_are_bounded(void **state)
{
    static const uint8_t bytes[PACKET_DESCRIPTORS_MAX + 1];

    for (size_t i = 0; i < 2; i++) {
        struct packet_writer writer = {0};

        packet_begin(&writer, PACKET_DESCRIPTORS, 0, 0);
        packet_put_text(&writer, "test.Described");
        packet_put_bytes(&writer, bytes, sizeof(bytes) - i);
        take(&writer);
        assert_int_equal(crossing.services[0]->descriptors_length, i == 0 ? 0 : PACKET_DESCRIPTORS_MAX);
    }
}

static void who_is_refused_again_and_again_is_heard_no_more(void **state)
{
    for (unsigned i = 0; i < 10000; i++)
        publish();
    assert_int_equal(asked_for, CROSSING_REFUSALS_MAX);
    assert_int_equal(lines, 1);
    assert_false(channel.is_broken);
    /* The next worker may do better. */
    crossing_end(&crossing);
    publish();
    assert_int_equal(asked_for, CROSSING_REFUSALS_MAX + 2);
}

/* Questions */

static void ask(struct packet_writer *writer)
{
    char sink[4096];

    take(writer);
    channel_flush(&channel);
    assert_true(recv(far, sink, sizeof(sink), MSG_DONTWAIT) > 0);
    assert_false(channel.is_broken);
}

static struct packet_writer question(uint8_t kind)
{
    struct packet_writer writer = {0};

    packet_begin(&writer, PACKET_ASK, 0, 0);
    packet_put_u32(&writer, 1);
    packet_put_u8(&writer, kind);
    return writer;
}

static void use(enum ask_interface kind, const char *uri, const void *interface)
{
    crossing.used.refs[0].kind = kind;
    crossing.used.refs[0].uri = memory_copy(uri);
    crossing.used.refs[0].interface = interface;
    crossing.used.ref_count = 1;
}

static unsigned series_count;

static enum berth_code add_metric(void *instance, const struct berth_host *owner,
                                  const struct berth_metric_info *info, struct berth_metric **ret_metric,
                                  struct berth_error *err)
{
    *ret_metric = (struct berth_metric *)&series_count;
    return BERTH_OK;
}

static struct berth_series *add_series(struct berth_metric *metric, const char *const *values)
{
    series_count++;
    return memory_allocate(1, sizeof(struct berth_series));
}

static void remove_series(struct berth_metric *metric, struct berth_series *series)
{
    series_count--;
    free(series);
}

static void no_series_is_made_beyond_the_maximum(void **state)
{
    static const struct berth_metrics metrics = {
        .size = sizeof(metrics), .add = add_metric, .series = add_series, .remove = remove_series};
    struct packet_writer writer = question(ASK_METRIC);

    series_count = 0;
    use(ASK_INTERFACE_METRICS, BERTH_METRICS_URI, &metrics);
    packet_put_u32(&writer, 0);
    packet_put_u8(&writer, BERTH_METRIC_COUNTER);
    packet_put_text(&writer, "things_total");
    packet_put_text(&writer, "Things.");
    for (int i = 0; i < 2; i++)
        packet_put_u32(&writer, 0);
    packet_put_u8(&writer, 0);
    packet_put_u32(&writer, 0);
    ask(&writer);
    for (unsigned i = 0; i < ASK_SERIES_MAX + 100; i++) {
        writer = question(ASK_SERIES);
        packet_put_u32(&writer, 0);
        ask(&writer);
    }
    assert_int_equal(series_count, ASK_SERIES_MAX);
    for (unsigned i = 0; i < ASK_SERIES_MAX; i++) {
        writer = question(ASK_REMOVE_SERIES);
        packet_put_u32(&writer, i);
        ask(&writer);
    }
    assert_int_equal(series_count, 0);
}

static enum berth_code on_emit(void *instance, const char *id, const char *message, struct berth_error *err)
{
    emitted++;
    return BERTH_OK;
}

static void emit(const char *id)
{
    struct packet_writer writer = question(ASK_EMIT);

    packet_put_u32(&writer, 0);
    packet_put_text(&writer, id);
    packet_put_text(&writer, "message");
    ask(&writer);
}

static void a_deprecation_of_a_namesake_is_refused(void **state)
{
    static const struct berth_deprecations deprecations = {.size = sizeof(deprecations), .emit = on_emit};

    use(ASK_INTERFACE_DEPRECATIONS, BERTH_DEPRECATIONS_URI, &deprecations);
    emit(URI);
    emit(URI "/option");
    emit(URI ".option");
    assert_int_equal(emitted, 3);
    emit(URI "c");
    emit(URI "-c/option");
    emit(URI "_/option");
    emit(URI "2");
    emit("a.v1");
    assert_int_equal(emitted, 3);
}

/* A server whose client takes nothing until it is told. */
static bool is_full;
static unsigned writes;
static size_t written;

static enum berth_code begin_response(struct berth_http_request *request, unsigned status,
                                      const struct berth_http_header *headers, size_t count, int64_t length)
{
    return BERTH_OK;
}

static enum berth_code write_response(struct berth_http_request *request, const void *bytes, size_t length)
{
    const char *text = bytes;

    if (is_full)
        return BERTH_RESOURCE_EXHAUSTED;
    writes++;
    for (size_t i = 0; i < length; i++)
        assert_int_equal(text[i], 'a' + (char)((written + i) % 26));
    written += length;
    return BERTH_OK;
}

static bool can_write(struct berth_http_request *request)
{
    return !is_full;
}

static void end_response(struct berth_http_request *request)
{
}

static void say_body(uint32_t number, const void *bytes, size_t length)
{
    struct packet_writer writer = {0};

    packet_begin(&writer, PACKET_MESSAGE, PACKET_HTTP, number);
    packet_put_raw(&writer, bytes, length);
    take(&writer);
}

static void a_response_in_many_small_packets_takes_no_more_room_than_its_bytes(void **state)
{
    static const struct berth_http_ops operations = {.size = sizeof(operations),
                                                     .begin = begin_response,
                                                     .write = write_response,
                                                     .can_write = can_write,
                                                     .end = end_response,
                                                     .abort = end_response};
    static const struct berth_peer peer = {.size = sizeof(peer), .address = "a"};
    struct berth_http_request request = {.size = sizeof(request),
                                         .ops = &operations,
                                         .method = "GET",
                                         .path = "/x",
                                         .rest = "",
                                         .query = "",
                                         .body = "",
                                         .peer = &peer,
                                         .instance = &crossing.forward};
    const unsigned bytes = 20000;
    uint8_t head[PACKET_HEAD];
    uint32_t number;

    crossing.http.handler.on_request(&request);
    channel_flush(&channel);
    assert_int_equal(recv(far, head, sizeof(head), MSG_DONTWAIT), sizeof(head));
    memcpy(&number, head + sizeof(head) - sizeof(number), sizeof(number));
    is_full = true;
    writes = 0;
    written = 0;
    for (unsigned i = 0; i < bytes; i++) {
        const char letter = 'a' + (char)(i % 26);

        say_body(number, &letter, 1);
        say_body(number, "", 0);
    }
    assert_int_equal(crossing.http.bytes, bytes);
    is_full = false;
    crossing.http.handler.on_writable(&request);
    /* Each write is of one block of memory. */
    assert_int_equal(written, bytes);
    assert_true(writes < bytes / 500);
    crossing.http.handler.on_end(&request);
    assert_int_equal(crossing.http.bytes, 0);
}

/* As when settings change in place: the plugin keeps its process, and the old manifest goes. */
static void interfaces_keep_their_names_without_the_manifest(void **state)
{
    char *name = memory_copy("test_interface");
    const char *const names[] = {name};
    const struct manifest_plugin plugin = {.uri = URI, .remotes = names, .remote_count = 1};

    crossing = (struct crossing){.plugin = &plugin};
    crossing_init(&crossing);
    memset(name, '?', strlen(name));
    free(name);
    assert_string_equal(crossing.remote_list[0]->interface, "test_interface");
    assert_null(crossing.remote_list[1]);
    crossing_finish(&crossing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_many_reports_some_go_on_and_then_the_last, begin, end),
        cmocka_unit_test_setup_teardown(a_failure_is_not_lost_among_reports, begin, end),
        cmocka_unit_test_setup_teardown(what_waits_is_forgotten_with_its_worker, begin, end),
        cmocka_unit_test_setup_teardown(a_code_that_does_not_exist_is_unknown, begin, end),
        cmocka_unit_test_setup_teardown(descriptors_of_a_service_are_bounded, begin, end),
        cmocka_unit_test_setup_teardown(who_is_refused_again_and_again_is_heard_no_more, begin, end),
        cmocka_unit_test_setup_teardown(no_series_is_made_beyond_the_maximum, begin, end),
        cmocka_unit_test_setup_teardown(a_deprecation_of_a_namesake_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_response_in_many_small_packets_takes_no_more_room_than_its_bytes,
                                        begin_http, end),
        cmocka_unit_test(interfaces_keep_their_names_without_the_manifest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
