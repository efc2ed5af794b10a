/* SPDX-License-Identifier: Apache-2.0 */
/* What berth_inspect shows in the fake host, and that whoever asks it is held to the daemon's rules. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <berth/testing.h>
#include <berth/types/server.h>
#include <berth/types/store.h>

#define URI "io.berth.test.v1.bad"
#define SERVER "io.containerd.server.v1.fake"
#define OTHER "io.berth.other.v1.one"

struct fixture {
    struct berth_testing *testing;
    const struct berth_inspect *inspect;
};

static void begin(struct fixture *fixture, const char *settings)
{
    struct berth_error err;

    fixture->testing = berth_testing_create(&berth_module, NULL, settings, &err);
    if (fixture->testing == NULL)
        fail_msg("%s", err.message);
    fixture->inspect = berth_testing_host(fixture->testing)->inspect;
}

static void start(struct fixture *fixture)
{
    struct berth_error err;

    assert_int_equal(berth_testing_start(fixture->testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_serve(fixture->testing, &err), BERTH_OK);
}

static void end(struct fixture *fixture, const char *fault)
{
    struct berth_error err = {.message = ""};
    enum berth_code code = berth_testing_destroy(fixture->testing, &err);

    assert_string_equal(err.message, fault != NULL ? fault : "");
    assert_int_equal(code, fault != NULL ? BERTH_FAILED_PRECONDITION : BERTH_OK);
}

static void call(struct fixture *fixture)
{
    berth_testing_call_destroy(berth_testing_unary(fixture->testing, "/berth.test.Bad/Do", "four", 4));
}

/* One plugin, and how many were told before it. */
struct found {
    const char *uri;
    int before;
    bool is_there;
    enum berth_state state;
    enum berth_code code;
    char reason[128];
    size_t wants, services, transports;
    char service[64];
};

static bool on_plugin(void *context, const struct berth_plugin_info *info)
{
    struct found *found = context;

    found->is_there = strcmp(info->uri, found->uri) == 0;
    if (!found->is_there) {
        found->before++;
        return true;
    }
    found->state = info->state;
    found->code = info->code;
    snprintf(found->reason, sizeof(found->reason), "%s", info->reason != NULL ? info->reason : "");
    found->wants = info->wants.count;
    found->services = info->services.count;
    if (info->services.count > 0) {
        snprintf(found->service, sizeof(found->service), "%s", info->services.items[0]);
        found->transports = info->transports[0].count;
    }
    return false;
}

static struct found find(struct fixture *fixture, const char *uri)
{
    struct found found = {.uri = uri};

    fixture->inspect->each(fixture->inspect, on_plugin, &found);
    assert_true(found.is_there);
    return found;
}

static void the_state_of_the_plugin_is_what_it_has_got_to(void **state)
{
    struct fixture fixture;
    struct berth_error err;
    struct found found;

    begin(&fixture, NULL);
    found = find(&fixture, URI);
    assert_int_equal(found.state, BERTH_STATE_WAITING);
    assert_int_equal(found.wants, 1);
    assert_int_equal(found.services, 1);
    assert_string_equal(found.service, "berth.test.Bad");
    assert_int_equal(found.transports, 1);
    assert_int_equal(berth_testing_start(fixture.testing, &err), BERTH_OK);
    assert_int_equal(find(&fixture, URI).state, BERTH_STATE_READY);
    assert_int_equal(berth_testing_serve(fixture.testing, &err), BERTH_OK);
    assert_int_equal(find(&fixture, URI).state, BERTH_STATE_SERVING);
    assert_int_equal(berth_testing_drain(fixture.testing, &err), BERTH_OK);
    assert_int_equal(find(&fixture, URI).state, BERTH_STATE_DRAINING);
    assert_int_equal(berth_testing_close(fixture.testing, &err), BERTH_OK);
    assert_int_equal(find(&fixture, URI).state, BERTH_STATE_STOPPED);
    end(&fixture, NULL);
}

static void a_plugin_that_fails_has_its_reason(void **state)
{
    struct fixture fixture;
    struct found found;

    begin(&fixture, NULL);
    start(&fixture);
    berth_fail(berth_testing_host(fixture.testing), BERTH_DATA_LOSS, "all is lost");
    found = find(&fixture, URI);
    assert_int_equal(found.state, BERTH_STATE_FAILED);
    assert_int_equal(found.code, BERTH_DATA_LOSS);
    assert_string_equal(found.reason, "all is lost");
    end(&fixture, NULL);
}

