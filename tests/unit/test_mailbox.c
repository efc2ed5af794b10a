/* SPDX-License-Identifier: Apache-2.0 */
/* Posts from other threads: their order, their bound, what closing refuses and what it runs. */
#include "stage.h"

#include <core/life/mailbox.h>

#define THREADS 8
#define POSTS 20000

static uv_loop_t loop;
static struct mailroom room;
static struct berth_mailbox *box;
static struct berth_host host;
static bool is_room_closed;

static void on_room_closed(uv_handle_t *handle)
{
    is_room_closed = true;
}

static int set_up(void **state)
{
    assert_int_equal(uv_loop_init(&loop), 0);
    memset(&room, 0, sizeof(room));
    mailroom_init(&room, &loop);
    box = mailbox_create(&room, NULL);
    host = (struct berth_host){.size = sizeof(host), .mailbox = box};
    is_room_closed = false;
    return 0;
}

static int tear_down(void **state)
{
    mailbox_close(box, false);
    berth_mailbox_release(box);
    mailroom_close(&room, on_room_closed);
    while (!is_room_closed)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

/* What one thread posts, and how far the loop's has come with it. */
struct poster {
    pthread_t thread;
    struct post {
        struct poster *poster;
        unsigned number;
    } posts[POSTS];
    unsigned accepted, done;
};

static struct poster posters[THREADS];
static unsigned done_in_all;

static void take_post(void *data)
{
    const struct post *post = data;

    /* In order, and never two at a time, which the sanitizer for threads would see. */
    assert_int_equal(post->number, post->poster->done);
    post->poster->done++;
    done_in_all++;
}

static void *post_all(void *context)
{
    struct poster *poster = context;

    for (unsigned i = 0; i < POSTS; i++) {
        enum berth_code code;

        poster->posts[i] = (struct post){poster, i};
        while ((code = berth_post(&host, take_post, &poster->posts[i])) == BERTH_RESOURCE_EXHAUSTED)
            sched_yield();
        if (code != BERTH_OK)
            break;
        poster->accepted++;
    }
    return NULL;
}

static void begin_posting(void)
{
    memset(posters, 0, sizeof(posters));
    done_in_all = 0;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
}

static void end_posting(void)
{
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(posters[i].thread, NULL);
}

static void what_eight_threads_post_is_done_once_and_in_order(void **state)
{
    begin_posting();
    while (done_in_all < THREADS * POSTS)
        uv_run(&loop, UV_RUN_ONCE);
    end_posting();
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(posters[i].done, POSTS);
}

static void closing_runs_what_was_accepted_and_refuses_the_rest(void **state)
{
    begin_posting();
    while (done_in_all < POSTS / 2)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(mailbox_close(box, true), 0);
    end_posting();
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(posters[i].done, posters[i].accepted);
    assert_int_equal(berth_post(&host, take_post, NULL), BERTH_UNAVAILABLE);
}

static void count(void *data)
{
    ++*(unsigned *)data;
}

static void more_than_the_bound_is_refused(void **state)
{
    unsigned counted = 0;

    for (unsigned i = 0; i < BERTH_POSTS_MAX; i++)
        assert_int_equal(berth_post(&host, count, &counted), BERTH_OK);
    assert_int_equal(berth_post(&host, count, &counted), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(berth_post(&host, NULL, NULL), BERTH_INVALID_ARGUMENT);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_in_range(counted, 1, 1024);
    assert_int_equal(berth_post(&host, count, &counted), BERTH_OK);
    assert_int_equal(mailbox_close(box, false), BERTH_POSTS_MAX + 1 - counted);
}

/* Posts itself again for as long as it is let. */
static void go_on(void *data)
{
    ++*(unsigned *)data;
    berth_post(&host, go_on, data);
}

static void who_posts_without_end_keeps_nobody_from_the_loop(void **state)
{
    struct berth_mailbox *other = mailbox_create(&room, NULL);
    unsigned endless = 0, counted = 0;

    assert_int_equal(berth_post(&host, go_on, &endless), BERTH_OK);
    assert_int_equal(berth_mailbox_post(other, count, &counted), BERTH_OK);
    for (unsigned turn = 1; turn <= 3; turn++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        assert_int_equal(counted, 1);
        assert_int_equal(endless, turn);
    }
    mailbox_close(other, false);
    berth_mailbox_release(other);
}

static void who_holds_a_mailbox_may_post_when_its_host_is_gone(void **state)
{
    struct berth_mailbox *held = berth_mailbox_get(&host);
    unsigned counted = 0;

    assert_int_equal(berth_mailbox_post(held, count, &counted), BERTH_OK);
    mailbox_close(box, true);
    assert_int_equal(counted, 1);
    tear_down(state);
    assert_int_equal(berth_mailbox_post(held, count, &counted), BERTH_UNAVAILABLE);
    berth_mailbox_release(held);
    assert_int_equal(counted, 1);
    set_up(state);
}

static void an_older_host_has_none(void **state)
{
    const struct berth_host older = {.size = offsetof(struct berth_host, mailbox), .mailbox = box};

    assert_int_equal(berth_post(&older, count, NULL), BERTH_UNIMPLEMENTED);
    assert_null(berth_mailbox_get(&older));
    berth_mailbox_release(NULL);
}

/* In a life: a plugin whose init posts from a thread of its own. */

static const struct berth_host *actor;

static void note(void *data)
{
    stage_note("did", data);
    assert_true(running_is_loop() || running_this_thread() == NULL);
}

static void complete(void *data)
{
    stage_note("did", data);
    berth_complete_init(actor, NULL);
}

static void *post_completion(void *context)
{
    assert_int_equal(berth_post(actor, note, (void *)"first"), BERTH_OK);
    assert_int_equal(berth_post(actor, complete, (void *)"second"), BERTH_OK);
    return NULL;
}

static enum berth_code init_elsewhere(const struct berth_host *its_host, void *prepared, void **ret_instance,
                                      struct berth_error *err)
{
    pthread_t thread;

    actor = its_host;
    assert_int_equal(pthread_create(&thread, NULL, post_completion, NULL), 0);
    pthread_detach(thread);
    return (enum berth_code)BERTH_PENDING;
}

static enum berth_code init_and_fail(const struct berth_host *its_host, void *prepared, void **ret_instance,
                                     struct berth_error *err)
{
    assert_int_equal(berth_post(its_host, note, (void *)"what may not be done"), BERTH_OK);
    return berth_error_set(err, BERTH_INTERNAL, "no luck");
}

static enum berth_code drain(const struct berth_host *its_host, void *instance, struct berth_error *err)
{
    return berth_post(its_host, note, (void *)"last");
}

static enum berth_code close_and_post(const struct berth_host *its_host, void *instance,
                                      struct berth_error *err)
{
    stage_note("close", its_host->id);
    assert_int_equal(berth_post(its_host, note, (void *)"nothing more"), BERTH_UNAVAILABLE);
    return BERTH_OK;
}

static const struct berth_plugin poster_plugin = {
    .size = sizeof(poster_plugin), .init = init_elsewhere, .drain = drain, .close = close_and_post};
static const struct berth_plugin failing = {.size = sizeof(failing), .init = init_and_fail};

static void a_thread_completes_an_init_and_close_comes_last(void **state)
{
    stage_open("  - {type: io.test.v1, id: one}\n");
    stage_cast(&poster_plugin);
    stage_start();
    stage_run_until(&stage.ready);
    stage_stop();
    assert_string_equal(stage.trace, "did first, did second, did last, close one, ");
    stage_close();
}

static void what_was_posted_is_dropped_where_init_fails(void **state)
{
    stage_open("  - {type: io.test.v1, id: one}\n");
    stage_cast(&failing);
    stage_start();
    stage_run_until(&stage.ready);
    stage_stop();
    assert_string_equal(stage.trace, "");
    stage_assert_logged("dropped 1 posted function because init failed");
    stage_close();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_eight_threads_post_is_done_once_and_in_order),
        TEST(closing_runs_what_was_accepted_and_refuses_the_rest),
        TEST(more_than_the_bound_is_refused),
        TEST(who_posts_without_end_keeps_nobody_from_the_loop),
        TEST(who_holds_a_mailbox_may_post_when_its_host_is_gone),
        TEST(an_older_host_has_none),
        cmocka_unit_test(a_thread_completes_an_init_and_close_comes_last),
        cmocka_unit_test(what_was_posted_is_dropped_where_init_fails),
    };

    return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
