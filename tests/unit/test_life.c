/* SPDX-License-Identifier: Apache-2.0 */
/* How plugins start, when they do not, and what becomes of those that break the contract. */
#include "stage.h"

#define A "  - {type: io.test.a.v1, id: a}\n"
#define B "  - {type: io.test.b.v1, id: b, requires: [io.test.a.v1]}\n"
#define C "  - {type: io.test.c.v1, id: c, requires: [io.test.b.v1]}\n"
#define W "  - {type: io.test.w.v1, id: w, wants: [io.test.a.v1]}\n"

/* What each instance is: its host, so that a test can speak for the plugin. */
static const struct berth_host *hosts[STAGE_PLUGINS];
static struct berth_hold *hold;

static const struct berth_host *host_of(const char *id)
{
    return hosts[stage_plugin(id)->index];
}

static void remember(const struct berth_host *host)
{
    hosts[stage_plugin(host->id)->index] = host;
}

static enum berth_code init_well(const struct berth_host *host, void *prepared, void **ret_instance,
                                 struct berth_error *err)
{
    remember(host);
    stage_note("init", host->id);
    *ret_instance = (void *)(uintptr_t)host->id;
    return BERTH_OK;
}

static enum berth_code init_later(const struct berth_host *host, void *prepared, void **ret_instance,
                                  struct berth_error *err)
{
    remember(host);
    stage_note("init", host->id);
    return BERTH_PENDING;
}

static enum berth_code init_fails(const struct berth_host *host, void *prepared, void **ret_instance,
                                  struct berth_error *err)
{
    remember(host);
    return berth_error_set(err, BERTH_DATA_LOSS, "the disk is\nmade of \xff cheese");
}

static enum berth_code init_skips(const struct berth_host *host, void *prepared, void **ret_instance,
                                  struct berth_error *err)
{
    return berth_error_set(err, BERTH_SKIP, "no such hardware");
}

static enum berth_code init_makes_up_a_code(const struct berth_host *host, void *prepared,
                                            void **ret_instance, struct berth_error *err)
{
    return (enum berth_code)4711;
}

static enum berth_code init_completes_within(const struct berth_host *host, void *prepared,
                                             void **ret_instance, struct berth_error *err)
{
    berth_complete_init(host, (void *)(uintptr_t)host->id);
    return BERTH_PENDING;
}

static enum berth_code init_completes_twice_within(const struct berth_host *host, void *prepared,
                                                   void **ret_instance, struct berth_error *err)
{
    berth_complete_init(host, (void *)(uintptr_t)host->id);
    berth_fail_init(host, BERTH_ABORTED, "no");
    return BERTH_PENDING;
}

static enum berth_code init_completes_and_returns(const struct berth_host *host, void *prepared,
                                                  void **ret_instance, struct berth_error *err)
{
    berth_complete_init(host, (void *)(uintptr_t)host->id);
    return berth_error_set(err, BERTH_ABORTED, "changed its mind");
}

static enum berth_code init_without_instance(const struct berth_host *host, void *prepared,
                                             void **ret_instance, struct berth_error *err)
{
    return BERTH_OK;
}

static enum berth_code init_holds(const struct berth_host *host, void *prepared, void **ret_instance,
                                  struct berth_error *err)
{
    remember(host);
    hold = berth_hold(host, "the first sync");
    return BERTH_OK;
}

static enum berth_code serve_well(const struct berth_host *host, void *instance, struct berth_error *err)
{
    assert_true(stage.settled);
    stage_note("serve", host->id);
    return BERTH_OK;
}

static enum berth_code serve_fails(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_error_set(err, BERTH_ALREADY_EXISTS, "the socket is in use");
}

static enum berth_code serve_skips(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_error_set(err, BERTH_SKIP, "nothing to listen on");
}

static enum berth_code answer_later(const struct berth_host *host, void *instance, struct berth_error *err)
{
    stage_note("later", host->id);
    return BERTH_PENDING;
}

static enum berth_code drain_well(const struct berth_host *host, void *instance, struct berth_error *err)
{
    stage_note("drain", host->id);
    return BERTH_OK;
}

static enum berth_code close_well(const struct berth_host *host, void *instance, struct berth_error *err)
{
    stage_note("close", host->id);
    return BERTH_OK;
}

