/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of metrics as a plugin, and what it says of the daemon. */
#include "state_stage.h"

#include <berth/types/metrics.h>

static char *scrape(struct berth_testing *testing)
{
    const struct berth_metrics *metrics = berth_testing_interface(testing);
    void *instance = berth_testing_instance(testing);
    const struct berth_metrics_text *text;
    struct berth_error err;
    char *copy;

    assert_int_equal(BERTH_OK, metrics->write(instance, &text, &err));
    copy = strndup(text->text, text->length);
    metrics->release(instance, text);
    return copy;
}

static void assert_has(struct berth_testing *testing, const char *part, bool expected)
{
    char *text = scrape(testing);

    if ((strstr(text, part) != NULL) != expected)
        fail_msg("%s \"%s\" in:\n%s", expected ? "no" : "a", part, text);
    free(text);
}

static void the_daemon_says_who_it_is(void **state)
{
    assert_has(*state, "# TYPE containerd_build_info_total counter\ncontainerd_build_info_total{version=\"",
               true);
}

static void the_process_is_measured(void **state)
{
    static const char *const names[] = {
        "\nprocess_cpu_seconds_total ",
        "\nprocess_open_fds ",
        "\nprocess_max_fds ",
        "\nprocess_virtual_memory_max_bytes ",
        "\nprocess_virtual_memory_bytes ",
        "\nprocess_resident_memory_bytes ",
        "\nprocess_start_time_seconds ",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_has(*state, names[i], true);
}

static void a_plugin_that_does_not_run_is_not_shown(void **state)
{
    struct berth_testing *testing = *state;
    const struct berth_metrics *metrics = berth_testing_interface(testing);
    struct berth_host host = *berth_testing_host(testing);
    const struct berth_metric_info info = {.size = sizeof(info), .name = "x_total", .help = "Help."};
    struct berth_metric *metric;
    struct berth_error err;

    metrics->add(berth_testing_instance(testing), &host, &info, &metric, &err);
    berth_series_add(metrics->series(metric, NULL), 1);
    assert_has(testing, "x_total{plugin=\"io.berth.metrics.v1.registry\"} 1\n", true);
    host.uri = "io.example.v1.gone";
    metrics->add(berth_testing_instance(testing), &host, &info, &metric, &err);
    berth_series_add(metrics->series(metric, NULL), 1);
    assert_has(testing, "io.example.v1.gone", false);
}

static void the_overflow_of_series_is_logged(void **state)
{
    static const char *const labels[] = {"of"};
    struct berth_testing *testing = plugin_run("io.berth.metrics.v1.registry", "max_series: 2");
    const struct berth_metrics *metrics = berth_testing_interface(testing);
    const struct berth_metric_info info = {
        .size = sizeof(info), .name = "x_total", .help = "Help.", .labels = labels, .label_count = 1};
    struct berth_metric *metric;
    struct berth_error err;

    metrics->add(berth_testing_instance(testing), berth_testing_host(testing), &info, &metric, &err);
    for (int i = 0; i < 5; i++) {
        const char text[] = {(char)('a' + i), '\0'};
        const char *value = text;

        berth_series_add(metrics->series(metric, &value), 1);
    }
    assert_has(testing, "of=\"_other\"} 3\n", true);
    assert_true(berth_testing_has_logged(
        testing, "metric x_total of io.berth.metrics.v1.registry has reached its maximum of 2 series"));
    plugin_destroy(testing);
}

static void readers_that_stop_reading_do_not_add_up(void **state)
{
    struct berth_testing *testing = *state;
    const struct berth_metrics *metrics = berth_testing_interface(testing);
    void *instance = berth_testing_instance(testing);
    const struct berth_metrics_text *texts[BERTH_METRICS_TEXTS_MAX], *more;
    struct berth_error err;

    for (size_t i = 0; i < BERTH_METRICS_TEXTS_MAX; i++) {
        assert_int_equal(BERTH_OK, metrics->write(instance, &texts[i], &err));
        if (i > 0)
            assert_ptr_not_equal(texts[i - 1], texts[i]);
        berth_testing_advance(testing, 1000);
    }
    assert_int_equal(BERTH_RESOURCE_EXHAUSTED, metrics->write(instance, &more, &err));
    assert_string_equal(err.message, "16 earlier texts are still being read; retry later");
    metrics->release(instance, texts[3]);
    assert_int_equal(BERTH_OK, metrics->write(instance, &texts[3], &err));
    /* The same moment: ten thousand readers hold one text. */
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(BERTH_OK, metrics->write(instance, &more, &err));
        assert_ptr_equal(texts[3], more);
    }
    for (int i = 0; i < 10000; i++)
        metrics->release(instance, more);
    for (size_t i = 0; i < BERTH_METRICS_TEXTS_MAX; i++)
        metrics->release(instance, texts[i]);
}

