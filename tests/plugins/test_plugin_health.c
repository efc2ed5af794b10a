/* SPDX-License-Identifier: Apache-2.0 */
/* Health: what Check answers, when Watch speaks, and which plugins are well. */
#include "plugin_stage.h"

#include <grpc/health/v1/health.pb-c.h>
#include <plugins/health/conditions.h>

#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"

enum {
    SERVING = 1,
    NOT_SERVING = 2,
    SERVICE_UNKNOWN = 3,
};

static size_t pack(const char *service, uint8_t *bytes)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

    request.service = (char *)(uintptr_t)service;
    return grpc__health__v1__health_check_request__pack(&request, bytes);
}

static struct berth_testing_call *ask(struct berth_testing *testing, const char *path, const char *service)
{
    uint8_t bytes[2048];

    return berth_testing_unary(testing, path, bytes, pack(service, bytes));
}

static int status(const struct berth_testing_call *call, size_t i)
{
    size_t length;
    const void *bytes = berth_testing_call_reply(call, i, &length);
    Grpc__Health__V1__HealthCheckResponse *reply;
    int status;

    assert_non_null(bytes);
    reply = grpc__health__v1__health_check_response__unpack(NULL, length, bytes);
    assert_non_null(reply);
    status = (int)reply->status;
    grpc__health__v1__health_check_response__free_unpacked(reply, NULL);
    return status;
}

static void on_message(struct berth_call *call, const void *message, size_t length)
{
}

static const struct berth_method methods[] = {
    {.name = "M", .kind = BERTH_METHOD_UNARY, .on_message = on_message},
};

static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "test.Later",
    .methods = methods,
    .method_count = 1,
};