static enum berth_code close_fails(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return berth_error_set(err, BERTH_INTERNAL, "lost a handle");
}

static enum berth_code close_completes_within(const struct berth_host *host, void *instance,
                                              struct berth_error *err)
{
    stage_note("close", host->id);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
    return BERTH_PENDING;
}

static const struct berth_plugin bare = {.size = offsetof(struct berth_plugin, prepare)};
static const struct berth_plugin good = {.size = sizeof(good), .init = init_well, .close = close_well};
static const struct berth_plugin later = {.size = sizeof(later), .init = init_later, .close = close_well};
static const struct berth_plugin failing = {.size = sizeof(failing), .init = init_fails, .close = close_well};
static const struct berth_plugin skipping = {
    .size = sizeof(skipping), .init = init_skips, .close = close_well};
static const struct berth_plugin server = {
    .size = sizeof(server), .init = init_well, .serve = serve_well, .drain = drain_well, .close = close_well};

/* One plugin is special, the others are good. */
static struct settings_timeouts *cast(const char *plugins, const char *id, const struct berth_plugin *table)
{
    stage_open(plugins);
    stage_cast(&good);
    stage_part(id)->table = table;
    return &stage_part(id)->timeouts;
}

static void start_with(const char *plugins, const char *id, const struct berth_plugin *table)
{
    cast(plugins, id, table);
    stage_start();
}

static void end(void)
{
    stage_stop();
    stage_close();
}

static void plugins_start_after_what_they_require_and_close_in_reverse(void **state)
{
    start_with(C B A, "a", &good);
    stage_run_until(&stage.ready);
    end();
    assert_string_equal(stage.trace, "init a, init b, init c, close c, close b, close a, ");
}

static void a_table_that_ends_after_its_names_is_enough(void **state)
{
    start_with(A B, "a", &bare);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_READY);
    end();
}

static void no_plugin_at_all_is_ready_at_once(void **state)
{
    start_with("  - {type: io.test.a.v1, id: a, requires: [io.test.nobody.v1]}\n", "a", &good);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_BLOCKED);
    end();
}

static void asynchronous_inits_overlap(void **state)
{
    cast(A "  - {type: io.test.d.v1, id: d}\n" B, "a", &later);
    stage_part("d")->table = &later;
    stage_start();
    stage_run_until_state("a", BERTH_STATE_STARTING);
    stage_run_until_state("d", BERTH_STATE_STARTING);
    assert_int_equal(stage_state("b"), BERTH_STATE_WAITING);
    berth_complete_init(host_of("d"), NULL);
    berth_complete_init(host_of("a"), NULL);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("b"), BERTH_STATE_READY);
    end();
}

static void a_failure_is_listed_and_blocks_by_its_root_cause(void **state)
{
    start_with(A B C W, "a", &failing);
    stage_run_until(&stage.settled);
    assert_int_equal(stage_state("a"), BERTH_STATE_FAILED);
    assert_int_equal(stage_plugin("a")->code, BERTH_DATA_LOSS);
    assert_string_equal(stage_plugin("a")->reason, "the disk is made of ? cheese");
    assert_int_equal(stage_state("b"), BERTH_STATE_BLOCKED);
    assert_ptr_equal(stage_plugin("b")->cause, stage_plugin("a"));
    assert_int_equal(stage_state("c"), BERTH_STATE_BLOCKED);
    assert_ptr_equal(stage_plugin("c")->cause, stage_plugin("b"));
    assert_non_null(strstr(stage_plugin("c")->reason, "because of io.test.a.v1.a"));
    assert_non_null(strstr(stage_plugin("c")->reason, "cheese"));
    assert_int_equal(stage_state("w"), BERTH_STATE_READY);
    end();
    assert_string_equal(stage.trace, "init w, close w, ");
}

static void a_skip_is_no_failure_and_skips_who_requires_it(void **state)
{
    start_with(A B W, "a", &skipping);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_SKIPPED);
    assert_int_equal(stage_plugin("a")->code, BERTH_SKIP);
    assert_int_equal(stage_state("b"), BERTH_STATE_SKIPPED);
    assert_non_null(strstr(stage_plugin("b")->reason, "no such hardware"));
    assert_int_equal(stage_state("w"), BERTH_STATE_READY);
    end();
}