struct seen_costs {
    const char *uri;
    struct berth_plugin_costs costs;
    uint64_t opened, ended_well, bytes;
    size_t visits;
};

static bool on_costs(void *context, const struct berth_plugin_costs *costs)
{
    struct seen_costs *seen = context;

    seen->visits++;
    if (strcmp(costs->uri, seen->uri) != 0)
        return true;
    seen->costs = *costs;
    if (costs->method_count == 1) {
        assert_string_equal(costs->methods[0].path, "/berth.test.Bad/Do");
        seen->opened = costs->methods[0].opened;
        seen->ended_well = costs->methods[0].ended[BERTH_OK];
        seen->bytes = costs->methods[0].bytes_received;
    }
    return false;
}

static struct seen_costs costs_of(struct fixture *fixture, const char *uri)
{
    struct seen_costs seen = {.uri = uri};

    fixture->inspect->costs(fixture->inspect, on_costs, &seen);
    return seen;
}

static void what_the_plugin_does_is_its_cost(void **state)
{
    struct fixture fixture;
    struct seen_costs seen;
    uint64_t before;

    begin(&fixture, "{defect: nap, when: handler}");
    berth_testing_provide(fixture.testing, OTHER, NULL, NULL);
    berth_testing_set_callback_limit(fixture.testing, 0);
    start(&fixture);
    before = costs_of(&fixture, URI).costs.entries;
    call(&fixture);
    call(&fixture);
    seen = costs_of(&fixture, URI);
    assert_int_equal(seen.visits, 2);
    assert_string_equal(seen.costs.module, "bad");
    assert_int_equal(seen.costs.module_plugins, 1);
    assert_true(seen.costs.entries >= before + 2);
    assert_in_range(seen.costs.longest_ns, 290000000, 3000000000);
    assert_true(seen.costs.loop_ns >= 2 * UINT64_C(290000000));
    assert_int_equal(seen.costs.handles, 1);
    assert_int_equal(seen.costs.misuses, 0);
    assert_int_equal(seen.opened, 2);
    assert_int_equal(seen.ended_well, 2);
    assert_int_equal(seen.bytes, 8);
    seen = costs_of(&fixture, OTHER);
    assert_int_equal(seen.costs.loop_ns, 0);
    assert_int_equal(seen.costs.method_count, 0);
    end(&fixture, NULL);
}

static void what_it_does_wrong_is_counted(void **state)
{
    struct fixture fixture;

    begin(&fixture, "{defect: double_reply, when: handler}");
    start(&fixture);
    call(&fixture);
    assert_int_equal(costs_of(&fixture, URI).costs.misuses, 1);
    berth_report(berth_testing_host(fixture.testing), BERTH_UNAVAILABLE, "tired");
    berth_report(berth_testing_host(fixture.testing), BERTH_UNAVAILABLE, "still tired");
    assert_int_equal(costs_of(&fixture, URI).costs.degradations, 1);
    end(&fixture, "replied to a call twice; ignored (/berth.test.Bad/Do)");
}

static void a_test_may_say_what_things_cost(void **state)
{
    static const struct berth_plugin_costs first = {.size = sizeof(first), .uri = OTHER, .stalls = 1};
    static const struct berth_plugin_costs second = {.size = sizeof(second), .uri = OTHER, .stalls = 7};
    static const struct berth_daemon_costs whole = {.size = sizeof(whole), .turns = 5, .lag_ns = 9};
    struct berth_daemon_costs costs = {.size = sizeof(costs)};
    struct berth_daemon_costs old = {.size = offsetof(struct berth_daemon_costs, turns), .turns = 77};
    struct fixture fixture;

    begin(&fixture, NULL);
    berth_testing_provide(fixture.testing, OTHER, NULL, NULL);
    start(&fixture);
    fixture.inspect->daemon_costs(fixture.inspect, &costs);
    assert_int_equal(costs.size, sizeof(costs));
    assert_true(costs.cpu_ns > 0);
    assert_int_equal(costs.handles, costs.other_handles + 1);
    assert_int_equal(costs.turns, 0);
    berth_testing_set_costs(fixture.testing, &first);
    berth_testing_set_costs(fixture.testing, &second);
    berth_testing_set_daemon_costs(fixture.testing, &whole);
    assert_int_equal(costs_of(&fixture, OTHER).costs.stalls, 7);
    fixture.inspect->daemon_costs(fixture.inspect, &costs);
    assert_int_equal(costs.turns, 5);
    assert_int_equal(costs.lag_ns, 9);
    fixture.inspect->daemon_costs(fixture.inspect, &old);
    assert_int_equal(old.turns, 77);
    end(&fixture, NULL);
}