static void a_live_service_serves(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call = ask(testing, CHECK, "grpc.health.v1.Health");

    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    assert_int_equal(status(call, 0), SERVING);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void a_daemon_that_is_not_ready_does_not_serve(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call = ask(testing, CHECK, "");

    assert_int_equal(status(call, 0), NOT_SERVING);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void an_unknown_service_is_not_found(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call = ask(testing, CHECK, "test.Later");

    assert_int_equal(berth_testing_call_code(call), BERTH_NOT_FOUND);
    assert_string_equal(berth_testing_call_message(call), "unknown service");
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void a_name_that_no_service_can_have_is_refused(void **state)
{
    static char name[1026];
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call;

    memset(name, 'x', sizeof(name) - 1);
    call = ask(testing, WATCH, name);
    assert_int_equal(berth_testing_call_code(call), BERTH_INVALID_ARGUMENT);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void a_watch_tells_of_changes_alone(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call = ask(testing, WATCH, "test.Later");
    struct berth_error err;

    assert_int_equal(berth_testing_call_code(call), BERTH_PENDING);
    assert_int_equal(berth_testing_call_reply_count(call), 1);
    assert_int_equal(status(call, 0), SERVICE_UNKNOWN);
    berth_testing_advance(testing, 2000);
    assert_int_equal(berth_testing_call_reply_count(call), 1);
    assert_int_equal(berth_testing_provide_service(testing, &service, NULL, &err), BERTH_OK);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_call_reply_count(call), 2);
    assert_int_equal(status(call, 1), SERVING);
    berth_testing_call_cancel(call);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void a_slow_watcher_is_told_when_it_reads(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call = ask(testing, WATCH, "test.Later");
    struct berth_error err;

    berth_testing_call_set_slow(call, true);
    assert_int_equal(berth_testing_provide_service(testing, &service, NULL, &err), BERTH_OK);
    berth_testing_advance(testing, 2000);
    assert_int_equal(berth_testing_call_reply_count(call), 1);
    berth_testing_call_set_slow(call, false);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_call_reply_count(call), 2);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void a_drain_ends_those_who_watch(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *first = ask(testing, WATCH, "test.Later");
    struct berth_testing_call *second = ask(testing, WATCH, "");
    struct berth_error err;

    assert_int_equal(berth_testing_drain(testing, &err), BERTH_OK);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_call_code(first), BERTH_UNAVAILABLE);
    assert_int_equal(berth_testing_call_code(second), BERTH_UNAVAILABLE);
    berth_testing_call_destroy(first);
    berth_testing_call_destroy(second);
    plugin_destroy(testing);
}

static void who_watches_is_asked_to_call_the_next_generation(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call = ask(testing, WATCH, "");

    plugin_drain_for_another(testing);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_call_code(call), BERTH_UNAVAILABLE);
    assert_string_equal(berth_testing_call_message(call), PLUGIN_REPLACED);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void several_watch_at_one_time(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *first = ask(testing, WATCH, "test.Later");
    struct berth_testing_call *second = ask(testing, WATCH, "");
    struct berth_error err;

    assert_int_equal(status(second, 0), NOT_SERVING);
    berth_testing_call_destroy(second);
    assert_int_equal(berth_testing_provide_service(testing, &service, NULL, &err), BERTH_OK);
    berth_testing_run(testing);
    assert_int_equal(status(first, 1), SERVING);
    berth_testing_call_destroy(first);
    plugin_destroy(testing);
}

static void the_daemon_serves_from_ready_until_it_drains(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call = ask(testing, WATCH, "");

    berth_testing_set_daemon(testing, true, false);
    berth_testing_run(testing);
    berth_testing_set_daemon(testing, true, true);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_call_reply_count(call), 3);
    assert_int_equal(status(call, 0), NOT_SERVING);
    assert_int_equal(status(call, 1), SERVING);
    assert_int_equal(status(call, 2), NOT_SERVING);
    berth_testing_call_destroy(call);
    call = ask(testing, CHECK, "grpc.health.v1.Health");
    assert_int_equal(status(call, 0), NOT_SERVING);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

#define STORE "io.berth.store.v1.lmdb"

static int check_over(struct berth_testing *testing, const char *name, const char *transport)
{
    const struct berth_testing_call_options options = {.transport = transport};
    struct berth_testing_call *call = berth_testing_call_create(testing, CHECK, &options);
    uint8_t bytes[2048];
    int answer;

    berth_testing_call_send(call, bytes, pack(name, bytes));
    berth_testing_call_half_close(call);
    answer = berth_testing_call_code(call) == BERTH_OK ? status(call, 0) : SERVICE_UNKNOWN;
    berth_testing_call_destroy(call);
    return answer;
}

static void a_plugin_is_asked_for_by_its_uri(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);

    assert_int_equal(check_over(testing, STORE, "grpc"), SERVICE_UNKNOWN);
    berth_testing_provide(testing, STORE, NULL, NULL);
    berth_testing_set_condition(testing, STORE, BERTH_OK, NULL);
    berth_testing_run(testing);
    assert_int_equal(check_over(testing, STORE, "grpc"), SERVING);
    assert_int_equal(check_over(testing, STORE, "ttrpc"), SERVING);
    assert_int_equal(check_over(testing, STORE, "tcp"), SERVICE_UNKNOWN);
    berth_testing_set_condition(testing, STORE, BERTH_UNAVAILABLE, "the disk is full");
    berth_testing_run(testing);
    assert_int_equal(check_over(testing, STORE, "grpc"), NOT_SERVING);
    plugin_destroy(testing);
}

static void who_watches_a_plugin_hears_that_it_is_degraded_and_well_again(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);
    struct berth_testing_call *call;

    berth_testing_provide(testing, STORE, NULL, NULL);
    call = ask(testing, WATCH, STORE);
    berth_testing_set_condition(testing, STORE, BERTH_UNAVAILABLE, "the disk is full");
    berth_testing_run(testing);
    berth_testing_set_condition(testing, STORE, BERTH_OK, NULL);
    berth_testing_run(testing);
    assert_int_equal(berth_testing_call_reply_count(call), 3);
    assert_int_equal(status(call, 0), SERVING);
    assert_int_equal(status(call, 1), NOT_SERVING);
    assert_int_equal(status(call, 2), SERVING);
    berth_testing_call_destroy(call);
    plugin_destroy(testing);
}

static void a_service_does_not_serve_while_its_plugin_is_degraded(void **state)
{
    struct berth_testing *testing = plugin_run(NULL, NULL);

    berth_report(berth_testing_host(testing), BERTH_INTERNAL, "lost count");
    berth_testing_run(testing);
    assert_int_equal(check_over(testing, "grpc.health.v1.Health", "grpc"), NOT_SERVING);
    berth_report(berth_testing_host(testing), BERTH_OK, NULL);
    berth_testing_run(testing);
    assert_int_equal(check_over(testing, "grpc.health.v1.Health", "grpc"), SERVING);
    plugin_destroy(testing);
}

/* A daemon's plugins, in the plan's order. */
struct listed {
    struct berth_plugin_info plugins[4];
    size_t count;
};

static void list_each(const struct berth_inspect *inspect,
                      bool (*on_plugin)(void *context, const struct berth_plugin_info *info), void *context)
{
    const struct listed *listed = inspect->context;

    for (size_t i = 0; i < listed->count && on_plugin(context, &listed->plugins[i]); i++)
        ;
}

static struct berth_plugin_info describe(const char *uri, enum berth_state state,
                                         const struct berth_edge *edges, size_t edge_count)
{
    return (struct berth_plugin_info){
        .size = sizeof(struct berth_plugin_info),
        .uri = uri,
        .state = state,
        .edges = edges,
        .edge_count = edge_count,
        .times.ready_at_ns = state == BERTH_STATE_READY ? 1 : 0,
    };
}

/* A store; what requires it; what requires that; and what only wants the store. */
static const struct berth_edge on_store[] = {{"store", "type", true}};
static const struct berth_edge on_service[] = {{"other", "type", true}, {"service", "type", true}};
static const struct berth_edge after_store[] = {{"store", "type", false}};

static void fill(struct listed *listed, enum berth_state store)
{
    *listed = (struct listed){
        .plugins = {describe("store", store, NULL, 0), describe("service", BERTH_STATE_READY, on_store, 1),
                    describe("grpc", BERTH_STATE_SERVING, on_service, 2),
                    describe("loner", BERTH_STATE_READY, after_store, 1)},
        .count = 4,
    };
}

static void assert_conditions(struct listed *listed, const char *expected)
{
    const struct berth_inspect inspect = {.size = sizeof(inspect), .context = listed, .each = list_each};
    struct conditions conditions = {0};
    char found[8] = "";

    assert_true(conditions_refresh(&conditions, &inspect));
    for (size_t i = 0; i < listed->count; i++)
        found[i] = "?wi"[conditions_find(&conditions, listed->plugins[i].uri)];
    assert_string_equal(found, expected);
    assert_int_equal(conditions_find(&conditions, "stores"), CONDITION_UNKNOWN);
    conditions_finish(&conditions);
}

static void what_requires_a_degraded_plugin_is_ill_however_far_away(void **state)
{
    struct listed listed;

    fill(&listed, BERTH_STATE_READY);
    assert_conditions(&listed, "wwww");
    listed.plugins[0].condition = BERTH_UNAVAILABLE;
    assert_conditions(&listed, "iiiw");
    listed.plugins[0].condition = BERTH_OK;
    listed.plugins[1].condition = BERTH_UNAVAILABLE;
    assert_conditions(&listed, "wiiw");
}

static void what_requires_a_fallen_plugin_is_ill_unless_it_began_without_it(void **state)
{
    struct listed listed;

    fill(&listed, BERTH_STATE_FAILED);
    assert_conditions(&listed, "iwww");
    listed.plugins[0].times.ready_at_ns = 1;
    assert_conditions(&listed, "iiiw");
}

static void a_host_that_knows_no_conditions_is_taken_at_its_states(void **state)
{
    struct listed listed;

    fill(&listed, BERTH_STATE_READY);
    listed.plugins[0].condition = BERTH_UNAVAILABLE;
    listed.plugins[0].size = offsetof(struct berth_plugin_info, condition);
    assert_conditions(&listed, "wwww");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_live_service_serves),
        cmocka_unit_test(a_daemon_that_is_not_ready_does_not_serve),
        cmocka_unit_test(an_unknown_service_is_not_found),
        cmocka_unit_test(a_name_that_no_service_can_have_is_refused),
        cmocka_unit_test(a_watch_tells_of_changes_alone),
        cmocka_unit_test(a_slow_watcher_is_told_when_it_reads),
        cmocka_unit_test(a_drain_ends_those_who_watch),
        cmocka_unit_test(who_watches_is_asked_to_call_the_next_generation),
        cmocka_unit_test(several_watch_at_one_time),
        cmocka_unit_test(the_daemon_serves_from_ready_until_it_drains),
        cmocka_unit_test(a_plugin_is_asked_for_by_its_uri),
        cmocka_unit_test(who_watches_a_plugin_hears_that_it_is_degraded_and_well_again),
        cmocka_unit_test(a_service_does_not_serve_while_its_plugin_is_degraded),
        cmocka_unit_test(what_requires_a_degraded_plugin_is_ill_however_far_away),
        cmocka_unit_test(what_requires_a_fallen_plugin_is_ill_unless_it_began_without_it),
        cmocka_unit_test(a_host_that_knows_no_conditions_is_taken_at_its_states),
    };

    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