#define TWO                                                                                                  \
    "  - {type: io.test.a.v1, id: a}\n"                                                                      \
    "  - {type: io.test.a.v1, id: a2}\n"

static void one_ready_provider_of_a_type_is_enough_and_the_fallen_is_named(void **state)
{
    start_with(TWO B "  - {type: io.test.e.v1, id: e, requires: [io.test.a.v1.a]}\n", "a", &failing);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("b"), BERTH_STATE_READY);
    assert_int_equal(stage_state("e"), BERTH_STATE_BLOCKED);
    stage_assert_logged("io.test.a.v1.a");
    end();
}

static void where_one_skips_and_one_fails_the_failure_is_to_blame(void **state)
{
    cast(TWO B, "a", &skipping);
    stage_part("a2")->table = &failing;
    stage_start();
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("b"), BERTH_STATE_BLOCKED);
    assert_ptr_equal(stage_plugin("b")->cause, stage_plugin("a2"));
    end();
}

static void a_module_that_could_not_be_loaded_has_failed_and_blocks(void **state)
{
    stage_open(A B);
    stage_cast(&good);
    stage_part("a")->table = NULL;
    stage_start();
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("b"), BERTH_STATE_BLOCKED);
    assert_non_null(strstr(stage_plugin("b")->reason, "frobnicate"));
    end();
}

static void an_init_that_never_completes_times_out(void **state)
{
    cast(A B, "a", &later)->init_ns = 20 * MILLISECOND;
    stage_start();
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_TIMED_OUT);
    assert_int_equal(stage_plugin("a")->code, BERTH_DEADLINE_EXCEEDED);
    assert_non_null(strstr(stage_plugin("a")->reason, "20ms"));
    assert_int_equal(stage_state("b"), BERTH_STATE_BLOCKED);
    stage_stop();
    assert_true(stage_is_busy("a"));
    berth_fail_init(host_of("a"), BERTH_ABORTED, "at last");
    stage_close();
}

static void start_late(void)
{
    cast(A B, "a", &later)->init_ns = 10 * MILLISECOND;
    stage_start();
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_TIMED_OUT);
}

static void a_late_completion_is_closed_and_never_installed(void **state)
{
    start_late();
    berth_complete_init(host_of("a"), &stage);
    assert_null(strstr(stage.trace, "close a"));
    while (strstr(stage.trace, "close a") == NULL)
        uv_run(&stage.loop, UV_RUN_ONCE);
    assert_int_equal(stage_state("a"), BERTH_STATE_TIMED_OUT);
    assert_int_equal(stage_state("b"), BERTH_STATE_BLOCKED);
    stage_assert_logged("completed init late");
    berth_complete_init(host_of("a"), &stage);
    stage_assert_logged("it already ended with");
    end();
    assert_string_equal(stage.trace, "init a, close a, ");
}

static void a_completion_between_stop_and_end_is_closed_too(void **state)
{
    start_late();
    perform_stop(stage.perform);
    berth_complete_init(host_of("a"), &stage);
    stage_run_until(&stage.stopped);
    stage_close();
    assert_string_equal(stage.trace, "init a, close a, ");
}

static void completing_from_inside_init_works(void **state)
{
    static const struct berth_plugin within = {
        .size = sizeof(within), .init = init_completes_within, .close = close_completes_within};

    start_with(A B, "a", &within);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_READY);
    assert_string_equal(stage_plugin("a")->instance, "a");
    end();
    assert_string_equal(stage.trace, "init b, close b, close a, ");
}

static void completing_twice_from_inside_init_counts_once(void **state)
{
    static const struct berth_plugin twice = {.size = sizeof(twice), .init = init_completes_twice_within};

    start_with(A B, "a", &twice);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_READY);
    stage_assert_logged("io.test.a.v1.a: completed init twice");
    end();
}

static void what_init_returns_counts_more_than_what_it_completed(void **state)
{
    static const struct berth_plugin both = {.size = sizeof(both), .init = init_completes_and_returns};

    start_with(A B, "a", &both);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_FAILED);
    assert_string_equal(stage_plugin("a")->reason, "changed its mind");
    stage_assert_logged("using the returned code");
    end();
}

