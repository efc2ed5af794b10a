/* SPDX-License-Identifier: Apache-2.0 */
/* One entry of proxy_plugins in the fake host: what it says of a server that is not there. */
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#include <berth/testing.h>

static struct berth_testing *begin(const char *settings)
{
    struct berth_error err;
    struct berth_testing *testing = berth_testing_create(&berth_module, NULL, settings, &err);

    if (testing == NULL)
        fail_msg("%s", err.message);
    return testing;
}

static void finish(struct berth_testing *testing)
{
    struct berth_error err = {.message = ""};

    if (berth_testing_destroy(testing, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

static void a_server_that_is_not_there_leaves_the_plugin_degraded(void **state)
{
    struct berth_testing *testing = begin("address: /nonexistent/x.sock\nservices: [a.B]\n");
    struct berth_error err;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_condition(testing, &err), BERTH_UNAVAILABLE);
    assert_non_null(strstr(err.message, "/nonexistent/x.sock"));
    assert_string_equal(berth_testing_export(testing, "connected"), "false");
    assert_non_null(strstr(berth_testing_export(testing, "last_error"), "/nonexistent/x.sock"));
    /* It goes on asking, and goes on to be closed. */
    berth_testing_advance(testing, 10000);
    assert_int_equal(berth_testing_condition(testing, &err), BERTH_UNAVAILABLE);
    finish(testing);
}

static void what_listings_show_comes_from_the_settings(void **state)
{
    struct berth_testing *testing =
        begin("address: /nonexistent/x.sock\nservices: [a.B]\nplatform: linux/arm64\n"
              "exports: {root: /var/lib/x}\ncapabilities: [fast]\n");
    struct berth_error err;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_OK);
    assert_true(berth_testing_has_platform(testing, "linux", "arm64"));
    assert_true(berth_testing_has_capability(testing, "fast"));
    assert_string_equal(berth_testing_export(testing, "root"), "/var/lib/x");
    assert_string_equal(berth_testing_export(testing, "address"), "/nonexistent/x.sock");
    finish(testing);
}

static void settings_that_lead_nowhere_are_refused(void **state)
{
    static const char *const cases[] = {
        "services: [a.B]\n",
        "address: 'host:nothing'\nservices: [a.B]\n",
        "command: [relative]\nservices: [a.B]\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_testing *testing = begin(cases[i]);
        struct berth_error err;

        assert_int_equal(berth_testing_start(testing, &err), BERTH_INVALID_ARGUMENT);
        finish(testing);
    }
}

static void a_program_that_cannot_be_started_fails_the_plugin(void **state)
{
    struct berth_testing *testing = begin("command: [/nonexistent/program]\nservices: [a.B]\n");
    struct berth_error err;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_UNAVAILABLE);
    assert_non_null(strstr(err.message, "/nonexistent/program: cannot be started"));
    finish(testing);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_is_not_there_leaves_the_plugin_degraded),
        cmocka_unit_test(what_listings_show_comes_from_the_settings),
        cmocka_unit_test(settings_that_lead_nowhere_are_refused),
        cmocka_unit_test(a_program_that_cannot_be_started_fails_the_plugin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
