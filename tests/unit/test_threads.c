/* SPDX-License-Identifier: Apache-2.0 */
/* Where every thread is, and the signal by which they are asked. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include <core/base/frames.h>
#include <core/watch/watch.h>

#define COUNT 4
#define WAIT_MS 5000

static struct sleeper {
    pthread_t thread;
    pid_t id;
    bool blocks;
} sleepers[COUNT];

/* How many sleep, and the pipe that wakes them. */
static atomic_uint asleep;
static int wake[2];

/* A function of its own, to be found on the stack. */
__attribute__((noinline)) static ssize_t sleep_in_here(void)
{
    char byte;
    ssize_t length;

    atomic_fetch_add(&asleep, 1);
    do
        length = read(wake[0], &byte, 1);
    while (length < 0 && errno == EINTR);
    return length;
}

static void *run(void *context)
{
    struct sleeper *sleeper = context;
    sigset_t all;

    sigfillset(&all);
    if (sleeper->blocks)
        pthread_sigmask(SIG_BLOCK, &all, NULL);
    sleeper->id = (pid_t)syscall(SYS_gettid);
    /* Not the last thing that it does, so that its frame stays. */
    return sleep_in_here() < 0 ? sleeper : NULL;
}

static int set_up(void **state)
{
    char name[16];

    atomic_store(&asleep, 0);
    assert_int_equal(pipe(wake), 0);
    for (int i = 0; i < COUNT; i++) {
        sleepers[i] = (struct sleeper){.blocks = i == COUNT - 1};
        assert_int_equal(pthread_create(&sleepers[i].thread, NULL, run, &sleepers[i]), 0);
        snprintf(name, sizeof(name), "sleeper %d", i);
        pthread_setname_np(sleepers[i].thread, name);
    }
    while (atomic_load(&asleep) < COUNT)
        usleep(1000);
    /* As far as the call. */
    usleep(20000);
    return 0;
}

static int tear_down(void **state)
{
    void *result;

    close(wake[1]);
    for (int i = 0; i < COUNT; i++) {
        pthread_join(sleepers[i].thread, &result);
        assert_null(result);
    }
    close(wake[0]);
    return 0;
}

struct seen {
    size_t visits, limit;
    bool has_self;
    struct thread_stack stacks[COUNT];
};

static bool note(void *context, const struct thread_stack *stack)
{
    struct seen *seen = context;

    seen->has_self |= stack->id == getpid() && stack->count > 2;
    for (int i = 0; i < COUNT; i++)
        if (stack->id == sleepers[i].id)
            seen->stacks[i] = *stack;
    return ++seen->visits != seen->limit;
}

static bool has_function(const struct thread_stack *stack, const char *function)
{
    char text[256];

    for (size_t i = 0; i < stack->count; i++) {
        frames_describe(stack->frames[i], text, sizeof(text));
        if (strstr(text, function) != NULL)
            return true;
    }
    return false;
}

static void every_thread_shows_its_name_and_its_functions(void **state)
{
    struct seen seen = {.visits = 0};
    char name[16];

    threads_each(WAIT_MS, note, &seen);
    assert_int_equal(seen.visits, COUNT + 1);
    assert_true(seen.has_self);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "sleeper %d", i);
        assert_string_equal(seen.stacks[i].name, name);
        if (!sleepers[i].blocks &&
            (!has_function(&seen.stacks[i], "(sleep_in_here)") || !has_function(&seen.stacks[i], "(run)")))
            fail_msg("%s has %zu frames", name, seen.stacks[i].count);
    }
}

/* The kernel tells where it is. */
static void a_thread_that_blocks_signals_shows_its_innermost_frame(void **state)
{
    struct seen seen = {.visits = 0};
    const struct thread_stack *stack = &seen.stacks[COUNT - 1];
    const char *path;
    uintptr_t offset;

    threads_each(WAIT_MS, note, &seen);
    assert_int_equal(stack->count, 1);
    assert_true(frames_find_file(stack->frames[0], &path, &offset));
    assert_non_null(strstr(path, "libc"));
}

static void nobody_notices_that_he_was_asked(void **state)
{
    struct seen seen = {.visits = 0};

    for (int i = 0; i < 50; i++)
        threads_each(WAIT_MS, note, &seen);
    assert_int_equal(seen.visits, 50 * (COUNT + 1));
    assert_int_equal(atomic_load(&asleep), COUNT);
}

static void a_visitor_may_stop(void **state)
{
    struct seen seen = {.limit = 2};

    threads_each(WAIT_MS, note, &seen);
    assert_int_equal(seen.visits, 2);
}

static void without_time_all_are_there_all_the_same(void **state)
{
    struct seen seen = {.visits = 0};

    threads_each(0, note, &seen);
    assert_int_equal(seen.visits, COUNT + 1);
    /* Who answers late does not harm the next who asks. */
    seen = (struct seen){.visits = 0};
    threads_each(WAIT_MS, note, &seen);
    for (int i = 0; i < COUNT - 1; i++)
        assert_true(has_function(&seen.stacks[i], "(sleep_in_here)"));
}

static void one(int number, siginfo_t *info, void *context)
{
}

static void two(int number, siginfo_t *info, void *context)
{
}

static void reset(void)
{
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        signal(number, SIG_DFL);
}

static void a_signal_is_taken_that_nobody_uses(void **state)
{
    struct sigaction action;

    reset();
    signal(SIGRTMAX, SIG_IGN);
    assert_int_equal(threads_take_signal(one), SIGRTMAX - 1);
    assert_int_equal(threads_take_signal(one), SIGRTMAX - 1);
    assert_int_equal(threads_take_signal(two), SIGRTMAX - 2);
    sigaction(SIGRTMAX, NULL, &action);
    assert_true(action.sa_handler == SIG_IGN);
    sigaction(SIGRTMAX - 1, NULL, &action);
    assert_true(action.sa_sigaction == one);
    assert_true((action.sa_flags & SA_ONSTACK) != 0 && (action.sa_flags & SA_RESTART) != 0);
    assert_false(sigismember(&action.sa_mask, SIGSEGV));
    assert_true(sigismember(&action.sa_mask, SIGTERM));
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        signal(number, SIG_IGN);
    assert_int_equal(threads_take_signal(one), 0);
    reset();
}

static void only_faults_are_left_unblocked(void **state)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    size_t open = 0;
    sigset_t mask;

    threads_block_all_but_faults(&mask);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        assert_false(sigismember(&mask, faults[i]));
    for (int number = 1; number <= SIGRTMAX; number++)
        /* The C library keeps two for itself. */
        open += (number < 32 || number >= SIGRTMIN) && !sigismember(&mask, number);
    assert_int_equal(open, sizeof(faults) / sizeof(faults[0]));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_thread_shows_its_name_and_its_functions),
        TEST(a_thread_that_blocks_signals_shows_its_innermost_frame),
        TEST(nobody_notices_that_he_was_asked),
        TEST(a_visitor_may_stop),
        TEST(without_time_all_are_there_all_the_same),
        cmocka_unit_test(a_signal_is_taken_that_nobody_uses),
        cmocka_unit_test(only_faults_are_left_unblocked),
    };

    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
