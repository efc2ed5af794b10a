/* SPDX-License-Identifier: Apache-2.0 */
/* Marks where the loop's turns begin and end. */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <sdk/base/container_of.h>

#define SPAN_MS 10000
#define MS UINT64_C(1000000)

/* Rare, and never on the way of a call. */
static void say_that_it_moved(struct watch_clock *clock)
{
    uint64_t one = 1;

    if (!atomic_exchange(&clock->is_awaited, false))
        return;
    atomic_store(&clock->moved_ms, uv_hrtime() / MS);
    while (write(clock->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void note_turn(struct watch_clock *clock, uint64_t took_ms, uint64_t now)
{
    if (now - clock->span_started_ms >= SPAN_MS) {
        bool is_next = now - clock->span_started_ms < 2 * SPAN_MS;

        clock->last_span_longest_ms = is_next ? clock->span_longest_ms : 0;
        clock->span_longest_ms = 0;
        clock->span_started_ms = now;
    }
    if (took_ms > clock->span_longest_ms)
        clock->span_longest_ms = took_ms;
    if (took_ms > clock->longest_ms)
        clock->longest_ms = took_ms;
}

/* The last before the poll: handles that were started later are called earlier. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct watch_clock *clock = CONTAINER_OF(prepare, struct watch_clock, prepare);
    uint64_t turns = atomic_load_explicit(&clock->turns, memory_order_relaxed), now, took;

    running_begin_turn();
    uv_update_time(clock->loop);
    now = uv_now(clock->loop);
    took = now - clock->turn_started_ms;
    clock->busy_ms += took;
    clock->turn_started_ms = now;
    note_turn(clock, took, now);
    atomic_store_explicit(&clock->polled_ms, now, memory_order_relaxed);
    atomic_store_explicit(&clock->turns, turns + 1, memory_order_relaxed);
    atomic_store_explicit(&clock->has_polled, false, memory_order_release);
    if (atomic_load_explicit(&clock->is_awaited, memory_order_relaxed))
        say_that_it_moved(clock);
}

/* Callbacks of I/O have run since the poll, but the time is still that of its return. */
static void on_check(uv_check_t *check)
{
    struct watch_clock *clock = CONTAINER_OF(check, struct watch_clock, check);

    clock->turn_started_ms = uv_now(clock->loop);
    atomic_store_explicit(&clock->has_polled, true, memory_order_release);
    if (atomic_load_explicit(&clock->is_awaited, memory_order_relaxed))
        say_that_it_moved(clock);
}

void watch_clock_start(struct watch_clock *clock, uv_loop_t *loop)
{
    clock->loop = loop;
    clock->thread = (pid_t)syscall(SYS_gettid);
    clock->started_ms = clock->turn_started_ms = clock->span_started_ms = uv_now(loop);
    atomic_store(&clock->polled_ms, clock->started_ms);
    atomic_store(&clock->has_polled, true);
    uv_prepare_init(loop, &clock->prepare);
    uv_prepare_start(&clock->prepare, on_prepare);
    uv_unref((uv_handle_t *)&clock->prepare);
    uv_check_init(loop, &clock->check);
    uv_check_start(&clock->check, on_check);
    uv_unref((uv_handle_t *)&clock->check);
}

void watch_clock_stop(struct watch_clock *clock)
{
    uv_close((uv_handle_t *)&clock->prepare, NULL);
    uv_close((uv_handle_t *)&clock->check, NULL);
}

static uint64_t sum_of_plugins_ns(void)
{
    uint64_t ticks = 0;

    for (uint32_t i = 1; i <= running_count(); i++)
        ticks += running_get(i)->ticks;
    return running_ticks_to_ns(ticks);
}

static uint64_t cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 * MS + (uint64_t)used.tv_nsec;
}

struct watch_times watch_clock_read(struct watch_clock *clock)
{
    uint64_t now = uv_hrtime() / MS, of_plugins = sum_of_plugins_ns();
    struct watch_times times = {
        .turns = atomic_load(&clock->turns),
        .busy_ns = (clock->busy_ms + now - clock->turn_started_ms) * MS,
        .cpu_ns = cpu_ns(),
        .longest_ns = clock->longest_ms * MS,
        .unattributed_stalls = atomic_load(&clock->unattributed_stalls),
    };

    /* Where nothing has happened for long, the spans are over anyway. */
    note_turn(clock, 0, now);
    times.lag_ns = MS * (clock->span_longest_ms > clock->last_span_longest_ms ? clock->span_longest_ms
                                                                              : clock->last_span_longest_ms);
    times.unattributed_ns = times.busy_ns > of_plugins ? times.busy_ns - of_plugins : 0;
    return times;
}

static bool is_poll(long number)
{
#if defined(SYS_epoll_wait)
    if (number == SYS_epoll_wait)
        return true;
#endif
#if defined(SYS_epoll_pwait2)
    if (number == SYS_epoll_pwait2)
        return true;
#endif
    return number == SYS_epoll_pwait;
}

/* The system call that the thread is in. @return false if the kernel does not say. */
static bool find_call(pid_t thread, long *ret_number, uint64_t *ret_argument)
{
    char path[64], text[256];
    int fd;
    ssize_t length;

    snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)thread);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length <= 0)
        return false;
    text[length] = '\0';
    /* "running" on a processor: in no call. */
    *ret_number = -1;
    *ret_argument = 0;
    sscanf(text, "%ld %" SCNx64, ret_number, ret_argument);
    return true;
}

/*
 * While it waits, libuv's clock stands where it was before; once it has polled, it is read again. Where the
 * kernel does not say what the thread does, this is all that we know: it then seems to wait in callbacks that
 * came within the same millisecond.
 */
static bool is_polling(const struct watch_clock *clock, bool is_time_old)
{
    long number;
    uint64_t fd;

    if (find_call(clock->thread, &number, &fd))
        return is_poll(number) && (int)fd == uv_backend_fd(clock->loop);
    return is_time_old;
}

/*
 * A loop that turns meanwhile is not stuck: then the time of its newest turn is right. A thread that has been
 * woken, but has not got as far as reading the time, has not been stuck since it began to wait.
 */
struct watch_state watch_clock_look(const struct watch_clock *clock)
{
    bool has_polled = atomic_load_explicit(&clock->has_polled, memory_order_acquire);
    struct watch_state state = {.moves = 2 * atomic_load(&clock->turns) + has_polled};
    uint64_t polled_ms = atomic_load(&clock->polled_ms), time = uv_now(clock->loop);
    bool is_time_old = !has_polled && time <= polled_ms;

    state.since_ms = is_time_old ? uv_hrtime() / MS : time;
    state.is_polling = !has_polled && is_polling(clock, is_time_old);
    return state;
}

bool watch_clock_is_running(const struct watch_clock *clock)
{
    long number;
    uint64_t argument;

    return find_call(clock->thread, &number, &argument) && number == -1;
}

void watch_clock_await(struct watch_clock *clock, int fd)
{
    clock->wake_fd = fd;
    atomic_store(&clock->moved_ms, 0);
    atomic_store(&clock->is_awaited, true);
    atomic_thread_fence(memory_order_seq_cst);
}

uint64_t watch_clock_end_await(struct watch_clock *clock)
{
    if (atomic_exchange(&clock->is_awaited, false))
        return 0;
    while (atomic_load(&clock->moved_ms) == 0)
        sched_yield();
    return atomic_load(&clock->moved_ms);
}
