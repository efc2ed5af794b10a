/* SPDX-License-Identifier: Apache-2.0 */
/* The access log: which calls get a line, and what is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <berth/testing.h>

static const char traceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/* "bad" fails. */
static void say(struct berth_call *call, const void *message, size_t length)
{
    if (length == 3)
        berth_call_finish(call, BERTH_NOT_FOUND, "no such thing");
    else
        berth_call_reply(call, "", 0);
}

static const struct berth_method methods[] = {{.name = "Say", .on_message = say}};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "test.Access",
    .methods = methods,
    .method_count = 1,
};

static struct berth_testing *start(const char *settings)
{
    struct berth_error err;
    struct berth_testing *testing = berth_testing_create(&berth_module, NULL, settings, &err);

    if (testing == NULL || berth_testing_start(testing, &err) != BERTH_OK ||
        berth_testing_provide_service(testing, &service, NULL, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return testing;
}

static void finish(struct berth_testing *testing)
{
    struct berth_error err = {""};

    if (berth_testing_destroy(testing, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

static void call(struct berth_testing *testing, const char *message, const char *trace)
{
    const struct berth_metadata metadata[] = {{"traceparent", trace, strlen(trace)}};
    const struct berth_testing_call_options options = {.metadata = metadata, .metadata_count = 1};
    struct berth_testing_call *made = berth_testing_call_create(testing, "/test.Access/Say", &options);

    berth_testing_call_send(made, message, strlen(message));
    if (strcmp(message, "slow") == 0)
        berth_testing_advance(testing, 3);
    berth_testing_call_half_close(made);
    berth_testing_run(testing);
    berth_testing_call_destroy(made);
}

static size_t count_lines(const struct berth_testing *testing, const char *part)
{
    enum berth_log_level level;
    const char *line;
    size_t count = 0;

    for (size_t i = 0; (line = berth_testing_log(testing, i, &level)) != NULL; i++)
        count += strstr(line, part) != NULL;
    return count;
}

static void a_call_has_one_line_with_all_that_is_known(void **state)
{
    struct berth_testing *testing = start("enabled: true");
    enum berth_log_level level;

    call(testing, "x", traceparent);
    assert_int_equal(count_lines(testing, "call method=/test.Access/Say code=OK duration_ms="), 1);
    assert_int_equal(count_lines(testing, " trace_id=0af7651916cd43dd8448eb211c80319c"), 1);
    assert_int_equal(count_lines(testing, " transport=test peer="), 1);
    assert_non_null(berth_testing_log(testing, 0, &level));
    assert_int_equal(level, BERTH_LOG_INFO);
    finish(testing);
}

static void what_a_caller_made_up_is_no_trace_id(void **state)
{
    struct berth_testing *testing = start("enabled: true");

    call(testing, "x", "00-0af7651916cd43dd8448eb211c80319\" forged=1-b7ad6b7169203331-01");
    call(testing, "x", "short");
    assert_int_equal(count_lines(testing, "code=OK"), 2);
    assert_int_equal(count_lines(testing, "trace_id"), 0);
    assert_int_equal(count_lines(testing, "forged"), 0);
    finish(testing);
}

static void one_call_in_so_many_is_logged_and_all_that_fail(void **state)
{
    struct berth_testing *testing = start("{enabled: true, sample: 4}");

    for (size_t i = 0; i < 8; i++)
        call(testing, "x", "");
    assert_int_equal(count_lines(testing, "code=OK"), 2);
    call(testing, "x", "");
    call(testing, "bad", "");
    assert_int_equal(count_lines(testing, "code=NOT_FOUND"), 1);
    finish(testing);
}

static void failed_calls_are_sampled_too_where_the_operator_says_so(void **state)
{
    struct berth_testing *testing = start("{enabled: true, sample: 0, failed: false}");

    call(testing, "bad", "");
    call(testing, "x", "");
    assert_int_equal(count_lines(testing, "method="), 0);
    finish(testing);
}

static void a_slow_call_is_a_warning_whatever_the_sample(void **state)
{
    struct berth_testing *testing = start("{enabled: true, sample: 0, slow_after: 2ms}");
    enum berth_log_level level;

    call(testing, "x", "");
    call(testing, "slow", "");
    assert_int_equal(count_lines(testing, "slow call method=/test.Access/Say code=OK duration_ms=3.000 "), 1);
    assert_non_null(berth_testing_log(testing, 0, &level));
    assert_int_equal(level, BERTH_LOG_WARN);
    finish(testing);
}

static void changed_settings_are_in_effect_at_the_next_call(void **state)
{
    static const struct {
        const char *settings;
        const char *call;
        size_t lines;
    } cases[] = {
        {"{enabled: true, sample: 0}", "x", 0},
        {"{enabled: true, sample: 1}", "x", 1},
        {"{enabled: true, sample: 0, failed: false}", "bad", 0},
        {"{enabled: true, sample: 0, failed: true}", "bad", 1},
        {"{enabled: true, sample: 0, slow_after: 3ms}", "slow", 1},
        {"{enabled: true, sample: 0, slow_after: 4ms}", "slow", 0},
    };
    struct berth_testing *testing = start("enabled: true");
    struct berth_error err = {""};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t before = count_lines(testing, "call method=");

        assert_int_equal(berth_testing_reconfigure(testing, cases[i].settings, &err), BERTH_OK);
        call(testing, cases[i].call, "");
        assert_int_equal(count_lines(testing, "call method=") - before, cases[i].lines);
    }
    assert_int_equal(berth_testing_reconfigure(testing, "{enabled: true, sample: -1}", &err),
                     BERTH_INVALID_ARGUMENT);
    finish(testing);
}

static void a_call_that_began_before_a_change_is_told_its_end(void **state)
{
    struct berth_testing *testing = start("{enabled: true, sample: 0}");
    struct berth_testing_call *made = berth_testing_call_create(testing, "/test.Access/Say", NULL);
    struct berth_error err = {""};

    assert_int_equal(berth_testing_reconfigure(testing, "{enabled: true, sample: 1}", &err), BERTH_OK);
    berth_testing_call_send(made, "x", 1);
    berth_testing_call_half_close(made);
    berth_testing_run(testing);
    assert_int_equal(count_lines(testing, "call method="), 1);
    berth_testing_call_destroy(made);
    finish(testing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_has_one_line_with_all_that_is_known),
        cmocka_unit_test(what_a_caller_made_up_is_no_trace_id),
        cmocka_unit_test(one_call_in_so_many_is_logged_and_all_that_fail),
        cmocka_unit_test(failed_calls_are_sampled_too_where_the_operator_says_so),
        cmocka_unit_test(a_slow_call_is_a_warning_whatever_the_sample),
        cmocka_unit_test(changed_settings_are_in_effect_at_the_next_call),
        cmocka_unit_test(a_call_that_began_before_a_change_is_told_its_end),
    };

    return cmocka_run_group_tests_name("access_log", tests, NULL, NULL);
}