static void completing_twice_is_logged_and_changes_nothing(void **state)
{
    start_with(A B, "a", &later);
    stage_run_until_state("a", BERTH_STATE_STARTING);
    berth_complete_init(host_of("a"), &stage);
    berth_complete_init(host_of("a"), NULL);
    stage_run_until(&stage.ready);
    assert_ptr_equal(stage_plugin("a")->instance, &stage);
    stage_assert_logged("io.test.a.v1.a: ignoring the completion of init with OK: it already ended with OK");
    end();
}

static void completing_after_failing_is_logged_and_changes_nothing(void **state)
{
    start_with(A B, "a", &later);
    stage_run_until_state("a", BERTH_STATE_STARTING);
    berth_fail_init(host_of("a"), BERTH_ABORTED, "gave up");
    berth_complete_init(host_of("a"), &stage);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_FAILED);
    assert_string_equal(stage_plugin("a")->reason, "gave up");
    assert_int_equal(stage_state("b"), BERTH_STATE_BLOCKED);
    stage_assert_logged("it already ended with ABORTED");
    end();
    assert_string_equal(stage.trace, "init a, ");
}

static void completing_after_init_returned_an_error_changes_nothing(void **state)
{
    start_with(A B, "a", &failing);
    stage_run_until(&stage.ready);
    berth_complete_init(host_of("a"), &stage);
    assert_int_equal(stage_state("a"), BERTH_STATE_FAILED);
    end();
    assert_string_equal(stage.trace, "");
}

static void failing_after_completing_is_logged_and_changes_nothing(void **state)
{
    start_with(A B, "a", &later);
    stage_run_until_state("a", BERTH_STATE_STARTING);
    berth_complete_init(host_of("a"), &stage);
    berth_fail_init(host_of("a"), BERTH_ABORTED, "no");
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_READY);
    assert_int_equal(stage_state("b"), BERTH_STATE_READY);
    stage_assert_logged("ignoring the completion of init with ABORTED: it already ended with OK");
    end();
}

static void completing_a_step_that_has_not_begun_or_does_not_exist_is_ignored(void **state)
{
    start_with(A, "a", &good);
    stage_run_until(&stage.ready);
    berth_complete(host_of("a"), BERTH_STEP_CLOSE, BERTH_OK, NULL);
    berth_complete(host_of("a"), (enum berth_step)9, BERTH_OK, NULL);
    berth_complete(host_of("a"), (enum berth_step) - 1, BERTH_OK, NULL);
    stage_assert_logged("ignoring the completion of close, which has not begun");
    stage_assert_logged("ignoring the completion of step 9, which does not exist");
    assert_int_equal(stage_state("a"), BERTH_STATE_READY);
    end();
}

static void a_code_that_a_plugin_made_up_is_unknown(void **state)
{
    static const struct berth_plugin odd = {.size = sizeof(odd), .init = init_makes_up_a_code};

    start_with(A, "a", &odd);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_FAILED);
    assert_int_equal(stage_plugin("a")->code, BERTH_UNKNOWN);
    assert_string_equal(stage_plugin("a")->reason, "init gave no reason");
    end();
}

static void an_instance_may_be_null_and_is_closed(void **state)
{
    static const struct berth_plugin none = {
        .size = sizeof(none), .init = init_without_instance, .close = close_well};

    start_with(A B, "a", &none);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("b"), BERTH_STATE_READY);
    end();
    assert_string_equal(stage.trace, "init b, close b, close a, ");
}

static void nothing_serves_before_all_have_settled(void **state)
{
    cast(A "  - {type: io.test.s.v1, id: s}\n", "a", &later);
    stage_part("s")->table = &server;
    stage_start();
    stage_run_until_state("s", BERTH_STATE_READY);
    stage_run_until_state("a", BERTH_STATE_STARTING);
    assert_null(strstr(stage.trace, "serve"));
    berth_complete_init(host_of("a"), NULL);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("s"), BERTH_STATE_SERVING);
    assert_int_equal(stage_state("a"), BERTH_STATE_READY);
    end();
}

static void all_that_serve_drain_before_any_closes(void **state)
{
    cast(A "  - {type: io.test.s.v1, id: s, wants: [io.test.a.v1]}\n"
           "  - {type: io.test.s.v1, id: t, wants: [io.test.a.v1]}\n",
         "s", &server);
    stage_part("t")->table = &server;
    stage_start();
    stage_run_until(&stage.ready);
    end();
    assert_non_null(strstr(stage.trace, "serve s, serve t, drain t, drain s, close t, close s, close a, "));
}

