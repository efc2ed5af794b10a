/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin whose handler calls another service of its daemon by typed stubs, in the fake host. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <berth/testing.h>

/* All three sides in one file: no name of one is a name of another. */
#include "kinds.berth.h"
#include "kinds.calls.h"
#include "kinds.client.h"

typedef Berth__Tests__Kinds__Everything everything;

static const char manifest[] = "module: errand\n"
                               "version: 1.0.0\n"
                               "plugins:\n"
                               "  - type: io.test.v1\n"
                               "    id: errand\n"
                               "    services:\n"
                               "      berth.tests.kinds.Second: {Delete: unary}\n";

static const struct berth_host *host;
static const char *handler_says;
static unsigned seen, ended;

/* The plugin: Delete asks Kinds/One, and answers with what that said. */

struct errand {
    /** NULL once its caller has gone. */
    struct berth_call *call;
    struct berth_outgoing *outgoing;
};

static void on_reply(void *context, struct berth_outgoing *outgoing, const everything *reply)
{
    const struct errand *errand = context;
    Berth__Tests__Others__HTTPAnswer__NestedPart answer = BERTH__TESTS__OTHERS__HTTPANSWER__NESTED_PART__INIT;

    answer.url = reply->text;
    berth_tests_kinds_second_delete_reply(errand->call, &answer);
}

static void on_over(void *context, struct berth_outgoing *outgoing, enum berth_code code, const char *message,
                    const struct berth_metadata *trailers, size_t count)
{
    struct errand *errand = context;

    ended++;
    if (errand->call != NULL) {
        errand->call->state = NULL;
        berth_call_finish(errand->call, code, message);
    }
    free(errand);
}

static void on_delete(struct berth_call *call, const Google__Protobuf__Empty *request)
{
    static const struct berth_tests_kinds_kinds_one_outgoing_events events = {NULL, on_reply, on_over};
    const struct berth_outgoing_options options = {.size = sizeof(options), .parent = call};
    everything question = BERTH__TESTS__KINDS__EVERYTHING__INIT;
    struct errand *errand = calloc(1, sizeof(*errand));
    struct berth_error err;

    question.text = (char *)"who?";
    errand->call = call;
    call->state = errand;
    if (berth_tests_kinds_kinds_one_outgoing_start(host, &options, &question, &events, errand,
                                                   &errand->outgoing, &err) == BERTH_OK)
        return;
    call->state = NULL;
    free(errand);
    berth_call_finish(call, BERTH_INTERNAL, err.message);
}

static void on_delete_end(struct berth_call *call, enum berth_code code)
{
    struct errand *errand = call->state;

    if (errand == NULL)
        return;
    errand->call = NULL;
    berth_outgoing_cancel(errand->outgoing);
}

static enum berth_code init(const struct berth_host *given, void *prepared, void **ret_instance,
                            struct berth_error *err)
{
    host = given;
    return BERTH_OK;
}

static const struct berth_tests_kinds_second_handlers second = {
    .delete_ = {.on_message = on_delete, .on_end = on_delete_end}};
static const struct berth_service second_service = BERTH_TESTS_KINDS_SECOND_SERVICE(&second);
static const struct berth_service *const services[] = {&second_service, NULL};
static const struct berth_plugin plugin = {
    .size = sizeof(plugin), .type = "io.test.v1", .id = "errand", .init = init, .services = services};

BERTH_MODULE(&plugin);

/* What the test answers. */

static void on_one(struct berth_call *call, const everything *request)
{
    everything reply = BERTH__TESTS__KINDS__EVERYTHING__INIT;

    seen++;
    assert_string_equal(request->text, "who?");
    assert_string_equal(call->transport, "plugin");
    assert_string_equal(call->peer->address, "plugin:io.test.v1.errand");
    if (handler_says == NULL)
        return;
    reply.text = (char *)handler_says;
    berth_tests_kinds_kinds_one_reply(call, &reply);
}