static void the_calls_need_the_registry_of_their_own_module(void **state)
{
    struct berth_testing *testing = plugin_create("io.containerd.metrics.v1.grpc-prometheus", NULL);
    struct berth_error err;

    assert_int_equal(BERTH_FAILED_PRECONDITION, berth_testing_start(testing, &err));
    assert_non_null(strstr(err.message, "io.berth.metrics.v1.registry is from another module"));
    plugin_destroy(testing);
}

#define REGISTRY "io.berth.metrics.v1.registry"

static struct berth_series *count(struct berth_testing *testing, double amount)
{
    const struct berth_metrics *metrics = berth_testing_interface(testing);
    const struct berth_metric_info info = {.size = sizeof(info), .name = "x_total", .help = "Help."};
    struct berth_metric *metric;
    struct berth_series *series;
    struct berth_error err;

    assert_int_equal(BERTH_OK, metrics->add(berth_testing_instance(testing), berth_testing_host(testing),
                                            &info, &metric, &err));
    series = metrics->series(metric, NULL);
    berth_series_add(series, amount);
    return series;
}

static void counters_go_on_in_the_next_generation(void **state)
{
    struct berth_testing *next = plugin_run(REGISTRY, NULL);
    struct saved_state saved;

    /* Both live at once. */
    count(*state, 5);
    count(next, 1);
    saved = state_save(*state);
    state_refuse_version(next, &saved);
    state_load(next, &saved);
    assert_has(next, "\nx_total{plugin=\"" REGISTRY "\"} 6\n", true);
    assert_has(*state, "\nx_total{plugin=\"" REGISTRY "\"} 5\n", true);
    plugin_destroy(next);
    saved_state_finish(&saved);
}

static void damaged_state_is_refused(void **state)
{
    struct saved_state saved;

    count(*state, 5);
    saved = state_save(*state);
    assert_true(state_damage(REGISTRY, NULL, &saved) > saved.length);
    saved_state_finish(&saved);
}

static void the_maximum_of_series_is_changed_in_place(void **state)
{
    static const char *const labels[] = {"of"}, *const one[] = {"a"}, *const two[] = {"b"},
                             *const three[] = {"c"};
    struct berth_testing *testing = plugin_run(REGISTRY, "max_series: 1");
    const struct berth_metrics *metrics = berth_testing_interface(testing);
    const struct berth_metric_info info = {
        .size = sizeof(info), .name = "x_total", .help = "Help.", .labels = labels, .label_count = 1};
    struct berth_metric *metric;
    struct berth_error err;

    metrics->add(berth_testing_instance(testing), berth_testing_host(testing), &info, &metric, &err);
    metrics->series(metric, one);
    metrics->series(metric, two);
    assert_has(testing, "of=\"b\"", false);
    assert_int_equal(BERTH_OK, berth_testing_reconfigure(testing, "max_series: 3", &err));
    metrics->series(metric, two);
    assert_has(testing, "of=\"b\"", true);
    assert_int_equal(BERTH_INVALID_ARGUMENT, berth_testing_reconfigure(testing, "max_series: 0", &err));
    metrics->series(metric, three);
    assert_has(testing, "of=\"c\"", false);
    plugin_destroy(testing);
}

static int set_up(void **state)
{
    *state = plugin_run("io.berth.metrics.v1.registry", NULL);
    return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, plugin_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_daemon_says_who_it_is),
        TEST(the_process_is_measured),
        TEST(a_plugin_that_does_not_run_is_not_shown),
        TEST(readers_that_stop_reading_do_not_add_up),
        TEST(counters_go_on_in_the_next_generation),
        TEST(damaged_state_is_refused),
        cmocka_unit_test(the_maximum_of_series_is_changed_in_place),
        cmocka_unit_test(the_overflow_of_series_is_logged),
        cmocka_unit_test(the_calls_need_the_registry_of_their_own_module),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