static uint64_t closed;

static void each_connection(void *instance,
                            bool (*on_connection)(void *context, const struct berth_connection *connection),
                            void *context)
{
    for (uint64_t number = 1; number <= 3; number++)
        if (!on_connection(context, &(struct berth_connection){.size = sizeof(struct berth_connection),
                                                               .number = number,
                                                               .transport = "tcp"}))
            return;
}

static enum berth_code close_connection(void *instance, uint64_t number, struct berth_error *err)
{
    if (number > 3)
        return berth_error_set(err, BERTH_NOT_FOUND, "no connection %d", (int)number);
    closed = number;
    return BERTH_OK;
}

static const struct berth_server server = {
    .size = sizeof(server), .each_connection = each_connection, .close_connection = close_connection};

static bool on_connection(void *context, const struct berth_connection *connection)
{
    assert_string_equal(connection->server, SERVER);
    assert_string_equal(connection->transport, "tcp");
    return ++*(size_t *)context < 2;
}

static void connections_are_those_of_provided_servers(void **state)
{
    struct berth_error err;
    struct fixture fixture;
    size_t count = 0;

    begin(&fixture, NULL);
    berth_testing_provide(fixture.testing, OTHER, NULL, NULL);
    berth_testing_provide(fixture.testing, SERVER, &server, NULL);
    start(&fixture);
    fixture.inspect->connections(fixture.inspect, on_connection, &count);
    assert_int_equal(count, 2);
    assert_int_equal(fixture.inspect->close_connection(fixture.inspect, SERVER, 2, &err), BERTH_OK);
    assert_int_equal(closed, 2);
    assert_int_equal(fixture.inspect->close_connection(fixture.inspect, SERVER, 4, &err), BERTH_NOT_FOUND);
    assert_int_equal(fixture.inspect->close_connection(fixture.inspect, OTHER, 1, &err), BERTH_NOT_FOUND);
    assert_string_equal(err.message, OTHER " is not a server that can close connections");
    assert_int_equal(fixture.inspect->close_connection(fixture.inspect, URI, 1, &err), BERTH_NOT_FOUND);
    assert_int_equal(fixture.inspect->close_connection(fixture.inspect, "io.no.v1.x", 1, &err),
                     BERTH_NOT_FOUND);
    end(&fixture, NULL);
}

struct reader {
    struct fixture fixture;
    struct berth_log_follower *follower;
    size_t told;
    char text[512];
};

static void on_lines(void *context)
{
    struct reader *reader = context;
    const struct berth_inspect *inspect = reader->fixture.inspect;
    struct berth_log_line line;
    size_t used;

    reader->told++;
    while (inspect->next_line(inspect, reader->follower, &line)) {
        used = strlen(reader->text);
        snprintf(reader->text + used, sizeof(reader->text) - used, "%d %s: %s;", line.level, line.uri,
                 line.text);
    }
}

static void follow(struct reader *reader, int level, const char *uri)
{
    const struct berth_inspect *inspect = reader->fixture.inspect;
    const struct berth_log_filter filter = {.size = sizeof(filter), .level = level, .uri = uri};

    reader->follower = inspect->follow_log(inspect, &filter, on_lines, reader);
    assert_non_null(reader->follower);
}

static void log_one(struct reader *reader, enum berth_log_level level, const char *text)
{
    berth_log(berth_testing_host(reader->fixture.testing), level, "%s", text);
}

static void who_follows_the_log_hears_from_the_loop(void **state)
{
    struct reader reader = {.told = 0};
    const struct berth_inspect *inspect;

    begin(&reader.fixture, NULL);
    inspect = reader.fixture.inspect;
    start(&reader.fixture);
    log_one(&reader, BERTH_LOG_INFO, "before");
    follow(&reader, BERTH_LOG_INFO, NULL);
    log_one(&reader, BERTH_LOG_WARN, "one");
    log_one(&reader, BERTH_LOG_DEBUG, "too fine");
    log_one(&reader, BERTH_LOG_INFO, "two\nlines");
    assert_int_equal(reader.told, 0);
    berth_testing_run(reader.fixture.testing);
    assert_int_equal(reader.told, 1);
    assert_string_equal(reader.text, "1 " URI ": one;2 " URI ": two lines;");
    inspect->unfollow_log(inspect, reader.follower);
    log_one(&reader, BERTH_LOG_WARN, "after");
    berth_testing_run(reader.fixture.testing);
    assert_int_equal(reader.told, 1);
    follow(&reader, BERTH_LOG_DEBUG, OTHER);
    log_one(&reader, BERTH_LOG_WARN, "not of the other");
    berth_testing_run(reader.fixture.testing);
    assert_int_equal(reader.told, 1);
    inspect->unfollow_log(inspect, reader.follower);
    end(&reader.fixture, NULL);
}

