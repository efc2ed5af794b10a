/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics: their rules, their bounds, their text, and what becomes of them when a plugin goes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <berth/metrics_registry.h>

#define A "io.example.v1.a"

static const struct berth_metrics table = BERTH_METRICS_REGISTRY_TABLE;

struct fixture {
    struct berth_metrics_registry *registry;
    /* What on_sweep says of the one plugin. */
    bool sweeps, is_running;
    uint64_t running_generation;
    size_t warnings;
    char warning[BERTH_LOG_MAX];
    struct berth_error err;
};

static struct berth_host host_of(const char *uri, uint64_t generation)
{
    struct berth_host host = {
        .size = sizeof(host), .uri = uri, .type = "io.example.v1", .generation = generation};

    return host;
}

static const struct berth_host a = {.size = sizeof(a), .uri = A, .type = "io.example.v1", .generation = 1};
static const struct berth_host b = {
    .size = sizeof(b), .uri = "io.example.v1.b", .type = "io.example.v1", .generation = 1};

static void on_sweep(void *context, struct berth_metrics_registry *registry)
{
    const struct fixture *fixture = context;

    if (fixture->is_running)
        berth_metrics_registry_show(registry, A, fixture->running_generation);
}

static void on_warning(void *context, const char *text)
{
    struct fixture *fixture = context;

    fixture->warnings++;
    snprintf(fixture->warning, sizeof(fixture->warning), "%s", text);
}

static struct fixture *create(bool sweeps)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    const struct berth_metrics_options options = {
        .on_sweep = sweeps ? on_sweep : NULL, .on_warning = on_warning, .context = fixture};

    fixture->registry = berth_metrics_registry_create(&options);
    fixture->is_running = true;
    fixture->running_generation = 1;
    return fixture;
}

static int set_up(void **state)
{
    *state = create(false);
    return 0;
}

static int set_up_with_sweep(void **state)
{
    *state = create(true);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    berth_metrics_registry_destroy(fixture->registry);
    free(fixture);
    return 0;
}

static enum berth_code try_add(struct fixture *fixture, const struct berth_host *host,
                               const struct berth_metric_info *info, struct berth_metric **ret_metric)
{
    fixture->err.message[0] = '\0';
    return table.add(fixture->registry, host, info, ret_metric, &fixture->err);
}

static struct berth_metric *add(struct fixture *fixture, const struct berth_host *host,
                                const struct berth_metric_info *info)
{
    struct berth_metric *metric = NULL;

    if (try_add(fixture, host, info, &metric) != BERTH_OK)
        fail_msg("%s", fixture->err.message);
    return metric;
}

/* The caller frees it. */
static char *scrape(struct fixture *fixture)
{
    const struct berth_metrics_text *text;
    char *copy;

    assert_int_equal(BERTH_OK, table.write(fixture->registry, &text, &fixture->err));
    copy = strndup(text->text != NULL ? text->text : "", text->length);
    table.release(fixture->registry, text);
    return copy;
}

static void assert_text(struct fixture *fixture, const char *expected)
{
    char *text = scrape(fixture);

    assert_string_equal(expected, text);
    free(text);
}

static void assert_has(struct fixture *fixture, const char *part, bool expected)
{
    char *text = scrape(fixture);

    if ((strstr(text, part) != NULL) != expected)
        fail_msg("%s \"%s\" in:\n%s", expected ? "no" : "a", part, text);
    free(text);
}

static struct berth_metric_info counter_named(const char *name)
{
    return (struct berth_metric_info){.size = sizeof(struct berth_metric_info),
                                      .kind = BERTH_METRIC_COUNTER,
                                      .name = name,
                                      .help = "Help."};
}

static void a_counter_is_written_with_its_plugin(void **state)
{
    struct fixture *fixture = *state;
    const struct berth_metric_info info = counter_named("x_total");
    struct berth_series *series = table.series(add(fixture, &a, &info), NULL);

    berth_series_add(series, 1);
    berth_series_add(series, 2);
    assert_text(fixture, "# HELP x_total Help.\n# TYPE x_total counter\nx_total{plugin=\"" A "\"} 3\n");
}