static const struct berth_tests_kinds_kinds_handlers kinds = {.one = {.on_message = on_one}};
static const struct berth_service kinds_service = BERTH_TESTS_KINDS_KINDS_SERVICE(&kinds);

static struct berth_testing *begin(bool provides)
{
    struct berth_testing *testing;
    struct berth_error err;

    seen = ended = 0;
    handler_says = "me";
    testing = berth_testing_create_from(manifest, &berth_module, NULL, NULL, &err);
    if (testing == NULL)
        fail_msg("%s", err.message);
    if (provides)
        assert_int_equal(berth_testing_provide_service(testing, &kinds_service, NULL, &err), BERTH_OK);
    assert_int_equal(berth_testing_start(testing, &err), BERTH_OK);
    return testing;
}

static void finish(struct berth_testing *testing)
{
    struct berth_error err = {.message = ""};

    if (berth_testing_destroy(testing, &err) != BERTH_OK)
        fail_msg("%s", err.message);
}

static void a_handler_answers_with_what_another_service_said(void **state)
{
    struct berth_testing *testing = begin(true);
    struct berth_testing_call *call =
        berth_testing_unary(testing, "/berth.tests.kinds.Second/Delete", NULL, 0);
    size_t length;

    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    assert_memory_equal(berth_testing_call_reply(call, 0, &length), "\x0a\2me", 4);
    assert_int_equal(seen, 1);
    assert_int_equal(ended, 1);
    berth_testing_call_destroy(call);
    finish(testing);
}

static void a_service_that_is_missing_is_told(void **state)
{
    struct berth_testing *testing = begin(false);
    struct berth_testing_call *call =
        berth_testing_unary(testing, "/berth.tests.kinds.Second/Delete", NULL, 0);

    assert_int_equal(berth_testing_call_code(call), BERTH_UNIMPLEMENTED);
    assert_string_equal(berth_testing_call_message(call), "unknown service berth.tests.kinds.Kinds");
    berth_testing_call_destroy(call);
    finish(testing);
}

static void the_deadline_of_the_caller_goes_along(void **state)
{
    struct berth_testing_call_options options = {.deadline_ms = 500};
    struct berth_testing *testing = begin(true);
    struct berth_testing_call *call;

    handler_says = NULL;
    call = berth_testing_call_create(testing, "/berth.tests.kinds.Second/Delete", &options);
    berth_testing_call_send(call, NULL, 0);
    berth_testing_call_half_close(call);
    berth_testing_run(testing);
    assert_int_equal(seen, 1);
    assert_int_equal(ended, 0);
    berth_testing_advance(testing, 501);
    assert_int_equal(ended, 1);
    assert_int_equal(berth_testing_call_code(call), BERTH_DEADLINE_EXCEEDED);
    berth_testing_call_destroy(call);
    finish(testing);
}

static void what_is_open_when_the_plugin_closes_is_cancelled_first(void **state)
{
    struct berth_testing *testing = begin(true);
    struct berth_testing_call *call;
    struct berth_error err;

    handler_says = NULL;
    call = berth_testing_call_create(testing, "/berth.tests.kinds.Second/Delete", NULL);
    berth_testing_call_send(call, NULL, 0);
    berth_testing_call_half_close(call);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_close(testing, &err), BERTH_OK);
    assert_int_equal(ended, 1);
    assert_int_equal(berth_testing_call_code(call), BERTH_CANCELLED);
    assert_string_equal(berth_testing_call_message(call), "the calling plugin is closing");
    berth_testing_call_destroy(call);
    finish(testing);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handler_answers_with_what_another_service_said),
        cmocka_unit_test(a_service_that_is_missing_is_told),
        cmocka_unit_test(the_deadline_of_the_caller_goes_along),
        cmocka_unit_test(what_is_open_when_the_plugin_closes_is_cancelled_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