static void a_follower_that_stays_is_a_fault_and_so_is_one_that_has_gone(void **state)
{
    struct berth_log_line line;
    struct reader reader = {.told = 0};
    const struct berth_inspect *inspect;

    begin(&reader.fixture, NULL);
    start(&reader.fixture);
    follow(&reader, -1, NULL);
    end(&reader.fixture, "a follower of the log was never removed");

    begin(&reader.fixture, NULL);
    inspect = reader.fixture.inspect;
    start(&reader.fixture);
    follow(&reader, -1, NULL);
    inspect->unfollow_log(inspect, reader.follower);
    assert_false(inspect->next_line(inspect, reader.follower, &line));
    inspect->unfollow_log(inspect, reader.follower);
    end(&reader.fixture, "called inspect->next_line for a follower of the log that is not there\n"
                         "called inspect->unfollow_log for a follower of the log that is not there");
}

static void levels_of_the_log_are_obeyed(void **state)
{
    struct reader reader = {.told = 0};
    struct berth_testing *testing;
    const struct berth_inspect *inspect;
    const struct berth_host *host;
    struct berth_error err;

    begin(&reader.fixture, NULL);
    testing = reader.fixture.testing;
    inspect = reader.fixture.inspect;
    host = berth_testing_host(testing);
    berth_testing_provide(testing, OTHER, NULL, NULL);
    start(&reader.fixture);
    assert_int_equal(inspect->log_level(inspect, NULL), BERTH_LOG_DEBUG);
    assert_int_equal(inspect->log_level(inspect, URI), -1);
    assert_int_equal(inspect->set_log_level(inspect, NULL, BERTH_LOG_WARN, &err), BERTH_OK);
    assert_int_equal(inspect->log_level(inspect, NULL), BERTH_LOG_WARN);
    assert_false(host->logs(host, BERTH_LOG_INFO));
    log_one(&reader, BERTH_LOG_INFO, "unheard");
    assert_false(berth_testing_has_logged(testing, "unheard"));
    assert_int_equal(inspect->set_log_level(inspect, URI, BERTH_LOG_INFO, &err), BERTH_OK);
    log_one(&reader, BERTH_LOG_INFO, "heard");
    assert_true(berth_testing_has_logged(testing, "heard"));
    assert_int_equal(inspect->set_log_level(inspect, URI, -1, &err), BERTH_OK);
    assert_int_equal(inspect->log_level(inspect, URI), -1);
    assert_int_equal(inspect->set_log_level(inspect, OTHER, BERTH_LOG_ERROR, &err), BERTH_OK);
    assert_int_equal(inspect->log_level(inspect, OTHER), BERTH_LOG_ERROR);
    assert_int_equal(inspect->set_log_level(inspect, NULL, -1, &err), BERTH_INVALID_ARGUMENT);
    assert_int_equal(inspect->set_log_level(inspect, URI, 4, &err), BERTH_INVALID_ARGUMENT);
    assert_string_equal(err.message, "4 is not a level of the log");
    assert_int_equal(inspect->set_log_level(inspect, "io.no.v1.x", 1, &err), BERTH_NOT_FOUND);
    assert_int_equal(inspect->log_level(inspect, "io.no.v1.x"), -1);
    /* Who follows may want more than the log has. */
    follow(&reader, BERTH_LOG_DEBUG, NULL);
    assert_true(host->logs(host, BERTH_LOG_DEBUG));
    log_one(&reader, BERTH_LOG_DEBUG, "fine");
    berth_testing_run(testing);
    assert_string_equal(reader.text, "3 " URI ": fine;");
    assert_false(berth_testing_has_logged(testing, "fine"));
    inspect->unfollow_log(inspect, reader.follower);
    end(&reader.fixture, NULL);
}

static bool on_setting(void *context, const struct berth_setting *setting)
{
    char *text = context;
    size_t length = strlen(text);

    snprintf(text + length, 128 - length, "%s=%s@%s ", setting->path, setting->value, setting->where);
    return true;
}