static void numbers_are_written_as_the_format_demands(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.005, "0.005"},
        {0.000000001, "0.000000001"},
        {0.0000025, "0.0000025"},
        {1764426772.25, "1764426772.25"},
        {0.9999999999, "1"},
        {9007199254740991.0, "9007199254740991"},
        {1e18, "1.0000000000000000e+18"},
        {18446744073709551615.0, "1.8446744073709552e+19"},
        {1e-12, "9.9999999999999998e-13"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
        {NAN, "NaN"},
    };
    struct berth_metric_info info = counter_named("x");

    info.kind = BERTH_METRIC_GAUGE;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char row[128];
        struct fixture *other = create(false);

        berth_series_set(table.series(add(other, &a, &info), NULL), cases[i].value);
        snprintf(row, sizeof(row), "\nx{plugin=\"" A "\"} %s\n", cases[i].text);
        assert_has(other, row, true);
        tear_down((void **)&other);
    }
}

static void values_and_help_are_escaped(void **state)
{
    static const char *const labels[] = {"of"};
    static const char *const values[] = {"a\"b\\c\nd", "caf\xc3\xa9", "bad\xff", "cut\xc3"};
    struct fixture *fixture = *state;
    struct berth_metric_info info = counter_named("x_total");
    struct berth_metric *metric;

    info.help = "One \\ and \"two\"\nlines";
    info.labels = labels;
    info.label_count = 1;
    metric = add(fixture, &a, &info);
    for (size_t i = 0; i < 4; i++)
        berth_series_add(table.series(metric, &values[i]), 1);
    assert_text(fixture, "# HELP x_total One \\\\ and \"two\"\\nlines\n# TYPE x_total counter\n"
                         "x_total{plugin=\"" A "\",of=\"a\\\"b\\\\c\\nd\"} 1\n"
                         "x_total{plugin=\"" A "\",of=\"caf\xc3\xa9\"} 1\n"
                         "x_total{plugin=\"" A "\",of=\"bad?\"} 1\n"
                         "x_total{plugin=\"" A "\",of=\"cut?\"} 1\n");
}

static void a_histogram_counts_up_to_each_bound(void **state)
{
    static const double bounds[] = {0.1, 1, 2.5};
    struct fixture *fixture = *state;
    struct berth_metric_info info = counter_named("x_seconds");
    struct berth_series *series;

    info.kind = BERTH_METRIC_HISTOGRAM;
    info.buckets = bounds;
    info.bucket_count = 3;
    series = table.series(add(fixture, &a, &info), NULL);
    berth_series_observe(series, 0.1);
    berth_series_observe(series, 0.5);
    berth_series_observe(series, 100);
    assert_text(fixture, "# HELP x_seconds Help.\n# TYPE x_seconds histogram\n"
                         "x_seconds_bucket{plugin=\"" A "\",le=\"0.1\"} 1\n"
                         "x_seconds_bucket{plugin=\"" A "\",le=\"1\"} 2\n"
                         "x_seconds_bucket{plugin=\"" A "\",le=\"2.5\"} 2\n"
                         "x_seconds_bucket{plugin=\"" A "\",le=\"+Inf\"} 3\n"
                         "x_seconds_sum{plugin=\"" A "\"} 100.6\n"
                         "x_seconds_count{plugin=\"" A "\"} 3\n");
}

static void what_is_no_number_changes_nothing(void **state)
{
    static const double bounds[] = {1};
    struct fixture *fixture = *state;
    struct berth_metric_info info = counter_named("x_total");
    struct berth_series *series, *total;

    total = table.series(add(fixture, &a, &info), NULL);
    berth_series_add(total, 2);
    berth_series_add(total, NAN);
    assert_true(total->value == 2);
    info = counter_named("y_seconds");
    info.kind = BERTH_METRIC_HISTOGRAM;
    info.buckets = bounds;
    info.bucket_count = 1;
    series = table.series(add(fixture, &a, &info), NULL);
    berth_series_observe(series, 0.5);
    berth_series_observe(series, NAN);
    berth_series_observe(series, -NAN);
    berth_series_observe(series, INFINITY);
    assert_int_equal(series->counts[0], 1);
    assert_int_equal(series->counts[1], 1);
    assert_true(isinf(series->value));
}

static void a_series_is_found_again_by_its_values(void **state)
{
    static const char *const labels[] = {"of", "by"};
    static const char *const one[] = {"x", "y"}, *const other[] = {"y", "x"};
    struct fixture *fixture = *state;
    struct berth_metric_info info = counter_named("x_total");
    struct berth_metric *metric;

    info.labels = labels;
    info.label_count = 2;
    metric = add(fixture, &a, &info);
    assert_ptr_equal(table.series(metric, one), table.series(metric, one));
    assert_ptr_not_equal(table.series(metric, one), table.series(metric, other));
    assert_ptr_equal(metric, add(fixture, &a, &info));
    table.remove(metric, table.series(metric, one));
    assert_has(fixture, "of=\"x\"", false);
    assert_has(fixture, "of=\"y\"", true);
}

