/* SPDX-License-Identifier: Apache-2.0 */
/* How a change is performed: what happens in which order, what callers notice, and what a failure leaves. */
#include "perform_calls.h"

#include <core/holds.h>

#define GREETER_WITH(version, more)                                                                          \
    "{module: greeter, version: " version ", plugins: [{type: io.x.v1, id: greeter, " more                   \
    "config: {word: {type: string, default: a}}, services: {test.Stage: {Ask: unary}}}]}"
#define BESIDE(version) GREETER_WITH(version, "upgrade: beside, callbacks: [reconfigure],\n")
#define STATE "state: {writes: 3, reads: [2, 3]}, callbacks: [reconfigure, save_state, load_state],\n"
#define HANDOVER(version) GREETER_WITH(version, "upgrade: handover, " STATE)
#define EXCLUSIVE(version) GREETER_WITH(version, "upgrade: exclusive, " STATE)
#define STORE(version)                                                                                       \
    "{module: store, version: " version ", plugins: [{type: io.x.store.v1, id: store, interface: s}]}"
#define USER                                                                                                 \
    "{module: user, version: 1.0.0, plugins: [{type: io.x.user.v1, id: user, interface: u,\n"                \
    " requires: [io.x.store.v1.store]}]}"
#define LATE                                                                                                 \
    "{module: late, version: 1.0.0, plugins: [{type: io.x.late.v1, id: late, wants: [io.x.store.v1]}]}"
#define ASKER(version) GREETER_WITH(version, "upgrade: beside, requires: [io.x.store.v1.store],\n")
#define GUARD(version) "{module: guard, version: " version ", plugins: [{type: io.x.guard.v1, id: guard}]}"

#define MODULES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_answered(const char *expected)
{
    struct berth_stream stream;
    struct berth_call *call = open_call(&stream);

    if (call != NULL)
        answer_call(call);
    assert_string_equal(stream.got, expected);
}

static void assert_change(const char *const *modules, const char *trace, const char *report)
{
    stage_change(modules, "");
    assert_string_equal(stage.trace, trace);
    assert_string_equal(stage.report, report);
}

static void what_is_the_same_is_not_touched(void **state)
{
    stage_start(MODULES(BESIDE("1.0.0"), STORE("1.0.0"), USER), "");
    assert_change(MODULES(BESIDE("1.0.0"), STORE("1.0.0"), USER), "", "");
    stage_end();
}

static void beside_the_new_one_is_there_before_the_old_one_goes(void **state)
{
    stage_start(MODULES(BESIDE("1.0.0")), "");
    assert_answered("one");
    assert_change(MODULES(BESIDE("2.0.0")), "init greeter2, drain greeter1, close greeter1, ",
                  "upgrade io.x.v1.greeter OK\n");
    assert_answered("two");
    assert_int_equal(stage_plugin("io.x.v1.greeter")->generation, 2);
    assert_int_equal(registry_count(stage.registry), 1);
    stage_end();
}

static void a_call_ends_where_it_began_and_keeps_its_generation(void **state)
{
    struct berth_stream stream;

    stage_start(MODULES(BESIDE("1.0.0")), "");
    struct berth_call *call = open_call(&stream);

    assert_change(MODULES(BESIDE("2.0.0")), "init greeter2, drain greeter1, ",
                  "upgrade io.x.v1.greeter OK\n");
    assert_int_equal(registry_count(stage.registry), 2);
    assert_int_equal(registry_at(stage.registry, 1)->generation, 1);
    assert_answered("two");
    answer_call(call);
    assert_string_equal(stream.got, "one");
    while (registry_count(stage.registry) > 1)
        stage_turn();
    assert_non_null(strstr(stage.trace, "close greeter1"));
    stage_end();
}

static void in_a_handover_state_passes_while_calls_wait(void **state)
{
    struct berth_stream streams[2];

    stage_start(MODULES(HANDOVER("1.0.0")), "");
    struct berth_call *early = open_call(&streams[0]);
    struct asked asked = {.request = {.begin = stage_begin, .on_done = stage_on_done}};
    stage_world(MODULES(HANDOVER("2.0.0")), "");
    perform_ask(stage.perform, &asked.request);
    for (int i = 0; i < 5; i++)
        uv_run(&stage.loop, UV_RUN_NOWAIT);
    struct berth_call *held = open_call(&streams[1]);
    assert_string_equal(stage.trace, "init greeter2, drain greeter1, ");
    answer_call(held);
    assert_string_equal(streams[1].got, "");
    answer_call(early);
    stage_run_until(&asked.is_done);
    assert_string_equal(streams[0].got, "one");
    assert_string_equal(streams[1].got, "two");
    assert_string_equal(stage.trace,
                        "init greeter2, drain greeter1, save greeter1, restore greeter2, close greeter1, ");
    stage_end();
}

