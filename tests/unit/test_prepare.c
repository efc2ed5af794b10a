/* SPDX-License-Identifier: Apache-2.0 */
/* What blocks runs beside the loop, and what is given up leaves nothing behind. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <core/life/prepare.h>

static atomic_int running, most_running, discarded;
static atomic_bool may_return;

struct run {
    uv_loop_t loop;
    struct prepare_pool *pool;
    size_t begun, ended;
    bool is_closed;
};

static struct run run;

static void on_begun(struct prepare_job *job)
{
    run.begun++;
}

static void on_ended(struct prepare_job *job)
{
    run.ended++;
}

static void start(unsigned threads)
{
    memset(&run, 0, sizeof(run));
    atomic_store(&running, 0);
    atomic_store(&most_running, 0);
    atomic_store(&discarded, 0);
    atomic_store(&may_return, false);
    assert_int_equal(uv_loop_init(&run.loop), 0);
    run.pool = prepare_pool_create(&run.loop, threads);
    assert_non_null(run.pool);
}

static void on_closed(void *context)
{
    run.is_closed = true;
}

static void finish(void)
{
    assert_true(prepare_pool_close(run.pool, on_closed, NULL));
    while (!run.is_closed)
        uv_run(&run.loop, UV_RUN_ONCE);
    assert_int_equal(uv_loop_close(&run.loop), 0);
}

static void submit(struct prepare_job *job, const struct berth_plugin *table)
{
    *job =
        (struct prepare_job){.table = table, .uri = "io.x.v1.a", .on_begun = on_begun, .on_ended = on_ended};
    prepare_submit(run.pool, job);
}

static enum berth_code prepare_box(const struct berth_prepare *prepare, void **ret_prepared,
                                   struct berth_error *err)
{
    int now = atomic_fetch_add(&running, 1) + 1;
    int most = atomic_load(&most_running);

    while (most < now && !atomic_compare_exchange_weak(&most_running, &most, now))
        continue;
    usleep(20000);
    atomic_fetch_sub(&running, 1);
    *ret_prepared = malloc(1);
    return BERTH_OK;
}

static void discard_box(void *prepared)
{
    free(prepared);
    atomic_fetch_add(&discarded, 1);
}

/* Returns when it is cancelled and the test lets it. */
static enum berth_code prepare_stuck(const struct berth_prepare *prepare, void **ret_prepared,
                                     struct berth_error *err)
{
    while (!prepare->is_cancelled(prepare) || !atomic_load(&may_return))
        usleep(1000);
    *ret_prepared = malloc(1);
    return BERTH_OK;
}

static enum berth_code prepare_failing(const struct berth_prepare *prepare, void **ret_prepared,
                                       struct berth_error *err)
{
    assert_string_equal(prepare->uri, "io.x.v1.a");
    return berth_error_set(err, BERTH_NOT_FOUND, "no disk");
}

static const struct berth_plugin box = {.size = sizeof(box), .prepare = prepare_box, .discard = discard_box};
static const struct berth_plugin stuck = {
    .size = sizeof(stuck), .prepare = prepare_stuck, .discard = discard_box};
static const struct berth_plugin failing = {.size = sizeof(failing), .prepare = prepare_failing};

static void jobs_overlap_up_to_the_number_of_threads(void **state)
{
    struct prepare_job jobs[9];

    start(3);
    for (size_t i = 0; i < 9; i++)
        submit(&jobs[i], &box);
    while (run.ended < 9)
        uv_run(&run.loop, UV_RUN_ONCE);
    assert_int_equal(run.begun, 9);
    assert_int_equal(atomic_load(&most_running), 3);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(jobs[i].code, BERTH_OK);
        free(jobs[i].prepared);
    }
    finish();
}

static void a_failure_comes_with_its_sentence(void **state)
{
    struct prepare_job job;

    start(1);
    submit(&job, &failing);
    while (run.ended < 1)
        uv_run(&run.loop, UV_RUN_ONCE);
    assert_int_equal(job.code, BERTH_NOT_FOUND);
    assert_string_equal(job.error.message, "no disk");
    assert_null(job.prepared);
    finish();
}