static void what_exceeds_the_maximum_is_counted_in_one_series_and_logged_once(void **state)
{
    static const char *const labels[] = {"of"};
    struct fixture *fixture = *state;
    struct berth_metric_info info = counter_named("x_total");
    struct berth_metric *metric;

    info.labels = labels;
    info.label_count = 1;
    info.max_series = 3;
    metric = add(fixture, &a, &info);
    for (int i = 0; i < 100000; i++) {
        char text[16];
        const char *value = text;

        snprintf(text, sizeof(text), "%d", i);
        berth_series_add(table.series(metric, &value), 1);
    }
    assert_text(fixture, "# HELP x_total Help.\n# TYPE x_total counter\n"
                         "x_total{plugin=\"" A "\",of=\"0\"} 1\n"
                         "x_total{plugin=\"" A "\",of=\"1\"} 1\n"
                         "x_total{plugin=\"" A "\",of=\"2\"} 1\n"
                         "x_total{plugin=\"" A "\",of=\"_other\"} 99997\n");
    assert_int_equal(1, fixture->warnings);
    assert_non_null(strstr(fixture->warning, "metric x_total of " A " has reached its maximum of 3 series"));
}

static void a_long_value_is_cut_between_characters_or_marked(void **state)
{
    static const char *const labels[] = {"of"};
    struct fixture *fixture = *state;
    struct berth_metric_info info = counter_named("x_total");
    char value[1 << 20], row[BERTH_METRICS_VALUE_MAX + 8];
    const char *values = value;

    info.labels = labels;
    info.label_count = 1;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    berth_series_add(table.series(add(fixture, &a, &info), &values), 1);
    snprintf(row, sizeof(row), "of=\"%.*s\"", (int)BERTH_METRICS_VALUE_MAX, value);
    assert_has(fixture, row, true);
}

static void what_is_against_the_rules_is_refused_with_plugin_and_value(void **state)
{
    static const char *const le[] = {"le"}, *const plugin[] = {"plugin"}, *const under[] = {"__x"},
                             *const blank[] = {"a b"}, *const twice[] = {"x", "x"};
    static const double falling[] = {2, 1}, endless[] = {1, INFINITY};
    const struct {
        struct berth_metric_info info;
        const char *reason;
    } cases[] = {
        {{.name = "", .help = "h"}, A ": \"\" is not the name of a metric"},
        {{.name = "1x_total", .help = "h"}, A ": \"1x_total\" is not the name"},
        {{.name = "a:b_total", .help = "h"}, A ": \"a:b_total\" is not the name"},
        {{.name = "caf\xc3\xa9_total", .help = "h"}, "is not the name"},
        {{.name = "berth_x_total", .help = "h"}, A ": metric berth_x_total: names that begin with berth_"},
        {{.name = "berth_store_x_total", .help = "h"}, "names that begin with berth_store_ are reserved"},
        {{.name = "grpc_server_x_total", .help = "h"}, "names that begin with grpc_server_"},
        {{.name = "containerd_x_total", .help = "h"}, "names that begin with containerd_"},
        {{.name = "process_x_total", .help = "h"}, "names that begin with process_"},
        {{.name = "x", .help = "h"}, "has to end in \"_total\""},
        {{.name = "x_total", .help = "h", .kind = BERTH_METRIC_GAUGE}, "remove \"_total\""},
        {{.name = "x_total", .help = ""}, "help is empty"},
        {{.name = "x_total", .help = "h", .kind = (enum berth_metric_kind)7}, "unknown kind 7"},
        {{.name = "x_total", .help = "h", .labels = le, .label_count = 1}, "label \"le\" is reserved"},
        {{.name = "x_total", .help = "h", .labels = plugin, .label_count = 1},
         "label \"plugin\" is reserved"},
        {{.name = "x_total", .help = "h", .labels = under, .label_count = 1}, "label \"__x\" is not a name"},
        {{.name = "x_total", .help = "h", .labels = blank, .label_count = 1}, "label \"a b\" is not a name"},
        {{.name = "x_total", .help = "h", .labels = twice, .label_count = 2}, "has label \"x\" twice"},
        {{.name = "x_total", .help = "h", .labels = twice, .label_count = 17}, "has 17 labels"},
        {{.name = "x_total", .help = "h", .buckets = falling, .bucket_count = 2}, "is not a histogram"},
        {{.name = "x", .help = "h", .kind = BERTH_METRIC_HISTOGRAM, .buckets = falling, .bucket_count = 2},
         "bound 1 of bucket 1"},
        {{.name = "x", .help = "h", .kind = BERTH_METRIC_HISTOGRAM, .buckets = endless, .bucket_count = 2},
         "bound inf of bucket 1"},
        {{.name = "x", .help = "h", .kind = BERTH_METRIC_HISTOGRAM, .buckets = falling, .bucket_count = 0},
         "has 0 buckets"},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_metric *metric = NULL;

        assert_int_equal(BERTH_INVALID_ARGUMENT, try_add(fixture, &a, &cases[i].info, &metric));
        if (strstr(fixture->err.message, cases[i].reason) == NULL)
            fail_msg("case %zu: %s", i, fixture->err.message);
        assert_null(metric);
    }
    assert_text(fixture, "");
}