static void exclusive_ones_are_closed_first_with_their_users(void **state)
{
    stage_start(MODULES(BESIDE("1.0.0"), STORE("1.0.0"), USER), "");
    assert_change(
        MODULES(BESIDE("1.0.0"), STORE("2.0.0"), USER),
        "drain user1, drain store1, close user1, close store1, init store2, init user1, two user1, ",
        "upgrade io.x.store.v1.store OK\nrestart io.x.user.v1.user OK\n");
    assert_int_equal(stage_plugin("io.x.user.v1.user")->generation, 2);
    stage_end();
}

static void calls_are_held_and_never_refused(void **state)
{
    struct berth_stream streams[200];
    struct berth_call *calls[200];

    stage_start(MODULES(EXCLUSIVE("1.0.0")), "");
    struct berth_stream stream;
    struct berth_call *early = open_call(&stream);
    struct asked asked = {.request = {.begin = stage_begin, .on_done = stage_on_done}};
    stage_world(MODULES(EXCLUSIVE("2.0.0")), "");
    perform_ask(stage.perform, &asked.request);
    for (int i = 0; i < 5; i++)
        uv_run(&stage.loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < 200; i++) {
        calls[i] = open_call(&streams[i]);
        assert_non_null(calls[i]);
        answer_call(calls[i]);
    }
    answer_call(early);
    stage_run_until(&asked.is_done);
    for (size_t i = 0; i < 200; i++)
        assert_string_equal(streams[i].got, "two");
    assert_string_equal(stage.trace,
                        "drain greeter1, save greeter1, close greeter1, init greeter2, restore greeter2, ");
    stage_end();
}

static void a_failure_before_the_switch_leaves_the_old_one_untouched(void **state)
{
    static const char *const faults[][2] = {{"init fails", "made of cheese"},
                                            {"init hangs", "did not complete"},
                                            {"module fails", "undefined symbol"}};

    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 3; k++) {
            stage_start(i == 0 ? MODULES(BESIDE("1.0.0")) : MODULES(HANDOVER("1.0.0")), "");
            stage_fault("io.x.v1.greeter", "2.0.0", faults[k][0]);
            stage_change(i == 0 ? MODULES(BESIDE("2.0.0")) : MODULES(HANDOVER("2.0.0")), "");
            assert_null(strstr(stage.trace, "greeter1"));
            assert_non_null(strstr(stage.report, faults[k][1]));
            assert_answered("one");
            assert_int_equal(stage_plugin("io.x.v1.greeter")->state, BERTH_STATE_SERVING);
            stage_end();
        }
}

static void after_a_close_the_old_module_starts_again(void **state)
{
    stage_start(MODULES(STORE("1.0.0"), USER), "");
    stage_fault("io.x.store.v1.store", "2.0.0", "init fails");
    assert_change(
        MODULES(STORE("2.0.0"), USER),
        "drain user1, drain store1, close user1, close store1, init store2, init store1, init user1, one "
        "user1, ",
        "upgrade io.x.store.v1.store DATA_LOSS: made of cheese; version 1.0.0 runs again\n"
        "restart io.x.user.v1.user FAILED_PRECONDITION: blocked: requires io.x.store.v1.store, which has "
        "failed: made of cheese; version 1.0.0 runs again\n");
    assert_int_equal(stage_plugin("io.x.user.v1.user")->state, BERTH_STATE_SERVING);
    stage_end();
}

static void state_goes_back_to_the_old_module(void **state)
{
    stage_start(MODULES(EXCLUSIVE("1.0.0")), "");
    stage_fault("io.x.v1.greeter", "2.0.0", "load fails");
    stage_change(MODULES(EXCLUSIVE("2.0.0")), "");
    assert_string_equal(stage.trace,
                        "drain greeter1, save greeter1, close greeter1, init greeter2, restore greeter2, "
                        "close greeter2, init greeter1, restore greeter1, ");
    assert_non_null(strstr(stage.report, "illegible; version 1.0.0 runs again"));
    assert_answered("one");
    stage_end();
}