static void a_serve_that_fails_is_listed_and_still_closed(void **state)
{
    static const struct berth_plugin table = {.size = sizeof(table),
                                              .init = init_well,
                                              .serve = serve_fails,
                                              .drain = drain_well,
                                              .close = close_well};

    start_with(A, "a", &table);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_FAILED);
    assert_int_equal(stage_plugin("a")->code, BERTH_ALREADY_EXISTS);
    end();
    assert_string_equal(stage.trace, "init a, close a, ");
}

static void a_serve_that_skips_leaves_the_plugin_ready(void **state)
{
    static const struct berth_plugin table = {.size = sizeof(table), .init = init_well, .serve = serve_skips};

    start_with(A, "a", &table);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_READY);
    end();
}

static void a_serve_that_never_completes_times_out(void **state)
{
    static const struct berth_plugin table = {
        .size = sizeof(table), .init = init_well, .serve = answer_later, .close = close_well};

    cast(A, "a", &table)->serve_ns = 10 * MILLISECOND;
    stage_start();
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_TIMED_OUT);
    stage_stop();
    berth_complete(host_of("a"), BERTH_STEP_SERVE, BERTH_OK, NULL);
    stage_close();
    assert_string_equal(stage.trace, "init a, later a, close a, ");
}

static void a_hold_keeps_ready_waiting_and_no_dependent(void **state)
{
    static const struct berth_plugin holding = {.size = sizeof(holding), .init = init_holds};

    start_with(A B, "a", &holding);
    stage_run_until(&stage.served);
    assert_int_equal(stage_state("b"), BERTH_STATE_READY);
    assert_int_equal(stage_plugin("a")->hold_count, 1);
    for (int i = 0; i < 5; i++)
        uv_run(&stage.loop, UV_RUN_NOWAIT);
    assert_false(stage.ready);
    assert_null(berth_hold(host_of("a"), "one more"));
    berth_release(host_of("a"), hold);
    stage_run_until(&stage.ready);
    berth_release(host_of("a"), hold);
    berth_release(host_of("a"), NULL);
    assert_true(stage_plugin("a")->times.ready_at_ns > 0);
    end();
}

static void a_hold_of_one_that_failed_keeps_nobody_waiting(void **state)
{
    static const struct berth_plugin holding = {.size = sizeof(holding), .init = init_holds};

    start_with(A, "a", &holding);
    stage_run_until(&stage.served);
    berth_fail(host_of("a"), BERTH_DATA_LOSS, "the sync broke");
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_FAILED);
    end();
}

static void a_failure_at_run_time_is_listed_and_dependents_go_on(void **state)
{
    start_with(A B, "a", &good);
    stage_run_until(&stage.ready);
    berth_fail(host_of("a"), BERTH_DATA_LOSS, "the disk is gone");
    berth_fail(host_of("a"), BERTH_DATA_LOSS, "again");
    assert_int_equal(stage_state("a"), BERTH_STATE_FAILED);
    assert_string_equal(stage_plugin("a")->reason, "the disk is gone");
    assert_int_equal(stage_state("b"), BERTH_STATE_READY);
    stage_assert_logged("still running although required plugin io.test.a.v1.a failed: io.test.b.v1.b");
    end();
    assert_string_equal(stage.trace, "init a, init b, close b, close a, ");
}

static void a_failure_while_others_start_blocks_who_has_not_begun(void **state)
{
    start_with(A "  - {type: io.test.d.v1, id: d}\n"
                 "  - {type: io.test.e.v1, id: e, requires: [io.test.a.v1, io.test.d.v1]}\n",
               "d", &later);
    stage_run_until_state("d", BERTH_STATE_STARTING);
    berth_fail(host_of("a"), BERTH_DATA_LOSS, "too soon");
    berth_complete_init(host_of("d"), NULL);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("e"), BERTH_STATE_BLOCKED);
    end();
}

static void a_close_that_never_completes_keeps_only_its_module(void **state)
{
    static const struct berth_plugin clinging = {
        .size = sizeof(clinging), .init = init_well, .close = answer_later};

    cast(A B, "b", &clinging)->close_ns = 10 * MILLISECOND;
    stage_start();
    stage_run_until(&stage.ready);
    stage_stop();
    assert_true(stage_is_busy("b"));
    assert_false(stage_is_busy("a"));
    stage_assert_logged("close did not complete within 10ms");
    assert_string_equal(stage.trace, "init a, init b, later b, close a, ");
    berth_complete(host_of("b"), BERTH_STEP_CLOSE, BERTH_OK, NULL);
    stage_close();
}