static void a_type_may_fill_the_names_reserved_for_it(void **state)
{
    const struct berth_host store = {
        .size = sizeof(store), .uri = "io.berth.store.v1.x", .type = "io.berth.store.v1", .generation = 1};
    const struct berth_metric_info info = counter_named("berth_store_commits_total");

    assert_non_null(add(*state, &store, &info));
}

static void two_plugins_share_a_name_if_they_agree(void **state)
{
    struct fixture *fixture = *state;
    struct berth_metric_info info = counter_named("x_total"), gauge = counter_named("x_seconds"),
                             histogram = gauge, clash = counter_named("x_seconds_count");
    struct berth_metric *metric;

    gauge.kind = clash.kind = BERTH_METRIC_GAUGE;
    histogram.kind = BERTH_METRIC_HISTOGRAM;
    berth_series_add(table.series(add(fixture, &a, &info), NULL), 1);
    berth_series_add(table.series(add(fixture, &b, &info), NULL), 2);
    assert_text(fixture, "# HELP x_total Help.\n# TYPE x_total counter\n"
                         "x_total{plugin=\"io.example.v1.a\"} 1\nx_total{plugin=\"io.example.v1.b\"} 2\n");
    add(fixture, &a, &histogram);
    assert_int_equal(BERTH_ALREADY_EXISTS, try_add(fixture, &b, &gauge, &metric));
    assert_string_equal("io.example.v1.b: metric x_seconds exists with another kind, other labels or other "
                        "buckets, from " A,
                        fixture->err.message);
    assert_int_equal(BERTH_ALREADY_EXISTS, try_add(fixture, &b, &clash, &metric));
    assert_non_null(strstr(fixture->err.message, "would have rows of the same name"));
}

static void many_plugins_are_told_apart(void **state)
{
    struct fixture *fixture = *state;
    const struct berth_metric_info info = counter_named("x_total");
    char uri[64], row[128];

    for (unsigned i = 0; i < 1000; i++) {
        struct berth_host host;

        snprintf(uri, sizeof(uri), "io.example.v1.p%u", i * 7919 % 1000);
        host = host_of(uri, 1);
        berth_series_add(table.series(add(fixture, &host, &info), NULL), i);
    }
    snprintf(row, sizeof(row), "x_total{plugin=\"io.example.v1.p%u\"} 123\n", 123 * 7919 % 1000);
    assert_has(fixture, row, true);
}

static void one_plugin_has_a_bounded_number_of_metrics(void **state)
{
    struct fixture *fixture = *state;
    struct berth_metric *metric;
    char name[32];
    struct berth_metric_info info = counter_named(name);

    for (unsigned i = 0; i < BERTH_METRICS_MAX; i++) {
        snprintf(name, sizeof(name), "x%u_total", i);
        add(fixture, &a, &info);
    }
    snprintf(name, sizeof(name), "more_total");
    assert_int_equal(BERTH_RESOURCE_EXHAUSTED, try_add(fixture, &a, &info, &metric));
    assert_string_equal(A ": metric more_total is one too many; the maximum is 1000", fixture->err.message);
}

static void set_to_seven(void *context)
{
    berth_series_set(context, 7);
}