static void what_cannot_be_saved_goes_on(void **state)
{
    stage_start(MODULES(EXCLUSIVE("1.0.0")), "");
    stage_fault("io.x.v1.greeter", "1.0.0", "save fails");
    assert_change(MODULES(EXCLUSIVE("2.0.0")), "drain greeter1, ",
                  "upgrade io.x.v1.greeter INTERNAL: its state could not be saved: no pen\n");
    assert_answered("one");
    stage_end();
}

static void a_change_that_calls_delay_too_long_is_given_up(void **state)
{
    struct berth_stream stream;

    stage_start(MODULES(EXCLUSIVE("1.0.0")), "");
    struct berth_call *call = open_call(&stream);
    stage_change(MODULES(EXCLUSIVE("2.0.0")), "");
    assert_non_null(strstr(stage.report, "DEADLINE_EXCEEDED: abandoned"));
    assert_non_null(
        strstr(stage.report, "1 call in flight: /test.Stage/Ask of io.x.v1.greeter over test (1)"));
    assert_answered("one");
    answer_call(call);
    assert_string_equal(stream.got, "one");
    assert_int_equal(stage_plugin("io.x.v1.greeter")->state, BERTH_STATE_SERVING);
    stage_change(MODULES(EXCLUSIVE("2.0.0")), "");
    assert_string_equal(stage.report, "upgrade io.x.v1.greeter OK\n");
    assert_answered("two");
    stage_end();
}

static void a_forced_change_ends_the_calls_that_are_left(void **state)
{
    struct berth_stream stream;

    stage_start(MODULES(EXCLUSIVE("1.0.0")), "");
    stage.is_forced = true;
    open_call(&stream);
    stage_change(MODULES(EXCLUSIVE("2.0.0")), "");
    assert_string_equal(stage.report, "upgrade io.x.v1.greeter OK\n");
    assert_string_equal(stream.got, "UNAVAILABLE");
    stage_end();
}

static void a_drain_that_never_ends_gives_the_change_up(void **state)
{
    stage_start(MODULES(STORE("1.0.0"), USER), "");
    stage_fault("io.x.user.v1.user", "1.0.0", "drain hangs");
    stage_change(MODULES(STORE("2.0.0"), USER), "");
    assert_non_null(strstr(stage.report, "io.x.user.v1.user DEADLINE_EXCEEDED: abandoned"));
    assert_string_equal(stage.trace, "drain user1, drain store1, ");
    assert_int_equal(stage_plugin("io.x.store.v1.store")->state, BERTH_STATE_SERVING);
    stage_end();
}

static void settings_are_taken_in_place(void **state)
{
    stage_start(MODULES(BESIDE("1.0.0")), "");
    stage_change(MODULES(BESIDE("1.0.0")), "plugins: {io.x.v1.greeter: {word: b}}");
    assert_string_equal(stage.trace, "take greeter1, ");
    assert_string_equal(stage.report, "reconfigure io.x.v1.greeter OK\n");
    assert_int_equal(stage_plugin("io.x.v1.greeter")->generation, 1);
    stage_fault("io.x.v1.greeter", "1.0.0", "refuse");
    stage_change(MODULES(BESIDE("1.0.0")), "plugins: {io.x.v1.greeter: {word: c}}");
    assert_string_equal(stage.report, "reconfigure io.x.v1.greeter INVALID_ARGUMENT: too much\n");
    stage.fault_count = 0;
    stage_fault("io.x.v1.greeter", "1.0.0", "restart");
    stage_change(MODULES(BESIDE("1.0.0")), "plugins: {io.x.v1.greeter: {word: d}}");
    assert_string_equal(stage.trace, "take greeter1, init greeter1, drain greeter1, close greeter1, ");
    assert_string_equal(stage.report, "restart io.x.v1.greeter OK\n");
    stage_end();
}

