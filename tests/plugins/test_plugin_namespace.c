/* SPDX-License-Identifier: Apache-2.0 */
/* The namespace of a call: which header names it, and what a handler that needs one answers. */
#include "plugin_stage.h"

#include <berth/namespace.h>

#define IDENTIFIER_RULE "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument"

static void say_namespace(struct berth_call *call, const void *message, size_t length)
{
    struct berth_error err;
    const char *name;
    enum berth_code code = berth_call_namespace(call, &name, &err);

    if (code == BERTH_OK)
        berth_call_reply(call, name, strlen(name));
    else
        berth_call_finish(call, code, err.message);
}

static const struct berth_method methods[] = {{.name = "Say", .on_message = say_namespace}};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "test.Namespace",
    .methods = methods,
    .method_count = 1,
};

static int set_up(void **state)
{
    struct berth_error err;
    struct berth_testing *testing = plugin_run(NULL, NULL);

    if (berth_testing_provide_service(testing, &service, NULL, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    *state = testing;
    return 0;
}

static struct berth_testing_call *say(struct berth_testing *testing, const char *transport,
                                      const struct berth_metadata *metadata, size_t count)
{
    const struct berth_testing_call_options options = {
        .metadata = metadata, .metadata_count = count, .transport = transport};
    struct berth_testing_call *call = berth_testing_call_create(testing, "/test.Namespace/Say", &options);

    berth_testing_call_send(call, "", 0);
    berth_testing_call_half_close(call);
    berth_testing_run(testing);
    return call;
}

static void assert_namespace(struct berth_testing *testing, const char *transport, const char *key,
                             const char *value)
{
    const struct berth_metadata metadata[] = {
        {key, value, strlen(value)}, {key, "second", 6}, {"other", "x", 1}};
    struct berth_testing_call *call = say(testing, transport, metadata, 3);

    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    assert_string_equal(berth_testing_call_reply(call, 0, NULL), value);
    berth_testing_call_destroy(call);
}

static void assert_refused(struct berth_testing *testing, const char *transport, const char *key,
                           const char *value, enum berth_code code, const char *message)
{
    const struct berth_metadata metadata[] = {{key, value, strlen(value)}};
    struct berth_testing_call *call = say(testing, transport, metadata, 1);

    assert_int_equal(berth_testing_call_code(call), code);
    assert_string_equal(berth_testing_call_message(call), message);
    berth_testing_call_destroy(call);
}

static void the_first_header_names_it_over_each_transport(void **state)
{
    assert_namespace(*state, "grpc", "containerd-namespace", "default");
    assert_namespace(*state, "tcp", "containerd-namespace", "a.b_c-d");
    assert_namespace(*state, "ttrpc", "containerd-namespace-ttrpc", "k8s.io");
}

static void the_header_of_another_transport_says_nothing(void **state)
{
    static const char required[] = "namespace is required: failed precondition";

    assert_refused(*state, "ttrpc", "containerd-namespace", "a", BERTH_FAILED_PRECONDITION, required);
    assert_refused(*state, "grpc", "containerd-namespace-ttrpc", "a", BERTH_FAILED_PRECONDITION, required);
}

static void an_empty_header_is_none(void **state)
{
    assert_refused(*state, "grpc", "containerd-namespace", "", BERTH_FAILED_PRECONDITION,
                   "namespace is required: failed precondition");
    assert_refused(*state, "grpc", "other", "a", BERTH_FAILED_PRECONDITION,
                   "namespace is required: failed precondition");
}

static void a_header_that_is_no_identifier_is_refused_in_containerds_words(void **state)
{
    char name[BERTH_IDENTIFIER_MAX + 2], message[256];

    assert_refused(*state, "grpc", "containerd-namespace", "bad ns", BERTH_INVALID_ARGUMENT,
                   "namespace validation: identifier \"bad ns\" must match " IDENTIFIER_RULE);
    memset(name, 'a', sizeof(name));
    name[BERTH_IDENTIFIER_MAX + 1] = '\0';
    snprintf(message, sizeof(message),
             "namespace validation: identifier \"%s\" greater than maximum length (76 characters): invalid "
             "argument",
             name);
    assert_refused(*state, "grpc", "containerd-namespace", name, BERTH_INVALID_ARGUMENT, message);
    name[BERTH_IDENTIFIER_MAX] = '\0';
    assert_namespace(*state, "grpc", "containerd-namespace", name);
}

static void identifiers_are_told_from_other_names(void **state)
{
    static const struct {
        const char *name;
        const char *message;
    } cases[] = {
        {"a", NULL},
        {"A9.b_c-d", NULL},
        {"", "identifier must not be empty: invalid argument"},
        {".a", "identifier \".a\" must match " IDENTIFIER_RULE},
        {"a.", "identifier \"a.\" must match " IDENTIFIER_RULE},
        {"a..b", "identifier \"a..b\" must match " IDENTIFIER_RULE},
        {"a/b", "identifier \"a/b\" must match " IDENTIFIER_RULE},
        {"\"\\\n", "identifier \"\\\"\\\\\\x0a\" must match " IDENTIFIER_RULE},
        {"\xc3\xa9\xff", "identifier \"\xc3\xa9\\xff\" must match " IDENTIFIER_RULE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_error err = {""};
        enum berth_code code = berth_identifier_check(cases[i].name, &err);

        assert_int_equal(code, cases[i].message == NULL ? BERTH_OK : BERTH_INVALID_ARGUMENT);
        assert_string_equal(err.message, cases[i].message == NULL ? "" : cases[i].message);
    }
}

static void a_name_of_any_length_is_refused(void **state)
{
    char *name = malloc(100000);
    struct berth_error err;

    assert_non_null(name);
    memset(name, 0xff, 99999);
    name[99999] = '\0';
    assert_int_equal(berth_identifier_check(name, &err), BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "greater than maximum length"));
    free(name);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, plugin_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_first_header_names_it_over_each_transport),
        TEST(the_header_of_another_transport_says_nothing),
        TEST(an_empty_header_is_none),
        TEST(a_header_that_is_no_identifier_is_refused_in_containerds_words),
        TEST(identifiers_are_told_from_other_names),
        TEST(a_name_of_any_length_is_refused),
    };

    return cmocka_run_group_tests_name("namespace", tests, NULL, NULL);
}