static void a_collector_runs_before_each_text(void **state)
{
    struct fixture *fixture = *state;
    struct berth_metric_info info = counter_named("x");

    info.kind = BERTH_METRIC_GAUGE;
    table.collect(fixture->registry, &a, set_to_seven, table.series(add(fixture, &a, &info), NULL),
                  &fixture->err);
    assert_has(fixture, "} 7\n", true);
}

static void must_not_run(void *context)
{
    fail_msg("the collector of a plugin that has stopped was called");
}

static void what_a_plugin_leaves_is_not_shown_once_it_stops_and_its_memory_stays(void **state)
{
    struct fixture *fixture = *state;
    struct berth_metric_info info = counter_named("x_total");
    struct berth_series *series = table.series(add(fixture, &a, &info), NULL);

    assert_has(fixture, "x_total", true);
    table.collect(fixture->registry, &a, must_not_run, NULL, &fixture->err);
    fixture->is_running = false;
    assert_text(fixture, "");
    /* Its close may still count. */
    berth_series_add(series, 1);
    assert_text(fixture, "");
}

static void a_new_generation_counts_on_without_the_old_collectors(void **state)
{
    struct fixture *fixture = *state;
    const struct berth_metric_info info = counter_named("x_total"), old = counter_named("old_total");
    const struct berth_host again = host_of(A, 2);

    berth_series_add(table.series(add(fixture, &a, &info), NULL), 5);
    table.series(add(fixture, &a, &old), NULL);
    table.collect(fixture->registry, &a, must_not_run, NULL, &fixture->err);
    fixture->running_generation = 2;
    assert_text(fixture, "");
    table.series(add(fixture, &again, &info), NULL);
    assert_text(fixture, "# HELP x_total Help.\n# TYPE x_total counter\nx_total{plugin=\"" A "\"} 5\n");
}

/* For `lives`: every generation may still run. */
static bool lives_always(void *context, const char *uri, uint64_t generation)
{
    return true;
}

static void set_to_three(void *context)
{
    berth_series_set(context, 3);
}

static void two_generations_at_once_add_up_and_the_newest_sets_the_gauge(void **state)
{
    const struct berth_metrics_options options = {.lives = lives_always};
    struct fixture fixture = {.registry = berth_metrics_registry_create(&options)};
    struct berth_metric_info counter = counter_named("x_total"), gauge = counter_named("y");
    const struct berth_host again = host_of(A, 2);
    struct berth_series *old, *new, *old_gauge, *new_gauge;

    gauge.kind = BERTH_METRIC_GAUGE;
    old = table.series(add(&fixture, &a, &counter), NULL);
    old_gauge = table.series(add(&fixture, &a, &gauge), NULL);
    berth_series_add(old, 5);
    new = table.series(add(&fixture, &again, &counter), NULL);
    new_gauge = table.series(add(&fixture, &again, &gauge), NULL);
    assert_ptr_not_equal(old, new);
    /* A counter that the new one keeps elsewhere begins at its own zero. */
    table.collect(fixture.registry, &again, set_to_three, new, &fixture.err);
    berth_series_set(new_gauge, 1);
    berth_series_add(old, 2);
    berth_series_set(old_gauge, 9);
    assert_has(&fixture, "\nx_total{plugin=\"" A "\"} 10\n", true);
    assert_has(&fixture, "\ny{plugin=\"" A "\"} 1\n", true);
    berth_metrics_registry_destroy(fixture.registry);
}

static void memory_is_flat_over_a_thousand_generations(void **state)
{
    static const char *const labels[] = {"of"};
    struct fixture *fixture = *state;
    struct berth_metric_info info = counter_named("x_total");
    char text[16];
    const char *value = text;
    size_t rows = 0;
    char *whole;

    info.labels = labels;
    info.label_count = 1;
    info.max_series = 10;
    for (unsigned i = 1; i <= 1000; i++) {
        const struct berth_host host = host_of(A, i);

        snprintf(text, sizeof(text), "%u", i);
        berth_series_add(table.series(add(fixture, &host, &info), &value), 1);
    }
    whole = scrape(fixture);
    for (const char *at = whole; (at = strstr(at, "x_total{")) != NULL; at++)
        rows++;
    free(whole);
    assert_in_range(rows, 2, 12);
}

struct state_buffer {
    struct berth_state_writer writer;
    unsigned char bytes[65536];
    size_t length;
};