static void plugins_come_and_go(void **state)
{
    stage_start(MODULES(STORE("1.0.0")), "");
    assert_change(MODULES(STORE("1.0.0"), USER, BESIDE("1.0.0")), "init greeter1, init user1, one user1, ",
                  "start io.x.v1.greeter OK\nstart io.x.user.v1.user OK\n");
    assert_answered("one");
    assert_change(MODULES(STORE("1.0.0")), "remove user1, close user1, remove greeter1, close greeter1, ",
                  "stop io.x.user.v1.user OK\nstop io.x.v1.greeter OK\n");
    assert_answered("UNIMPLEMENTED");
    assert_int_equal(stage_plugin("io.x.v1.greeter")->state, BERTH_STATE_STOPPED);
    assert_change(MODULES(STORE("1.0.0"), BESIDE("2.0.0")), "init greeter2, ", "start io.x.v1.greeter OK\n");
    assert_answered("two");
    assert_int_equal(stage_plugin("io.x.v1.greeter")->generation, 2);
    stage_end();
}

static void one_that_failed_may_be_mended(void **state)
{
    stage_start(MODULES(STORE("1.0.0")), "");
    stage_fault("io.x.v1.greeter", "1.0.0", "init fails");
    assert_change(MODULES(STORE("1.0.0"), BESIDE("1.0.0")), "init greeter1, ",
                  "start io.x.v1.greeter DATA_LOSS: made of cheese\n");
    assert_answered("UNAVAILABLE");
    assert_change(MODULES(STORE("1.0.0"), BESIDE("2.0.0")), "init greeter2, ", "start io.x.v1.greeter OK\n");
    assert_answered("two");
    stage_end();
}

/* Whether one can run is asked anew when it is back, whatever it came to before. */
static void an_attempt_is_forgotten_with_its_plugin(void **state)
{
    static const char *const without[] = {"", "disabled_plugins: [io.x.user.v1.user]"};

    for (size_t i = 0; i < 2; i++) {
        const char *const *fewer = i == 0 ? MODULES(STORE("1.0.0")) : MODULES(STORE("1.0.0"), USER);

        stage_start(MODULES(GUARD("1.0.0")), "");
        stage_fault("io.x.store.v1.store", "1.0.0", "init fails");
        stage_change(MODULES(STORE("1.0.0"), USER), "");
        assert_int_equal(stage_plugin("io.x.user.v1.user")->state, BERTH_STATE_BLOCKED);
        stage_change(fewer, without[i]);
        assert_int_equal(stage_plugin("io.x.user.v1.user")->state,
                         i == 0 ? BERTH_STATE_STOPPED : BERTH_STATE_DISABLED);
        assert_false(stage_plugin("io.x.user.v1.user")->is_taken);
        stage_change(i == 0 ? MODULES(STORE("2.0.0")) : MODULES(STORE("2.0.0"), USER), without[i]);
        assert_change(MODULES(STORE("2.0.0"), USER), "init user1, two user1, ",
                      "start io.x.user.v1.user OK\n");
        stage_end();
    }
}

static void one_that_failed_while_it_ran_is_closed_when_it_goes(void **state)
{
    stage_start(MODULES(GUARD("1.0.0")), "");
    stage_fault("io.x.store.v1.store", "1.0.0", "serve fails");
    stage_change(MODULES(GUARD("1.0.0"), STORE("1.0.0")), "");
    assert_int_equal(stage_plugin("io.x.store.v1.store")->state, BERTH_STATE_FAILED);
    assert_int_equal(stage.open, 2);
    assert_change(MODULES(GUARD("1.0.0")), "close store1, ", "stop io.x.store.v1.store OK\n");
    assert_int_equal(stage.open, 1);
    assert_false(stage_plugin("io.x.store.v1.store")->is_taken);
    stage_end();
}

/* The state of one member is lost, and only its own. */
static void what_starts_again_has_its_state_or_the_report_says_why_not(void **state)
{
    stage_start(MODULES(EXCLUSIVE("1.0.0")), "");
    stage_fault("io.x.v1.greeter", "2.0.0", "init fails");
    stage_fault("io.x.v1.greeter", "1.0.0", "load fails");
    stage_change(MODULES(EXCLUSIVE("2.0.0")), "");
    assert_string_equal(stage.report, "upgrade io.x.v1.greeter DATA_LOSS: made of cheese; version 1.0.0 runs "
                                      "again, but without its state: illegible\n");
    assert_answered("one");
    stage_end();
}