static void settings_are_those_of_the_plugin_and_providers_have_none(void **state)
{
    const struct berth_inspect *inspect;
    struct fixture fixture;
    struct berth_error err;
    char text[128] = "";

    begin(&fixture, "defect: none");
    berth_testing_provide(fixture.testing, OTHER, NULL, NULL);
    start(&fixture);
    inspect = fixture.inspect;
    assert_int_equal(inspect->settings(inspect, URI, on_setting, text, &err), BERTH_OK);
    assert_string_equal(text, "defect=none@settings:1:9 when=init@default ");
    text[0] = '\0';
    assert_int_equal(inspect->settings(inspect, OTHER, on_setting, text, &err), BERTH_OK);
    assert_string_equal(text, "");
    assert_int_equal(inspect->settings(inspect, "io.no.v1.x", on_setting, text, &err), BERTH_NOT_FOUND);
    assert_string_equal(err.message, "plugin \"io.no.v1.x\" not found");
    end(&fixture, NULL);
}

static bool on_stack(void *context, const struct berth_thread_stack *stack)
{
    assert_true(stack->id > 0);
    assert_true(strlen(stack->name) > 0);
    assert_int_equal(stack->frames.count, 0);
    ++*(size_t *)context;
    return true;
}

static void every_thread_is_there_with_its_name(void **state)
{
    struct fixture fixture;
    size_t count = 0;

    begin(&fixture, NULL);
    start(&fixture);
    fixture.inspect->stacks(fixture.inspect, on_stack, &count);
    /* This one, and those of libuv's pool. */
    assert_true(count > 1);
    end(&fixture, NULL);
}

static void *ask_all(void *context)
{
    const struct berth_inspect *inspect = context;
    struct berth_daemon_costs costs = {.size = sizeof(costs)};
    struct seen_costs seen = {.uri = URI};
    struct berth_error err;
    size_t count = 0;

    inspect->costs(inspect, on_costs, &seen);
    inspect->daemon_costs(inspect, &costs);
    inspect->connections(inspect, on_connection, &count);
    inspect->close_connection(inspect, SERVER, 1, &err);
    inspect->set_log_level(inspect, NULL, BERTH_LOG_WARN, &err);
    inspect->stacks(inspect, on_stack, &count);
    count += inspect->settings(inspect, URI, on_setting, NULL, &err) != BERTH_FAILED_PRECONDITION;
    return (void *)(uintptr_t)(seen.visits + count + (size_t)inspect->log_level(inspect, NULL));
}

static void other_threads_are_told_nothing_and_change_nothing(void **state)
{
    struct fixture fixture;
    pthread_t thread;
    void *result;

    begin(&fixture, NULL);
    start(&fixture);
    assert_int_equal(pthread_create(&thread, NULL, ask_all, (void *)(uintptr_t)fixture.inspect), 0);
    pthread_join(thread, &result);
    assert_int_equal((uintptr_t)result, BERTH_LOG_DEBUG);
    end(&fixture, "called inspect->costs from a thread other than the loop's: use berth_post\n"
                  "called inspect->daemon_costs from a thread other than the loop's: use berth_post\n"
                  "called inspect->connections from a thread other than the loop's: use berth_post\n"
                  "called inspect->close_connection from a thread other than the loop's: use berth_post\n"
                  "called inspect->set_log_level from a thread other than the loop's: use berth_post\n"
                  "called inspect->stacks from a thread other than the loop's: use berth_post\n"
                  "called inspect->settings from a thread other than the loop's: use berth_post");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_of_the_plugin_is_what_it_has_got_to),
        cmocka_unit_test(a_plugin_that_fails_has_its_reason),
        cmocka_unit_test(what_the_plugin_does_is_its_cost),
        cmocka_unit_test(what_it_does_wrong_is_counted),
        cmocka_unit_test(a_test_may_say_what_things_cost),
        cmocka_unit_test(connections_are_those_of_provided_servers),
        cmocka_unit_test(who_follows_the_log_hears_from_the_loop),
        cmocka_unit_test(a_follower_that_stays_is_a_fault_and_so_is_one_that_has_gone),
        cmocka_unit_test(levels_of_the_log_are_obeyed),
        cmocka_unit_test(settings_are_those_of_the_plugin_and_providers_have_none),
        cmocka_unit_test(every_thread_is_there_with_its_name),
        cmocka_unit_test(other_threads_are_told_nothing_and_change_nothing),
    };

    return cmocka_run_group_tests_name("testing_inspect", tests, NULL, NULL);
}