static enum berth_code append(const struct berth_state_writer *writer, const void *bytes, size_t length,
                              struct berth_error *err)
{
    struct state_buffer *buffer = (struct state_buffer *)(uintptr_t)writer;

    assert_true(buffer->length + length <= sizeof(buffer->bytes));
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    return BERTH_OK;
}

static struct state_buffer *save(struct fixture *fixture)
{
    struct state_buffer *buffer = calloc(1, sizeof(*buffer));

    buffer->writer = (struct berth_state_writer){sizeof(buffer->writer), append};
    assert_int_equal(BERTH_OK,
                     berth_metrics_registry_save(fixture->registry, &buffer->writer, &fixture->err));
    return buffer;
}

static enum berth_code load(struct fixture *fixture, const struct state_buffer *buffer)
{
    fixture->err.message[0] = '\0';
    return berth_metrics_registry_load(fixture->registry, buffer->bytes, buffer->length, &fixture->err);
}

static const char *const kinds[] = {"kind"};

/* Two counters, one of them with labels that have to be escaped, a histogram and a gauge. */
static void fill(struct fixture *fixture, const struct berth_host *host, bool counts)
{
    static const double bounds[] = {0.1, 1};
    static const char *const odd[] = {"a \"b\" \\ \n"};
    struct berth_metric_info info = counter_named("x_total"), labelled = counter_named("z_total"),
                             histogram = counter_named("y_seconds"), gauge = counter_named("g");
    struct berth_series *series;

    labelled.labels = kinds;
    labelled.label_count = 1;
    histogram.kind = BERTH_METRIC_HISTOGRAM;
    histogram.buckets = bounds;
    histogram.bucket_count = 2;
    gauge.kind = BERTH_METRIC_GAUGE;
    series = table.series(add(fixture, host, &info), NULL);
    if (counts)
        berth_series_add(series, 5);
    series = table.series(add(fixture, host, &labelled), odd);
    if (counts)
        berth_series_add(series, 0.5);
    series = table.series(add(fixture, host, &histogram), NULL);
    if (counts) {
        berth_series_observe(series, 0.5);
        berth_series_observe(series, 7);
    }
    series = table.series(add(fixture, host, &gauge), NULL);
    if (counts)
        berth_series_set(series, 1);
}

static struct state_buffer *state_of_one(void)
{
    struct fixture *one = create(false);
    struct state_buffer *buffer;

    fill(one, &a, true);
    buffer = save(one);
    tear_down((void **)&one);
    return buffer;
}

static void assert_went_on(struct fixture *fixture)
{
    assert_has(fixture, "\nx_total{plugin=\"" A "\"} 5\n", true);
    assert_has(fixture, "\nz_total{plugin=\"" A "\",kind=\"a \\\"b\\\" \\\\ \\n\"} 0.5\n", true);
    assert_has(fixture, "\ny_seconds_bucket{plugin=\"" A "\",le=\"0.1\"} 0\n", true);
    assert_has(fixture, "\ny_seconds_bucket{plugin=\"" A "\",le=\"1\"} 1\n", true);
    assert_has(fixture, "\ny_seconds_bucket{plugin=\"" A "\",le=\"+Inf\"} 2\n", true);
    assert_has(fixture, "\ny_seconds_sum{plugin=\"" A "\"} 7.5\n", true);
    assert_has(fixture, "\ng{plugin=\"" A "\"} 0\n", true);
}

static void another_registry_goes_on_from_the_state_of_one(void **state)
{
    struct fixture *fixture = *state;
    struct state_buffer *buffer = state_of_one(), *again;
    const struct berth_host next = host_of(A, 2);

    assert_int_equal(BERTH_OK, load(fixture, buffer));
    assert_text(fixture, "");
    /* Handed on by one whose plugins have not added them yet. */
    again = save(fixture);
    assert_int_equal(buffer->length, again->length);
    fill(fixture, &next, false);
    assert_went_on(fixture);
    free(buffer);
    free(again);
}

static void what_collectors_set_is_handed_over_as_it_is_at_the_end(void **state)
{
    struct fixture *fixture = *state, *one = create(false);
    struct berth_metric_info info = counter_named("x_total");
    const struct berth_host next = host_of(A, 2);
    struct state_buffer *buffer;

    table.collect(one->registry, &a, set_to_seven, table.series(add(one, &a, &info), NULL), &one->err);
    buffer = save(one);
    assert_int_equal(BERTH_OK, load(fixture, buffer));
    table.series(add(fixture, &next, &info), NULL);
    assert_has(fixture, "\nx_total{plugin=\"" A "\"} 7\n", true);
    free(buffer);
    tear_down((void **)&one);
}