static void complete_close_of_b(void)
{
    berth_complete(host_of("b"), BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

static void a_close_that_takes_its_time_is_waited_for(void **state)
{
    static const struct berth_plugin slow = {.size = sizeof(slow), .init = init_well, .close = answer_later};

    start_with(A B, "b", &slow);
    stage_run_until(&stage.ready);
    stage_later(20, complete_close_of_b);
    end();
    assert_string_equal(stage.trace, "init a, init b, later b, close a, ");
}

static void a_close_that_fails_is_logged_and_the_rest_is_closed(void **state)
{
    static const struct berth_plugin table = {.size = sizeof(table), .init = init_well, .close = close_fails};

    start_with(A B, "b", &table);
    stage_run_until(&stage.ready);
    end();
    assert_string_equal(stage.trace, "init a, init b, close a, ");
}

static void a_drain_past_its_deadline_is_closed_all_the_same(void **state)
{
    static const struct berth_plugin table = {.size = sizeof(table),
                                              .init = init_well,
                                              .serve = serve_well,
                                              .drain = answer_later,
                                              .close = close_well};

    cast(A, "a", &table)->drain_ns = 10 * MILLISECOND;
    stage_start();
    stage_run_until(&stage.ready);
    stage_stop();
    assert_string_equal(stage.trace, "init a, serve a, later a, close a, ");
    assert_false(perform_is_any_busy(stage.perform, NULL, NULL));
    berth_complete(host_of("a"), BERTH_STEP_DRAIN, BERTH_OK, NULL);
    stage_close();
}

static void complete_init_of_a(void)
{
    berth_complete_init(host_of("a"), NULL);
}

static void a_stop_during_start_begins_nothing_more_and_closes_what_completes(void **state)
{
    start_with(A B, "a", &later);
    stage_run_until_state("a", BERTH_STATE_STARTING);
    stage_later(10, complete_init_of_a);
    stage_stop();
    assert_int_equal(stage_state("b"), BERTH_STATE_STOPPED);
    stage_close();
    assert_string_equal(stage.trace, "init a, close a, ");
}

static void a_stop_during_start_waits_no_longer_than_a_close_may_take(void **state)
{
    cast(A B, "a", &later)->close_ns = 10 * MILLISECOND;
    stage_start();
    stage_run_until_state("a", BERTH_STATE_STARTING);
    stage_stop();
    assert_int_equal(stage_state("a"), BERTH_STATE_TIMED_OUT);
    assert_true(perform_is_any_busy(stage.perform, NULL, NULL));
    berth_fail_init(host_of("a"), BERTH_CANCELLED, NULL);
    stage_close();
}

static void a_stop_before_the_first_turn_starts_nothing(void **state)
{
    start_with(A B, "a", &good);
    end();
    assert_string_equal(stage.trace, "");
}

static void a_stop_in_on_settled_never_serves(void **state)
{
    start_with(A, "a", &server);
    stage.stops_when_settled = true;
    stage_run_until(&stage.stopped);
    stage_close();
    assert_string_equal(stage.trace, "init a, close a, ");
}

/* The rest is about prepare. */

static atomic_int begun, discarded;
static atomic_bool may_return;

static enum berth_code prepare_well(const struct berth_prepare *prepare, void **ret_prepared,
                                    struct berth_error *err)
{
    *ret_prepared = strdup(prepare->uri);
    return BERTH_OK;
}

static enum berth_code prepare_slowly(const struct berth_prepare *prepare, void **ret_prepared,
                                      struct berth_error *err)
{
    atomic_fetch_add(&begun, 1);
    while (!prepare->is_cancelled(prepare) || !atomic_load(&may_return))
        usleep(500);
    *ret_prepared = strdup("late");
    return BERTH_OK;
}

static enum berth_code prepare_fails(const struct berth_prepare *prepare, void **ret_prepared,
                                     struct berth_error *err)
{
    return berth_error_set(err, BERTH_NOT_FOUND, "no such device");
}

static enum berth_code prepare_is_pending(const struct berth_prepare *prepare, void **ret_prepared,
                                          struct berth_error *err)
{
    return BERTH_PENDING;
}

static void discard_text(void *prepared)
{
    free(prepared);
    atomic_fetch_add(&discarded, 1);
}

static enum berth_code init_takes_prepared(const struct berth_host *host, void *prepared, void **ret_instance,
                                           struct berth_error *err)
{
    assert_string_equal(prepared, host->uri);
    free(prepared);
    return init_well(host, NULL, ret_instance, err);
}

static const struct berth_plugin preparing = {.size = sizeof(preparing),
                                              .prepare = prepare_well,
                                              .discard = discard_text,
                                              .init = init_takes_prepared,
                                              .close = close_well};
static const struct berth_plugin slowly = {.size = sizeof(slowly),
                                           .prepare = prepare_slowly,
                                           .discard = discard_text,
                                           .init = init_well,
                                           .close = close_well};

static void what_prepare_made_goes_to_init(void **state)
{
    start_with(A B, "a", &preparing);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("b"), BERTH_STATE_READY);
    assert_true(stage_plugin("a")->times.prepare_start_ns > 0);
    end();
    assert_string_equal(stage.trace, "init a, init b, close b, close a, ");
}

static void a_prepare_that_fails_is_listed_and_init_never_comes(void **state)
{
    static const struct berth_plugin table = {
        .size = sizeof(table), .prepare = prepare_fails, .init = init_well};

    start_with(A B, "a", &table);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_plugin("a")->code, BERTH_NOT_FOUND);
    assert_int_equal(stage_state("b"), BERTH_STATE_BLOCKED);
    end();
    assert_string_equal(stage.trace, "");
}

