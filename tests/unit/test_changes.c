/* SPDX-License-Identifier: Apache-2.0 */
/* Changes are told from the top of the loop, once for as many as came, to whoever still listens. */
#include <stdlib.h>
#include <tests/cmocka.h>

#include <core/state/changes.h>

struct stage {
    uv_loop_t loop;
    struct changes changes;
    struct berth_watch *first, *second;
    size_t heard_first, heard_second;
};

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof(*stage));

    uv_loop_init(&stage->loop);
    changes_init(&stage->changes, &stage->loop);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    changes_finish(&stage->changes);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stage->loop), 0);
    free(stage);
    return 0;
}

static void count(void *context)
{
    (*(size_t *)context)++;
}

static void several_changes_come_as_one_and_not_at_once(void **state)
{
    struct stage *stage = *state;

    changes_watch(&stage->changes, count, &stage->heard_first);
    changes_note(&stage->changes);
    changes_note(&stage->changes);
    assert_int_equal(stage->heard_first, 0);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(stage->heard_first, 1);
    changes_note(&stage->changes);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(stage->heard_first, 2);
}

static void nobody_is_woken_for_nobody(void **state)
{
    struct stage *stage = *state;

    changes_note(NULL);
    changes_note(&stage->changes);
    assert_false(uv_loop_alive(&stage->loop));
}

static void leave(void *context)
{
    struct stage *stage = context;

    stage->heard_second++;
    changes_unwatch(&stage->changes, stage->first);
    changes_unwatch(&stage->changes, stage->second);
    stage->first = stage->second = NULL;
}

static void who_is_told_may_leave_with_others(void **state)
{
    struct stage *stage = *state;

    stage->first = changes_watch(&stage->changes, count, &stage->heard_first);
    stage->second = changes_watch(&stage->changes, leave, stage);
    changes_note(&stage->changes);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    changes_note(&stage->changes);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(stage->heard_first, 0);
    assert_int_equal(stage->heard_second, 1);
}

static void make_another(void *context)
{
    struct stage *stage = context;

    stage->heard_second++;
    if (stage->heard_second == 1)
        changes_note(&stage->changes);
}

static void a_change_made_while_telling_is_told_again(void **state)
{
    struct stage *stage = *state;

    changes_watch(&stage->changes, make_another, stage);
    changes_note(&stage->changes);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(stage->heard_second, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(several_changes_come_as_one_and_not_at_once),
        TEST(nobody_is_woken_for_nobody),
        TEST(who_is_told_may_leave_with_others),
        TEST(a_change_made_while_telling_is_told_again),
    };

    return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