static void state_may_come_after_the_metrics_were_added(void **state)
{
    struct fixture *fixture = *state;
    struct state_buffer *buffer = state_of_one();
    const struct berth_host next = host_of(A, 2);

    fill(fixture, &next, false);
    assert_int_equal(BERTH_OK, load(fixture, buffer));
    assert_went_on(fixture);
    free(buffer);
}

static void what_a_new_version_counts_in_another_form_begins_anew(void **state)
{
    struct fixture *fixture = *state;
    struct state_buffer *buffer = state_of_one();
    struct berth_metric_info x = counter_named("x_total"), y = counter_named("y_seconds");
    const struct berth_host next = host_of(A, 2);

    x.labels = kinds;
    x.label_count = 1;
    table.series(add(fixture, &next, &x), kinds);
    assert_int_equal(BERTH_OK, load(fixture, buffer));
    assert_has(fixture, "\nx_total{plugin=\"" A "\",kind=\"kind\"} 0\n", true);
    y.kind = BERTH_METRIC_GAUGE;
    table.series(add(fixture, &next, &y), NULL);
    assert_has(fixture, "# TYPE y_seconds gauge\ny_seconds{plugin=\"" A "\"} 0\n", true);
    free(buffer);
}

static void damaged_state_is_an_error_with_words(void **state)
{
    struct state_buffer *whole = state_of_one();
    size_t refused = 0;

    for (size_t i = 0; i < whole->length; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct fixture *fixture = create(false);
            struct state_buffer *damaged = malloc(sizeof(*damaged));
            enum berth_code code;

            memcpy(damaged, whole, sizeof(*damaged));
            damaged->bytes[i] ^= (unsigned char)(1u << bit);
            code = load(fixture, damaged);
            if (code != BERTH_OK) {
                assert_int_equal(BERTH_DATA_LOSS, code);
                assert_true(strlen(fixture->err.message) > 10);
                refused++;
            }
            damaged->bytes[i] ^= (unsigned char)(1u << bit);
            damaged->length = i;
            /* Families are whole where one has ended. */
            if (load(fixture, damaged) != BERTH_OK)
                refused++;
            free(scrape(fixture));
            free(damaged);
            tear_down((void **)&fixture);
        }
    assert_true(refused > whole->length * 8);
    free(whole);
}

static void the_memory_of_a_plugin_that_did_not_close_outlives_the_registry(void **state)
{
    struct fixture *fixture = *state;
    const struct berth_metric_info info = counter_named("x_total");
    /* So that it is not taken for a leak. */
    static struct berth_metric *metric;
    struct berth_series *series;

    metric = add(fixture, &a, &info);
    series = table.series(metric, NULL);
    berth_metrics_registry_abandon(fixture->registry, "io.example.v1.unknown");
    berth_metrics_registry_abandon(fixture->registry, A);
    berth_metrics_registry_destroy(fixture->registry);
    fixture->registry = NULL;
    berth_series_add(series, 1);
    table.remove(metric, series);
}

static void a_plugin_that_did_not_close_may_exceed_its_maximum_after_the_registry(void **state)
{
    struct fixture *fixture = *state;
    const char *const labels[] = {"kind"}, *const one[] = {"one"}, *const two[] = {"two"};
    struct berth_metric_info info = counter_named("x_total");
    /* So that it is not taken for a leak. */
    static struct berth_metric *metric;
    struct berth_series *series;

    info.labels = labels;
    info.label_count = 1;
    info.max_series = 1;
    metric = add(fixture, &a, &info);
    table.series(metric, one);
    berth_metrics_registry_abandon(fixture->registry, A);
    berth_metrics_registry_destroy(fixture->registry);
    fixture->registry = NULL;
    series = table.series(metric, two);
    assert_non_null(series);
    berth_series_add(series, 1);
    assert_int_equal(fixture->warnings, 0);
}