static void a_prepare_cannot_be_pending(void **state)
{
    static const struct berth_plugin table = {.size = sizeof(table), .prepare = prepare_is_pending};

    start_with(A, "a", &table);
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_FAILED);
    end();
}

static void reset_prepare(bool may)
{
    atomic_store(&discarded, 0);
    atomic_store(&begun, 0);
    atomic_store(&may_return, may);
}

static void run_until_begun(void)
{
    while (atomic_load(&begun) == 0)
        uv_run(&stage.loop, UV_RUN_NOWAIT);
}

static void run_until_discarded(void)
{
    while (atomic_load(&discarded) == 0 || perform_is_any_busy(stage.perform, NULL, NULL))
        uv_run(&stage.loop, UV_RUN_ONCE);
}

static void a_prepare_past_its_deadline_is_abandoned_and_its_result_discarded(void **state)
{
    reset_prepare(false);
    cast(A B, "a", &slowly)->prepare_ns = 10 * MILLISECOND;
    stage_start();
    stage_run_until(&stage.ready);
    assert_int_equal(stage_state("a"), BERTH_STATE_TIMED_OUT);
    assert_int_equal(stage_state("b"), BERTH_STATE_BLOCKED);
    assert_true(stage_is_busy("a"));
    atomic_store(&may_return, true);
    run_until_discarded();
    end();
    assert_string_equal(stage.trace, "");
}

static void a_stop_takes_back_a_prepare_that_has_not_begun(void **state)
{
    reset_prepare(true);
    stage_open(A "  - {type: io.test.d.v1, id: d}\n"
                 "  - {type: io.test.e.v1, id: e}\n");
    stage_cast(&slowly);
    stage_start();
    run_until_begun();
    stage_stop();
    assert_int_equal(stage_state("e"), BERTH_STATE_STOPPED);
    stage_close();
    assert_true(atomic_load(&begun) <= 2);
    assert_int_equal(atomic_load(&discarded), atomic_load(&begun));
}

static void a_stop_cancels_a_prepare_and_discards_its_result(void **state)
{
    reset_prepare(true);
    start_with(A B, "a", &slowly);
    run_until_begun();
    end();
    assert_int_equal(atomic_load(&discarded), 1);
    assert_string_equal(stage.trace, "");
}