static void a_job_that_is_given_up_is_cancelled_and_its_late_result_discarded(void **state)
{
    struct prepare_job job;

    start(1);
    submit(&job, &stuck);
    while (run.begun < 1)
        uv_run(&run.loop, UV_RUN_ONCE);
    prepare_abandon(&job);
    assert_int_equal(run.ended, 0);
    atomic_store(&may_return, true);
    while (run.ended < 1)
        uv_run(&run.loop, UV_RUN_ONCE);
    assert_null(job.prepared);
    assert_int_equal(atomic_load(&discarded), 1);
    finish();
}

static void a_job_that_hangs_does_not_keep_the_next_from_beginning(void **state)
{
    struct prepare_job hanging, next;

    start(1);
    submit(&hanging, &stuck);
    submit(&next, &failing);
    while (run.begun < 1)
        uv_run(&run.loop, UV_RUN_ONCE);
    prepare_abandon(&hanging);
    while (run.ended < 1)
        uv_run(&run.loop, UV_RUN_ONCE);
    assert_int_equal(next.code, BERTH_NOT_FOUND);
    atomic_store(&may_return, true);
    while (run.ended < 2)
        uv_run(&run.loop, UV_RUN_ONCE);
    finish();
}

static void a_job_that_is_given_up_before_it_began_never_runs(void **state)
{
    struct prepare_job first, second;

    start(1);
    submit(&first, &box);
    submit(&second, &box);
    prepare_abandon(&second);
    while (run.ended < 2)
        uv_run(&run.loop, UV_RUN_ONCE);
    assert_int_equal(second.code, BERTH_CANCELLED);
    assert_int_equal(run.begun, 1);
    free(first.prepared);
    finish();
}

static void a_pool_with_a_hanging_job_says_that_it_cannot_close(void **state)
{
    struct prepare_job job;

    start(2);
    submit(&job, &stuck);
    while (run.begun < 1)
        uv_run(&run.loop, UV_RUN_ONCE);
    prepare_abandon(&job);
    assert_false(prepare_pool_close(run.pool, on_closed, NULL));
    atomic_store(&may_return, true);
    while (run.ended < 1)
        uv_run(&run.loop, UV_RUN_ONCE);
    finish();
}

static size_t count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    size_t count = 0;

    assert_non_null(tasks);
    while (readdir(tasks) != NULL)
        count++;
    closedir(tasks);
    return count - 2; /* "." and ".." */
}

static void the_number_of_threads_may_change_while_there_is_work(void **state)
{
    struct prepare_job jobs[9];

    start(1);
    for (size_t i = 0; i < 6; i++)
        submit(&jobs[i], &box);
    while (run.ended < 2)
        uv_run(&run.loop, UV_RUN_ONCE);
    assert_int_equal(atomic_load(&most_running), 1);
    prepare_pool_limit(run.pool, 3);
    while (run.ended < 6)
        uv_run(&run.loop, UV_RUN_ONCE);
    assert_int_equal(atomic_load(&most_running), 3);
    prepare_pool_limit(run.pool, 1);
    while (count_threads() > 2)
        usleep(1000);
    atomic_store(&most_running, 0);
    for (size_t i = 6; i < 9; i++)
        submit(&jobs[i], &box);
    while (run.ended < 9)
        uv_run(&run.loop, UV_RUN_ONCE);
    assert_int_equal(atomic_load(&most_running), 1);
    for (size_t i = 0; i < 9; i++)
        free(jobs[i].prepared);
    finish();
}

static void a_pool_without_work_starts_no_thread(void **state)
{
    struct prepare_job job;

    start(4);
    assert_int_equal(count_threads(), 1);
    submit(&job, &failing);
    assert_int_equal(count_threads(), 2);
    while (run.ended < 1)
        uv_run(&run.loop, UV_RUN_ONCE);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, while no thread of another test may still be on its way out. */
        cmocka_unit_test(a_pool_without_work_starts_no_thread),
        cmocka_unit_test(jobs_overlap_up_to_the_number_of_threads),
        cmocka_unit_test(the_number_of_threads_may_change_while_there_is_work),
        cmocka_unit_test(a_failure_comes_with_its_sentence),
        cmocka_unit_test(a_job_that_is_given_up_is_cancelled_and_its_late_result_discarded),
        cmocka_unit_test(a_job_that_hangs_does_not_keep_the_next_from_beginning),
        cmocka_unit_test(a_job_that_is_given_up_before_it_began_never_runs),
        cmocka_unit_test(a_pool_with_a_hanging_job_says_that_it_cannot_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