static void a_text_is_released_after_the_registry_by_who_did_not_close(void **state)
{
    struct fixture *fixture = *state;
    static struct berth_metrics_registry *kept;
    const struct berth_metric_info info = counter_named("x_total");
    const struct berth_metrics_text *text;

    table.series(add(fixture, &b, &info), NULL);
    assert_int_equal(BERTH_OK, table.write(fixture->registry, &text, &fixture->err));
    berth_metrics_registry_abandon(fixture->registry, A);
    kept = fixture->registry;
    berth_metrics_registry_destroy(fixture->registry);
    fixture->registry = NULL;
    assert_memory_equal(text->text, "# HELP x_total Help.\n", 21);
    table.release(kept, text);
}

static void those_who_ask_at_once_share_a_text_and_texts_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    const struct berth_metrics_text *one, *two;

    assert_int_equal(BERTH_OK, table.write(fixture->registry, &one, &fixture->err));
    assert_int_equal(BERTH_OK, table.write(fixture->registry, &two, &fixture->err));
    assert_ptr_equal(one, two);
    table.release(fixture->registry, one);
    table.release(fixture->registry, two);
}

static void functions_take_no_series(void **state)
{
    berth_series_add(NULL, 1);
    berth_series_set(NULL, 1);
    berth_series_observe(NULL, 1);
}

struct probe {
    struct berth_metrics_registry *registry;
    enum berth_code code;
};

static void on_write(void *context, struct berth_metrics_writer *writer)
{
    static const char *const labels[] = {"state", "ready \"x\"", NULL};
    struct probe *probe = context;
    const struct berth_metrics_text *text;
    struct berth_error err;

    probe->code = table.write(probe->registry, &text, &err);
    berth_metrics_write_family(writer, "y", "Source.", BERTH_METRIC_GAUGE);
    berth_metrics_write_row(writer, "y", labels, 1);
    berth_metrics_write_row(writer, "z", NULL, 0.25);
}

static void a_source_writes_rows_of_its_own_and_no_text_inside_the_text(void **state)
{
    struct fixture *fixture = *state;
    struct probe probe = {fixture->registry, BERTH_OK};

    berth_metrics_registry_add_source(fixture->registry, on_write, &probe, &fixture->err);
    assert_text(fixture, "# HELP y Source.\n# TYPE y gauge\ny{state=\"ready \\\"x\\\"\"} 1\nz 0.25\n");
    assert_int_equal(BERTH_FAILED_PRECONDITION, probe.code);
    berth_metrics_registry_remove_source(fixture->registry, &probe);
    assert_text(fixture, "");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
#define SWEPT(function) cmocka_unit_test_setup_teardown(function, set_up_with_sweep, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_counter_is_written_with_its_plugin),
        TEST(numbers_are_written_as_the_format_demands),
        TEST(values_and_help_are_escaped),
        TEST(a_histogram_counts_up_to_each_bound),
        TEST(what_is_no_number_changes_nothing),
        TEST(a_series_is_found_again_by_its_values),
        TEST(what_exceeds_the_maximum_is_counted_in_one_series_and_logged_once),
        TEST(a_long_value_is_cut_between_characters_or_marked),
        TEST(what_is_against_the_rules_is_refused_with_plugin_and_value),
        TEST(a_type_may_fill_the_names_reserved_for_it),
        TEST(two_plugins_share_a_name_if_they_agree),
        TEST(many_plugins_are_told_apart),
        TEST(one_plugin_has_a_bounded_number_of_metrics),
        TEST(a_collector_runs_before_each_text),
        SWEPT(what_a_plugin_leaves_is_not_shown_once_it_stops_and_its_memory_stays),
        SWEPT(a_new_generation_counts_on_without_the_old_collectors),
        TEST(two_generations_at_once_add_up_and_the_newest_sets_the_gauge),
        TEST(memory_is_flat_over_a_thousand_generations),
        TEST(another_registry_goes_on_from_the_state_of_one),
        TEST(what_collectors_set_is_handed_over_as_it_is_at_the_end),
        TEST(state_may_come_after_the_metrics_were_added),
        TEST(what_a_new_version_counts_in_another_form_begins_anew),
        TEST(damaged_state_is_an_error_with_words),
        TEST(the_memory_of_a_plugin_that_did_not_close_outlives_the_registry),
        TEST(a_plugin_that_did_not_close_may_exceed_its_maximum_after_the_registry),
        TEST(a_text_is_released_after_the_registry_by_who_did_not_close),
        TEST(those_who_ask_at_once_share_a_text_and_texts_are_bounded),
        TEST(functions_take_no_series),
        TEST(a_source_writes_rows_of_its_own_and_no_text_inside_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
