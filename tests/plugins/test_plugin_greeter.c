/* SPDX-License-Identifier: Apache-2.0 */
/* The greeter, as its author would test it. */
#include "plugin_stage.h"

#include <helloworld/helloworld.pb-c.h>

static size_t pack(const char *name, uint8_t *bytes)
{
    Helloworld__HelloRequest request = HELLOWORLD__HELLO_REQUEST__INIT;

    request.name = (char *)(uintptr_t)name;
    return helloworld__hello_request__pack(&request, bytes);
}

static struct berth_testing_call *call_with(struct berth_testing *testing, const char *path, const char *name)
{
    uint8_t bytes[8192];

    return berth_testing_unary(testing, path, bytes, pack(name, bytes));
}

static void assert_reply(const struct berth_testing_call *call, size_t i, const char *expected)
{
    size_t length;
    const void *bytes = berth_testing_call_reply(call, i, &length);
    Helloworld__HelloReply *reply = helloworld__hello_reply__unpack(NULL, length, bytes);

    assert_non_null(reply);
    assert_string_equal(reply->message, expected);
    helloworld__hello_reply__free_unpacked(reply, NULL);
}

static void it_greets_with_the_configured_word(void **state)
{
    static const char *const cases[][2] = {{NULL, "Hello Ada"}, {"greeting: Salut", "Salut Ada"}};

    for (size_t i = 0; i < 2; i++) {
        struct berth_testing *testing = plugin_run(NULL, cases[i][0]);
        struct berth_testing_call *call = call_with(testing, "/helloworld.Greeter/SayHello", "Ada");

        assert_int_equal(berth_testing_call_code(call), BERTH_OK);
        assert_reply(call, 0, cases[i][1]);
        berth_testing_call_destroy(call);
        plugin_destroy(testing);
    }
}

static void changed_settings_are_in_effect_at_the_next_call(void **state)
{
    static const struct {
        const char *settings;
        enum berth_code code;
        const char *reply;
    } cases[] = {
        {"greeting: Salut", BERTH_OK, "Salut Ada"},
        {"greeting: [x]", BERTH_INVALID_ARGUMENT, "Salut Ada"},
        {NULL, BERTH_OK, "Hello Ada"},
        {"max_name: 2", BERTH_OK, NULL},
        {"max_name: 3", BERTH_OK, "Hello Ada"},
        {"max_name: 0", BERTH_INVALID_ARGUMENT, "Hello Ada"},
    };
    struct berth_testing *testing = plugin_run(NULL, NULL);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_testing_call *call;

        assert_int_equal(plugin_reconfigure(testing, cases[i].settings), cases[i].code);
        call = call_with(testing, "/helloworld.Greeter/SayHello", "Ada");
        if (cases[i].reply != NULL)
            assert_reply(call, 0, cases[i].reply);
        else
            assert_int_equal(berth_testing_call_code(call), BERTH_INVALID_ARGUMENT);
        berth_testing_call_destroy(call);
    }
    plugin_destroy(testing);
}

static void two_generations_answer_at_once(void **state)
{
    struct berth_testing *old = plugin_run(NULL, NULL), *new = plugin_run(NULL, "greeting: Salut");
    struct berth_testing_call *spelled =
        berth_testing_call_create(old, "/helloworld.Greeter/SpellHello", NULL);
    struct berth_testing_call *call;
    uint8_t bytes[64];

    berth_testing_call_set_slow(spelled, true);
    berth_testing_call_send(spelled, bytes, pack("Ada", bytes));
    berth_testing_call_half_close(spelled);
    berth_testing_run(old);
    call = call_with(new, "/helloworld.Greeter/SayHello", "Ada");
    assert_reply(call, 0, "Salut Ada");
    berth_testing_call_destroy(call);
    plugin_destroy(new);
    /* What the old one began, it finishes. */
    berth_testing_call_set_slow(spelled, false);
    berth_testing_run(old);
    assert_int_equal(berth_testing_call_code(spelled), BERTH_OK);
    berth_testing_call_destroy(spelled);
    plugin_destroy(old);
}