static void an_atomic_change_says_what_it_did_not_try(void **state)
{
    stage_start(MODULES(GUARD("1.0.0")), "");
    stage.is_atomic = true;
    stage_fault("io.x.guard.v1.guard", "2.0.0", "module fails");
    stage_change(MODULES(GUARD("1.0.0"), BESIDE("1.0.0")), "");
    stage_change(MODULES(GUARD("2.0.0"), BESIDE("2.0.0")), "");
    assert_string_equal(stage.report,
                        "upgrade io.x.guard.v1.guard UNAVAILABLE: undefined symbol\n"
                        "upgrade io.x.v1.greeter CANCELLED: not tried, because io.x.guard.v1.guard failed in "
                        "an atomic change\n");
    assert_answered("one");
    stage_end();
}

static void no_call_passes_without_the_interceptor_that_is_replaced(void **state)
{
    struct berth_stream stream;

    stage_start(MODULES(GUARD("1.0.0"), BESIDE("1.0.0")), "");
    stage_fault("io.x.guard.v1.guard", "2.0.0", "init hangs");
    struct asked asked = {.request = {.begin = stage_begin, .on_done = stage_on_done}};
    stage_world(MODULES(GUARD("2.0.0"), BESIDE("1.0.0")), "");
    perform_ask(stage.perform, &asked.request);
    while (strstr(stage.trace, "init guard2") == NULL)
        uv_run(&stage.loop, UV_RUN_NOWAIT);
    struct berth_call *call = open_call(&stream);
    assert_non_null(call);
    answer_call(call);
    assert_string_equal(stream.got, "");
    stage_run_until(&asked.is_done);
    assert_string_equal(stream.got, "one");
    assert_non_null(strstr(stage.report, "version 1.0.0 runs again"));
    stage_end();
}

static void requests_wait_for_their_turn_and_each_is_answered(void **state)
{
    struct asked asked[3] = {0};

    stage_start(MODULES(BESIDE("1.0.0")), "");
    stage_world(MODULES(BESIDE("2.0.0")), "");
    for (size_t i = 0; i < 3; i++) {
        asked[i].request = (struct perform_request){.begin = stage_begin, .on_done = stage_on_done};
        perform_ask(stage.perform, &asked[i].request);
    }
    stage_run_until(&asked[2].is_done);
    assert_true(asked[0].is_done && asked[1].is_done);
    assert_int_equal(stage.answers, 3);
    assert_int_equal(stage_plugin("io.x.v1.greeter")->generation, 2);
    stage_end();
}

