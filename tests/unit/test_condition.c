/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance reports of itself: who hears of it, what is logged, and when it is forgotten. */
#include "stage.h"

#include <core/state/state.h>

#define A "  - {type: io.test.a.v1, id: a}\n"
#define URI "io.test.a.v1.a"

static const struct berth_host *host;
static struct inspect inspect;
static unsigned changes;
static const char *said_in_init;

static enum berth_code init(const struct berth_host *given, void *prepared, void **ret_instance,
                            struct berth_error *err)
{
    host = given;
    if (said_in_init != NULL)
        berth_report(host, BERTH_UNAVAILABLE, said_in_init);
    *ret_instance = &inspect;
    return BERTH_OK;
}

static enum berth_code init_later(const struct berth_host *given, void *prepared, void **ret_instance,
                                  struct berth_error *err)
{
    host = given;
    return BERTH_PENDING;
}

static const struct berth_plugin plain = {.size = sizeof(plain), .init = init};
static const struct berth_plugin later = {.size = sizeof(later), .init = init_later};

static void on_change(void *context)
{
    changes++;
}

static void start(const struct berth_plugin *table)
{
    changes = 0;
    said_in_init = NULL;
    stage_open(A);
    inspect_init(&inspect, &stage.loop, stage.registry, NULL, "/nonexistent/root", "/nonexistent/state");
    stage_cast(table);
    stage_start();
}

static void end(void)
{
    stage_stop();
    inspect_finish(&inspect);
    stage_close();
}

struct told {
    enum berth_code code;
    char reason[256];
};

static bool tell(void *context, const struct berth_plugin_info *info)
{
    struct told *told = context;

    told->code = info->condition;
    snprintf(told->reason, sizeof(told->reason), "%s",
             info->condition_reason != NULL ? info->condition_reason : "");
    return true;
}

static void assert_told(enum berth_code code, const char *reason)
{
    struct told told;

    inspect.table.each(&inspect.table, tell, &told);
    assert_int_equal(told.code, code);
    assert_string_equal(told.reason, reason);
}

static size_t count_logged(const char *text)
{
    size_t count = 0;

    for (const char *place = stage_log(); (place = strstr(place, text)) != NULL; place++)
        count++;
    return count;
}

static void a_report_is_listed_and_leaves_the_state_as_it_is(void **state)
{
    start(&plain);
    stage_run_until(&stage.ready);
    assert_told(BERTH_OK, "");
    berth_report(host, BERTH_UNAVAILABLE, "no etcd answers");
    assert_told(BERTH_UNAVAILABLE, "no etcd answers");
    assert_int_equal(stage_state("a"), BERTH_STATE_READY);
    berth_report(host, BERTH_OK, NULL);
    assert_told(BERTH_OK, "");
    end();
}

static void each_change_is_one_line(void **state)
{
    start(&plain);
    stage_run_until(&stage.ready);
    berth_report(host, BERTH_OK, NULL);
    for (unsigned i = 0; i < 3; i++)
        berth_report(host, BERTH_UNAVAILABLE, "no etcd answers");
    berth_report(host, BERTH_UNAVAILABLE, "two of three etcds answer");
    for (unsigned i = 0; i < 3; i++)
        berth_report(host, BERTH_OK, NULL);
    assert_int_equal(count_logged("<4>" URI ": degraded: UNAVAILABLE: no etcd answers\n"), 1);
    assert_int_equal(count_logged("degraded"), 2);
    assert_int_equal(count_logged("<6>" URI ": recovered after "), 1);
    end();
}

static void run_twice(void)
{
    uv_run(&stage.loop, UV_RUN_NOWAIT);
    uv_run(&stage.loop, UV_RUN_NOWAIT);
}

static void who_watches_hears_of_it(void **state)
{
    struct berth_watch *watch;
    unsigned before;

    start(&plain);
    stage_run_until(&stage.ready);
    watch = inspect.table.watch(&inspect.table, on_change, NULL);
    run_twice();
    before = changes;
    berth_report(host, BERTH_DATA_LOSS, "a page is torn");
    run_twice();
    assert_int_equal(changes, before + 1);
    berth_report(host, BERTH_DATA_LOSS, "a page is torn");
    run_twice();
    assert_int_equal(changes, before + 1);
    inspect.table.unwatch(&inspect.table, watch);
    end();
}

static void what_is_reported_while_it_starts_counts_once_it_is_ready(void **state)
{
    start(&plain);
    said_in_init = "not yet connected";
    stage_run_until(&stage.ready);
    assert_told(BERTH_UNAVAILABLE, "not yet connected");
    end();
}

static void what_is_odd_is_made_sane(void **state)
{
    start(&plain);
    stage_run_until(&stage.ready);
    berth_report(host, (enum berth_code)77, "seven\nseven");
    assert_told(BERTH_UNKNOWN, "seven seven");
    berth_report(host, (enum berth_code)BERTH_SKIP, NULL);
    assert_told(BERTH_UNKNOWN, "no reason given");
    end();
}

static void a_failure_and_a_stop_forget_it(void **state)
{
    start(&plain);
    stage_run_until(&stage.ready);
    berth_report(host, BERTH_UNAVAILABLE, "gone for a moment");
    berth_fail(host, BERTH_DATA_LOSS, "gone for ever");
    assert_told(BERTH_OK, "");
    berth_report(host, BERTH_UNAVAILABLE, "still gone");
    assert_told(BERTH_OK, "");
    stage_assert_logged("ignoring a report of UNAVAILABLE while failed");
    end();

    start(&plain);
    stage_run_until(&stage.ready);
    berth_report(host, BERTH_UNAVAILABLE, "gone for a moment");
    stage_stop();
    assert_told(BERTH_OK, "");
    inspect_finish(&inspect);
    stage_close();
}

static void an_init_that_fails_later_leaves_no_condition(void **state)
{
    start(&later);
    stage_run_until_state("a", BERTH_STATE_STARTING);
    berth_report(host, BERTH_UNAVAILABLE, "the first try");
    assert_told(BERTH_UNAVAILABLE, "the first try");
    berth_fail_init(host, BERTH_UNAVAILABLE, "the last try");
    assert_told(BERTH_OK, "");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_is_listed_and_leaves_the_state_as_it_is),
        cmocka_unit_test(each_change_is_one_line),
        cmocka_unit_test(who_watches_hears_of_it),
        cmocka_unit_test(what_is_reported_while_it_starts_counts_once_it_is_ready),
        cmocka_unit_test(what_is_odd_is_made_sane),
        cmocka_unit_test(a_failure_and_a_stop_forget_it),
        cmocka_unit_test(an_init_that_fails_later_leaves_no_condition),
    };

    return cmocka_run_group_tests_name("condition", tests, NULL, NULL);
}