static void a_name_that_is_too_long_is_refused(void **state)
{
    static const char *const paths[] = {"/helloworld.Greeter/SayHello", "/helloworld.Greeter/SpellHello"};
    struct berth_testing *testing = plugin_run(NULL, "max_name: 3");

    for (size_t i = 0; i < 2; i++) {
        struct berth_testing_call *call = call_with(testing, paths[i], "Adam");

        assert_int_equal(berth_testing_call_code(call), BERTH_INVALID_ARGUMENT);
        assert_string_equal(berth_testing_call_message(call), "the name has 4 bytes; max_name allows 3");
        berth_testing_call_destroy(call);
    }
    plugin_destroy(testing);
}

static void bytes_that_are_no_request_are_refused(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call =
        berth_testing_unary(testing, "/helloworld.Greeter/SpellHello", "\x0a\xff", 2);

    assert_int_equal(berth_testing_call_code(call), BERTH_INTERNAL);
    assert_string_equal(berth_testing_call_message(call),
                        "grpc: error unmarshalling request: not a valid helloworld.HelloRequest");
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void it_spells_letter_by_letter(void **state)
{
    static const char *const letters[] = {"Z", "o", "\xc3\xab"};
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call = call_with(testing, "/helloworld.Greeter/SpellHello", "Zo\xc3\xab");

    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    assert_int_equal(berth_testing_call_reply_count(call), 3);
    for (size_t i = 0; i < 3; i++)
        assert_reply(call, i, letters[i]);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void a_slow_reader_is_waited_for(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call =
        berth_testing_call_create(testing, "/helloworld.Greeter/SpellHello", NULL);
    uint8_t bytes[64];

    berth_testing_call_set_slow(call, true);
    berth_testing_call_send(call, bytes, pack("Ada", bytes));
    berth_testing_call_half_close(call);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_call_code(call), BERTH_PENDING);
    assert_true(berth_testing_call_reply_count(call) < 3);
    berth_testing_call_set_slow(call, false);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    assert_int_equal(berth_testing_call_reply_count(call), 3);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void a_caller_who_leaves_costs_nothing(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call =
        berth_testing_call_create(testing, "/helloworld.Greeter/SpellHello", NULL);
    uint8_t bytes[64];

    berth_testing_call_set_slow(call, true);
    berth_testing_call_send(call, bytes, pack("Ada", bytes));
    berth_testing_call_half_close(call);
    berth_testing_call_cancel(call);
    assert_int_equal(berth_testing_call_code(call), BERTH_CANCELLED);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

/* Whether names of five thousand bytes are taken. */
static void expect_long_names(const char *settings, bool taken)
{
    struct berth_testing *testing = plugin_run(NULL, settings);
    char name[5001];
    struct berth_testing_call *call;

    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    call = call_with(testing, "/helloworld.Greeter/SayHello", name);
    assert_int_equal(berth_testing_call_code(call), taken ? BERTH_OK : BERTH_INVALID_ARGUMENT);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void a_section_of_version_1_means_what_it_meant(void **state)
{
    expect_long_names("config_version: 1\nlong_names: true", true);
    expect_long_names("config_version: 1\nlong_names: false", false);
    expect_long_names("long_names: true", true);
    expect_long_names("long_names: false\ngreeting: Hi", false);
}

static void a_section_of_version_1_that_is_wrong_is_refused(void **state)
{
    static const char *const wrong[] = {"config_version: 1\nlong_names: yes", "long_names: 'true'",
                                        "config_version: 2\nlong_names: true", "long_name: true"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct berth_error err;

        assert_null(berth_testing_create(&berth_module, NULL, wrong[i], &err));
        assert_non_null(strstr(err.message, "long_name"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_greets_with_the_configured_word),
        cmocka_unit_test(changed_settings_are_in_effect_at_the_next_call),
        cmocka_unit_test(two_generations_answer_at_once),
        cmocka_unit_test(a_name_that_is_too_long_is_refused),
        cmocka_unit_test(bytes_that_are_no_request_are_refused),
        cmocka_unit_test(it_spells_letter_by_letter),
        cmocka_unit_test(a_slow_reader_is_waited_for),
        cmocka_unit_test(a_caller_who_leaves_costs_nothing),
        cmocka_unit_test(a_section_of_version_1_means_what_it_meant),
        cmocka_unit_test(a_section_of_version_1_that_is_wrong_is_refused),
    };

    return cmocka_run_group_tests_name("greeter", tests, NULL, NULL);
}