static void assert_held(const char *uri, const char *expected)
{
    const struct holds holds = {&stage.loop, stage.registry, stage.router, stage.perform};
    char text[512];

    holds_explain(&holds, uri, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void the_ledger_names_who_holds_what(void **state)
{
    struct berth_stream streams[2];

    stage_start(MODULES(STORE("1.0.0"), USER, BESIDE("1.0.0"), GUARD("1.0.0")), "");
    assert_held("io.x.store.v1.store", "io.x.user.v1.user holds its interface");
    assert_held("io.x.user.v1.user", "");
    assert_held("io.x.guard.v1.guard", "one interceptor");
    struct berth_call *first = open_call(&streams[0]), *second = open_call(&streams[1]);
    assert_held("io.x.v1.greeter", "2 calls in flight");
    answer_call(first);
    assert_held("io.x.v1.greeter", "one call in flight");
    stage_change(MODULES(STORE("1.0.0"), BESIDE("2.0.0"), GUARD("1.0.0")), "");
    assert_held("io.x.store.v1.store", "");
    assert_held("io.x.v1.greeter", "one call in flight");
    answer_call(second);
    while (registry_count(stage.registry) > 4)
        stage_turn();
    assert_held("io.x.v1.greeter", "");
    stage_end();
}

/* @return as berth_get. */
static enum berth_code fetch_late(void)
{
    const struct host *late = stage_plugin("io.x.late.v1.late")->owner;
    struct berth_error err;
    struct berth_ref ref;

    return berth_get(&late->table, "io.x.store.v1.store", &ref, &err);
}

static void who_only_wants_it_goes_along_once_it_has_its_interface(void **state)
{
    stage_start(MODULES(STORE("1.0.0"), LATE), "");
    assert_change(MODULES(STORE("2.0.0"), LATE), "drain store1, close store1, init store2, ",
                  "upgrade io.x.store.v1.store OK\n");
    assert_int_equal(fetch_late(), BERTH_OK);
    assert_change(MODULES(STORE("1.0.0"), LATE),
                  "drain late1, drain store2, close late1, close store2, init store1, init late1, ",
                  "upgrade io.x.store.v1.store OK\nrestart io.x.late.v1.late OK\n");
    stage_end();
}

/* Begins a change to the second version of the store, and goes on until the trace has this. */
static void begin_change(struct asked *asked, const char *const *modules, const char *until)
{
    *asked = (struct asked){.request = {.begin = stage_begin, .on_done = stage_on_done}};
    stage.trace[0] = '\0';
    stage_world(modules, "");
    perform_ask(stage.perform, &asked->request);
    while (strstr(stage.trace, until) == NULL)
        uv_run(&stage.loop, UV_RUN_NOWAIT);
}

static void who_is_handed_an_interface_meanwhile_keeps_it(void **state)
{
    struct asked asked;

    stage_start(MODULES(STORE("1.0.0"), LATE), "");
    stage_fault("io.x.store.v1.store", "1.0.0", "drain hangs");
    begin_change(&asked, MODULES(STORE("2.0.0"), LATE), "drain store1");
    assert_int_equal(fetch_late(), BERTH_OK);
    stage_run_until(&asked.is_done);
    assert_string_equal(stage.trace, "drain store1, ");
    assert_string_equal(stage.report,
                        "upgrade io.x.store.v1.store ABORTED: abandoned: io.x.late.v1.late was handed its "
                        "interface meanwhile; try again\n");
    assert_int_equal(stage_plugin("io.x.store.v1.store")->generation, 1);
    stage_end();
}

static void what_is_being_closed_is_handed_to_nobody_new(void **state)
{
    struct asked asked;

    stage_start(MODULES(STORE("1.0.0"), USER, LATE), "");
    stage_fault("io.x.user.v1.user", "1.0.0", "close hangs");
    begin_change(&asked, MODULES(STORE("2.0.0"), USER, LATE), "close user1");
    assert_int_equal(fetch_late(), BERTH_FAILED_PRECONDITION);
    stage_run_until(&asked.is_done);
    assert_int_equal(stage_plugin("io.x.late.v1.late")->generation, 1);
    assert_int_equal(fetch_late(), BERTH_OK);
    stage_end();
}

static void one_that_leaves_keeps_what_it_uses(void **state)
{
    struct berth_stream stream;

    stage_start(MODULES(STORE("1.0.0"), ASKER("1.0.0")), "");
    struct berth_call *call = open_call(&stream);
    stage_change(MODULES(STORE("1.0.0"), ASKER("2.0.0")), "");
    assert_change(
        MODULES(STORE("2.0.0"), ASKER("2.0.0")), "drain greeter2, drain store1, ",
        "upgrade io.x.store.v1.store DEADLINE_EXCEEDED: abandoned: generation 1 of "
        "io.x.v1.greeter, which was replaced, did not let go of its interface within upgrade.drain\n"
        "restart io.x.v1.greeter ABORTED: abandoned because of io.x.store.v1.store\n");
    answer_call(call);
    assert_string_equal(stream.got, "one");
    assert_change(MODULES(STORE("2.0.0"), ASKER("2.0.0")),
                  "close greeter1, drain greeter2, drain store1, close greeter2, close store1, init store2, "
                  "init greeter2, "
                  "two greeter2, ",
                  "upgrade io.x.store.v1.store OK\nrestart io.x.v1.greeter OK\n");
    stage_end();
}

static void providers_note_what_is_held_of_them(void **state)
{
    struct running_thread thread = {0};
    const struct berth_host *store = NULL;
    struct berth_holding *holding;

    running_thread_begin(&thread, true);

    stage_start(MODULES(STORE("1.0.0"), USER), "");
    store = &((const struct host *)stage_plugin("io.x.store.v1.store")->owner)->table;
    holding = berth_note_holding(store, "a watch", NULL);
    assert_held("io.x.store.v1.store",
                "an unknown owner holds a watch, io.x.user.v1.user holds its interface");
    berth_end_holding(store, holding);
    berth_end_holding(store, holding);
    running_enter(stage_plugin("io.x.user.v1.user")->running, RUNNING_HANDLER, NULL);
    berth_note_holding(store, "a subscription", NULL);
    running_leave();
    assert_held("io.x.store.v1.store",
                "io.x.user.v1.user holds a subscription, io.x.user.v1.user holds its interface");
    stage_change(MODULES(STORE("1.0.0")), "");
    assert_held("io.x.store.v1.store", "io.x.user.v1.user holds a subscription though it has ended");
    stage_end();
    running_thread_end();
}

static void an_init_that_fails_leaves_nothing(void **state)
{
    stage_start(MODULES(STORE("1.0.0")), "");
    stage_fault("io.x.user.v1.user", "1.0.0", "init fails");
    stage_fault("io.x.guard.v1.guard", "1.0.0", "init fails");
    stage_change(MODULES(STORE("1.0.0"), USER, GUARD("1.0.0")), "");
    assert_non_null(strstr(stage.trace, "init user1, one user1"));
    assert_held("io.x.store.v1.store", "");
    assert_held("io.x.guard.v1.guard", "");
    stage_end();
}

static void a_stop_ends_a_change_and_answers_all(void **state)
{
    static const char *const faults[] = {"init hangs", "drain hangs", "close hangs", "none"};

    for (size_t i = 0; i < 4; i++)
        for (int turns = 0; turns < 8; turns++) {
            struct asked asked[2] = {0};

            stage_start(MODULES(STORE("1.0.0"), USER, HANDOVER("1.0.0")), "");
            stage_fault("io.x.store.v1.store", i == 0 ? "2.0.0" : "1.0.0", faults[i]);
            stage_world(MODULES(STORE("2.0.0"), USER, HANDOVER("2.0.0")), "");
            for (size_t k = 0; k < 2; k++) {
                asked[k].request = (struct perform_request){.begin = stage_begin, .on_done = stage_on_done};
                perform_ask(stage.perform, &asked[k].request);
            }
            for (int k = 0; k < turns; k++)
                uv_run(&stage.loop, UV_RUN_NOWAIT);
            perform_stop(stage.perform);
            stage_run_until(&stage.stopped);
            assert_int_equal(stage.answers, 2);
            stage_end();
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_the_same_is_not_touched),
        cmocka_unit_test(beside_the_new_one_is_there_before_the_old_one_goes),
        cmocka_unit_test(a_call_ends_where_it_began_and_keeps_its_generation),
        cmocka_unit_test(in_a_handover_state_passes_while_calls_wait),
        cmocka_unit_test(exclusive_ones_are_closed_first_with_their_users),
        cmocka_unit_test(calls_are_held_and_never_refused),
        cmocka_unit_test(a_failure_before_the_switch_leaves_the_old_one_untouched),
        cmocka_unit_test(after_a_close_the_old_module_starts_again),
        cmocka_unit_test(state_goes_back_to_the_old_module),
        cmocka_unit_test(what_cannot_be_saved_goes_on),
        cmocka_unit_test(a_change_that_calls_delay_too_long_is_given_up),
        cmocka_unit_test(a_forced_change_ends_the_calls_that_are_left),
        cmocka_unit_test(a_drain_that_never_ends_gives_the_change_up),
        cmocka_unit_test(settings_are_taken_in_place),
        cmocka_unit_test(plugins_come_and_go),
        cmocka_unit_test(one_that_failed_may_be_mended),
        cmocka_unit_test(an_attempt_is_forgotten_with_its_plugin),
        cmocka_unit_test(one_that_failed_while_it_ran_is_closed_when_it_goes),
        cmocka_unit_test(what_starts_again_has_its_state_or_the_report_says_why_not),
        cmocka_unit_test(an_atomic_change_says_what_it_did_not_try),
        cmocka_unit_test(no_call_passes_without_the_interceptor_that_is_replaced),
        cmocka_unit_test(requests_wait_for_their_turn_and_each_is_answered),
        cmocka_unit_test(the_ledger_names_who_holds_what),
        cmocka_unit_test(who_only_wants_it_goes_along_once_it_has_its_interface),
        cmocka_unit_test(who_is_handed_an_interface_meanwhile_keeps_it),
        cmocka_unit_test(what_is_being_closed_is_handed_to_nobody_new),
        cmocka_unit_test(one_that_leaves_keeps_what_it_uses),
        cmocka_unit_test(providers_note_what_is_held_of_them),
        cmocka_unit_test(an_init_that_fails_leaves_nothing),
        cmocka_unit_test(a_stop_ends_a_change_and_answers_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