static void a_prepare_that_does_not_heed_a_stop_keeps_its_module_and_nobody_else(void **state)
{
    reset_prepare(false);
    cast(A "  - {type: io.test.d.v1, id: d}\n", "a", &slowly)->close_ns = 10 * MILLISECOND;
    stage_start();
    run_until_begun();
    stage_run_until_state("d", BERTH_STATE_READY);
    stage_stop();
    assert_true(stage_is_busy("a"));
    assert_string_equal(stage.trace, "init d, close d, ");
    atomic_store(&may_return, true);
    run_until_discarded();
    /* The pool was left as it was: its thread and its handle go with the process. */
    assert_int_equal(uv_loop_close(&stage.loop), UV_EBUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plugins_start_after_what_they_require_and_close_in_reverse),
        cmocka_unit_test(a_table_that_ends_after_its_names_is_enough),
        cmocka_unit_test(no_plugin_at_all_is_ready_at_once),
        cmocka_unit_test(asynchronous_inits_overlap),
        cmocka_unit_test(a_failure_is_listed_and_blocks_by_its_root_cause),
        cmocka_unit_test(a_skip_is_no_failure_and_skips_who_requires_it),
        cmocka_unit_test(one_ready_provider_of_a_type_is_enough_and_the_fallen_is_named),
        cmocka_unit_test(where_one_skips_and_one_fails_the_failure_is_to_blame),
        cmocka_unit_test(a_module_that_could_not_be_loaded_has_failed_and_blocks),
        cmocka_unit_test(an_init_that_never_completes_times_out),
        cmocka_unit_test(a_late_completion_is_closed_and_never_installed),
        cmocka_unit_test(a_completion_between_stop_and_end_is_closed_too),
        cmocka_unit_test(completing_from_inside_init_works),
        cmocka_unit_test(completing_twice_from_inside_init_counts_once),
        cmocka_unit_test(what_init_returns_counts_more_than_what_it_completed),
        cmocka_unit_test(completing_twice_is_logged_and_changes_nothing),
        cmocka_unit_test(completing_after_failing_is_logged_and_changes_nothing),
        cmocka_unit_test(completing_after_init_returned_an_error_changes_nothing),
        cmocka_unit_test(failing_after_completing_is_logged_and_changes_nothing),
        cmocka_unit_test(completing_a_step_that_has_not_begun_or_does_not_exist_is_ignored),
        cmocka_unit_test(a_code_that_a_plugin_made_up_is_unknown),
        cmocka_unit_test(an_instance_may_be_null_and_is_closed),
        cmocka_unit_test(nothing_serves_before_all_have_settled),
        cmocka_unit_test(all_that_serve_drain_before_any_closes),
        cmocka_unit_test(a_serve_that_fails_is_listed_and_still_closed),
        cmocka_unit_test(a_serve_that_skips_leaves_the_plugin_ready),
        cmocka_unit_test(a_serve_that_never_completes_times_out),
        cmocka_unit_test(a_hold_keeps_ready_waiting_and_no_dependent),
        cmocka_unit_test(a_hold_of_one_that_failed_keeps_nobody_waiting),
        cmocka_unit_test(a_failure_at_run_time_is_listed_and_dependents_go_on),
        cmocka_unit_test(a_failure_while_others_start_blocks_who_has_not_begun),
        cmocka_unit_test(a_close_that_never_completes_keeps_only_its_module),
        cmocka_unit_test(a_close_that_takes_its_time_is_waited_for),
        cmocka_unit_test(a_close_that_fails_is_logged_and_the_rest_is_closed),
        cmocka_unit_test(a_drain_past_its_deadline_is_closed_all_the_same),
        cmocka_unit_test(a_stop_during_start_begins_nothing_more_and_closes_what_completes),
        cmocka_unit_test(a_stop_during_start_waits_no_longer_than_a_close_may_take),
        cmocka_unit_test(a_stop_before_the_first_turn_starts_nothing),
        cmocka_unit_test(a_stop_in_on_settled_never_serves),
        cmocka_unit_test(what_prepare_made_goes_to_init),
        cmocka_unit_test(a_prepare_that_fails_is_listed_and_init_never_comes),
        cmocka_unit_test(a_prepare_cannot_be_pending),
        cmocka_unit_test(a_prepare_past_its_deadline_is_abandoned_and_its_result_discarded),
        cmocka_unit_test(a_stop_takes_back_a_prepare_that_has_not_begun),
        cmocka_unit_test(a_stop_cancels_a_prepare_and_discards_its_result),
        cmocka_unit_test(a_prepare_that_does_not_heed_a_stop_keeps_its_module_and_nobody_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
