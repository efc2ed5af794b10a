/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog. While the loop polls, its thread waits for the same events as the loop, and for a turn
 * without any. Otherwise it looks a few times within `stall_after` whether the loop has moved.
 *
 * Who blocks is read from the running word. Code that libuv called directly has none: then a signal makes the
 * loop's thread write down its own stack, once per episode, because it cuts short whatever sleep the thread
 * is in. A thread that runs on a processor is not disturbed by it, so there it also adds the function to the
 * word.
 */
#include "watch.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <config/tree/units.h>

#include <core/base/frames.h>
#include <core/base/log.h>
#include <sdk/base/memory.h>

#define MS UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)
/* Looks within `stall_after`, and how often it looks where that is off. */
#define LOOKS 4
#define LOOK_MAX_MS 500
/* How long the thread sleeps while the loop waits, where no limit says how late a stall may be seen. */
#define REST_MS 2000

/* Waking later than this, the thread itself stood still: a stopped process, a suspended machine. */
#define LATE_MS 250
/* So long after much happened in a turn it is expected again. */
#define CROWD_MS 1000
/* How long the loop's thread may take to write down its stack, and to die of SIGABRT. */
#define ANSWER_MS 500
#define DEATH_MS 5000
#define FRAMES_MAX 64
/* A plugin that blocks again and again has a line of its own this often, ever more seldom. */
#define LINE_MIN_NS SECOND_NS
#define LINE_MAX_NS (60 * SECOND_NS)

struct watchdog {
    struct watchdog_options options;
    uv_timer_t alive;
    pthread_t loop_thread, thread;
    int wake_fd, signal;
    bool has_thread;
    atomic_bool is_stopping;
    /* Set by the loop, read by the thread. */
    atomic_uint_least64_t stall_ns, abort_ns;
    /* From here on the thread's own. The moves that the loop had made when it was seen first where it is. */
    uint64_t moves, since_ms;
    /* Until then it was not stuck. */
    uint64_t free_ms;
    /* The time by which the thread itself was late, which is not the loop's fault. */
    uint64_t late_ms;
    uint64_t told_alive_ms, crowded_ms;
    bool is_told, is_often;
    /* The loop's word when last seen, and when it was seen to have changed within this turn. */
    unsigned version;
    uint64_t changed_ms;
    /* The entry whose exceeded deadline has been reported, by its start. */
    uint64_t told_entry;
};

/* Entries that returned late */

static uint64_t at_most(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / MS;
}

/* The first of the limits that is on; 0: none is. */
static uint64_t first_limit(const struct watchdog *watchdog)
{
    uint64_t stall_ns = atomic_load(&watchdog->stall_ns), abort_ns = atomic_load(&watchdog->abort_ns);

    return stall_ns == 0 || (abort_ns > 0 && abort_ns < stall_ns) ? abort_ns : stall_ns;
}

/* How often it looks while the loop moves. */
static uint64_t look_ms(const struct watchdog *watchdog)
{
    uint64_t limit_ns = first_limit(watchdog);

    return limit_ns > 0 ? at_most(LOOK_MAX_MS, limit_ns / MS / LOOKS + 1) : LOOK_MAX_MS;
}

/* How long it sleeps while the loop waits. */
static uint64_t rest_ms(const struct watchdog *watchdog)
{
    uint64_t limit_ns = first_limit(watchdog);

    return limit_ns > 0 ? at_most(limit_ns / MS + 1, INT32_MAX) : REST_MS;
}

static void format_span(uint64_t ns, char *text, size_t size)
{
    if (ns < SECOND_NS)
        snprintf(text, size, "%.0f ms", (double)ns / 1e6);
    else
        snprintf(text, size, "%.1f s", (double)ns / 1e9);
}

/* @return false if it has had a line just before: then the next line counts it. */
static bool may_have_line(struct running_plugin *owner, uint64_t *ret_left_out)
{
    uint64_t now = uv_hrtime(), quiet_ns = now - owner->slow_lines.blocked_ns;
    bool is_first = owner->slow_lines.told == 0 || quiet_ns >= LINE_MAX_NS;

    owner->slow_lines.blocked_ns = now;
    if (!is_first && now - owner->slow_lines.told_ns < owner->slow_lines.pause_ns)
        return false;
    *ret_left_out = owner->slow - owner->slow_lines.told - 1;
    owner->slow_lines.told = owner->slow;
    owner->slow_lines.told_ns = now;
    owner->slow_lines.pause_ns =
        is_first ? LINE_MIN_NS : at_most(2 * owner->slow_lines.pause_ns, LINE_MAX_NS);
    return true;
}

static void on_slow(const struct running_word *word, uint64_t took_ns)
{
    uint64_t left_out;
    char what[512], span[32], more[64] = "";

    if (!may_have_line(word->owner, &left_out))
        return;
    running_describe(word, what, sizeof(what));
    format_span(took_ns, span, sizeof(span));
    if (left_out > 0)
        snprintf(more, sizeof(more), "; %" PRIu64 " more slow calls since the last report", left_out);
    log_line(BERTH_LOG_WARN, "%s blocked the loop for %s%s", what, span, more);
}

/* The stack of the loop's thread */

enum answer {
    ANSWER_NONE,
    ANSWER_WANTED,
    ANSWER_BEGUN,
    ANSWER_GIVEN,
};

static struct {
    atomic_int answer;
    void *frames[FRAMES_MAX];
    size_t count;
} stack;

static void on_signal(int number, siginfo_t *info, void *context)
{
    int wanted = ANSWER_WANTED;

    if (!atomic_compare_exchange_strong(&stack.answer, &wanted, ANSWER_BEGUN))
        return;
    stack.count = frames_take_guarded(context, stack.frames, FRAMES_MAX);
    atomic_store(&stack.answer, ANSWER_GIVEN);
}

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* False if it does not answer: it is in a call that signals do not interrupt, or has blocked them. */
static bool take_stack(const struct watchdog *watchdog)
{
    int wanted = ANSWER_WANTED;

    atomic_store(&stack.answer, ANSWER_WANTED);
    if (watchdog->signal == 0 || pthread_kill(watchdog->loop_thread, watchdog->signal) != 0)
        return false;
    for (int i = 0; i < ANSWER_MS && atomic_load(&stack.answer) != ANSWER_GIVEN; i++)
        sleep_ms(1);
    if (atomic_compare_exchange_strong(&stack.answer, &wanted, ANSWER_NONE))
        return false;
    return atomic_load(&stack.answer) == ANSWER_GIVEN && stack.count > 0;
}

/* The innermost frame of a plugin's module. @return NULL: none. */
static struct running_plugin *find_plugin(const void **ret_frame)
{
    return running_find_by_frames(stack.frames, stack.count, NULL, ret_frame);
}

/* " (hello.so+0x1234, do_work)" */
static void describe_frame(const void *frame, char *text, size_t size)
{
    char place[256], *symbol;

    frames_describe(frame, place, sizeof(place));
    symbol = strstr(place, " (");
    if (symbol != NULL)
        symbol[0] = '\0';
    snprintf(text, size, " (%s%s%s", place, symbol != NULL ? ", " : ")", symbol != NULL ? symbol + 2 : "");
}

/* A loop that is stuck */

/* Who keeps the loop, worded to follow "in". */
struct blame {
    /* NULL: nobody's, or one of several plugins of a module. */
    struct running_plugin *plugin;
    char text[768];
};

/* The innermost frame that is not in the C library: who called it says more. */
static const void *find_caller(void)
{
    for (size_t i = 0; i < stack.count; i++) {
        const char *path;
        uintptr_t offset;

        if (frames_find_file(stack.frames[i], &path, &offset) && strstr(path, "/libc.so") == NULL)
            return stack.frames[i];
    }
    return stack.frames[0];
}

/* Code that libuv called directly. */
static void blame_stack(struct blame *blame)
{
    const void *frame = find_caller();
    struct running_plugin *plugin = find_plugin(&frame);
    bool is_alone = plugin != NULL && running_is_alone_in_its_module(plugin);
    char place[320];

    describe_frame(frame, place, sizeof(place));
    if (plugin == NULL)
        snprintf(blame->text, sizeof(blame->text), "the host%s", place);
    else
        snprintf(blame->text, sizeof(blame->text), "a callback of %s%s%s", is_alone ? "" : "module ",
                 is_alone ? plugin->uri : plugin->module, place);
    blame->plugin = is_alone ? plugin : NULL;
}

static void blame_word(const struct watchdog *watchdog, const struct running_word *word, struct blame *blame)
{
    const void *frame;
    size_t length;

    blame->plugin = word->owner;
    running_describe(word, blame->text, sizeof(blame->text));
    if (!watch_clock_is_running(watchdog->options.clock) || !take_stack(watchdog) ||
        find_plugin(&frame) == NULL)
        return;
    length = strlen(blame->text);
    describe_frame(frame, blame->text + length, sizeof(blame->text) - length);
}

static uint64_t age_ns(const struct running_word *word)
{
    uint64_t now = running_ticks();

    return word->since == 0 || now <= word->since ? 0 : running_ticks_to_ns(now - word->since);
}

/* The innermost entry on the stack that is at least this old. Others come and go within it. */
static const struct running_word *find_old(const struct running_word *words, unsigned count, uint64_t ns)
{
    for (unsigned i = 0; i < count; i++)
        if (words[i].owner != NULL && age_ns(&words[i]) >= ns)
            return &words[i];
    return NULL;
}

/* How long no entry has come or gone, as far as it was seen in this turn. */
static uint64_t quiet_ns(const struct watchdog *watchdog, uint64_t stuck_ns)
{
    return watchdog->changed_ms > 0 ? at_most(stuck_ns, (now_ms() - watchdog->changed_ms) * MS) : stuck_ns;
}

static void note_change(struct watchdog *watchdog)
{
    unsigned version = atomic_load(&watchdog->options.running->version);

    if (version != watchdog->version)
        watchdog->changed_ms = now_ms();
    watchdog->version = version;
}

static void tell_stuck(struct watchdog *watchdog, const struct running_word *words, unsigned count,
                       uint64_t stuck_ns)
{
    const struct running_word *word = find_old(words, count, stuck_ns / 2);
    const char *verb = "stuck";
    struct blame blame = {.plugin = NULL};
    char span[32];

    if (word != NULL) {
        blame_word(watchdog, word, &blame);
    } else if (count > 0) {
        /* One short entry after the other: it is unfair to blame the one that happens to run. */
        verb = "busy";
        snprintf(blame.text, sizeof(blame.text), "one iteration, currently in ");
        running_describe(&words[0], blame.text + strlen(blame.text), sizeof(blame.text) - strlen(blame.text));
    } else if (quiet_ns(watchdog, stuck_ns) < stuck_ns / 2) {
        verb = "busy";
        snprintf(blame.text, sizeof(blame.text), "one iteration, currently in code that libuv called");
    } else if (take_stack(watchdog)) {
        blame_stack(&blame);
    } else {
        snprintf(blame.text, sizeof(blame.text),
                 "unidentified code: the loop's thread does not respond to signals");
    }
    format_span(stuck_ns, span, sizeof(span));
    log_line(BERTH_LOG_WARN, "the loop has been %s for %s in %s", verb, span, blame.text);
    atomic_fetch_add(
        blame.plugin != NULL ? &blame.plugin->stalls : &watchdog->options.clock->unattributed_stalls, 1);
}

static void tell_moved(struct watchdog *watchdog)
{
    uint64_t awaited_ms = watch_clock_end_await(watchdog->options.clock);
    uint64_t moved_ms = awaited_ms > 0 ? awaited_ms : now_ms();
    uint64_t stuck_ms = moved_ms - watchdog->since_ms;
    char span[32];

    watchdog->is_told = false;
    format_span((stuck_ms > watchdog->late_ms ? stuck_ms - watchdog->late_ms : 0) * MS, span, sizeof(span));
    log_line(BERTH_LOG_WARN, "the loop resumed after %s", span);
}

static void abort_loop(struct watchdog *watchdog, uint64_t stuck_ns)
{
    char span[32], limit[CONFIG_UNITS_MAX];

    format_span(stuck_ns, span, sizeof(span));
    config_format_duration((int64_t)atomic_load(&watchdog->abort_ns), limit);
    log_line(BERTH_LOG_ERROR, "the loop has been stuck for %s; aborting after %s (loop.abort_after)", span,
             limit);
    /* Sent to the loop's thread, so that the core dump and the crash report start with what it does. */
    pthread_kill(watchdog->loop_thread, SIGABRT);
    sleep_ms(DEATH_MS);
    abort();
}

/* The innermost entry that is a step with a deadline. */
static const struct running_word *find_step(const struct running_word *words, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (words[i].owner != NULL && words[i].limit_ns > 0)
            return &words[i];
    return NULL;
}

static void tell_overdue(struct watchdog *watchdog, const struct running_word *word)
{
    char limit[CONFIG_UNITS_MAX];

    watchdog->told_entry = word->since;
    config_format_duration((int64_t)word->limit_ns, limit);
    log_plugin(BERTH_LOG_WARN, word->owner->uri,
               "%s has not returned within %s (timeouts.%s), and the loop is stuck until it does",
               running_doing_name(word->doing), limit, running_doing_name(word->doing));
}

/* The thread */

/* @return how long until then, at least 1; `until` if it has passed or is off. */
static uint64_t wait_until(uint64_t limit_ns, uint64_t passed_ns, uint64_t until)
{
    if (limit_ns == 0 || passed_ns >= limit_ns)
        return until;
    return at_most(until, (limit_ns - passed_ns) / MS + 1);
}

static void give_sign_of_life(struct watchdog *watchdog, uint64_t stuck_ns)
{
    uint64_t often_ms = watchdog->options.alive_us / 4000, now = now_ms();

    if (watchdog->options.alive_us == 0 || stuck_ns / MS < often_ms ||
        now - watchdog->told_alive_ms < often_ms)
        return;
    watchdog->told_alive_ms = now;
    watchdog->options.on_alive();
}

/* An entry that lasts has begun in this turn: that is better known than when the turn began. */
static void correct_since(struct watchdog *watchdog, const struct running_word *words, unsigned count)
{
    uint64_t began_ms = count > 0 ? now_ms() - age_ns(&words[count - 1]) / MS : UINT64_MAX;

    watchdog->since_ms = at_most(watchdog->since_ms, began_ms);
}

/* @return when to look again, in milliseconds from now. */
static uint64_t judge(struct watchdog *watchdog)
{
    const struct watchdog_options *options = &watchdog->options;
    struct running_word words[RUNNING_DEPTH_MAX];
    unsigned count = running_look_all(options->running, words);
    const struct running_word *step = find_step(words, count);
    uint64_t stall_ns = atomic_load(&watchdog->stall_ns), abort_ns = atomic_load(&watchdog->abort_ns);
    uint64_t late_ns = watchdog->late_ms * MS, pause = look_ms(watchdog), stuck_ns, step_ns, lasted_ns;

    note_change(watchdog);
    correct_since(watchdog, words, count);
    stuck_ns = (now_ms() - watchdog->since_ms) * MS;
    stuck_ns = stuck_ns > late_ns ? stuck_ns - late_ns : 0;
    if (step != NULL) {
        step_ns = age_ns(step);
        step_ns = step_ns > late_ns ? step_ns - late_ns : 0;
        if (step_ns < step->limit_ns)
            give_sign_of_life(watchdog, stuck_ns);
        else if (watchdog->told_entry != step->since)
            tell_overdue(watchdog, step);
        pause = wait_until(step->limit_ns, step_ns, pause);
    }
    if (stall_ns > 0 && stuck_ns >= stall_ns && !watchdog->is_told) {
        watchdog->is_told = true;
        watch_clock_await(options->clock, watchdog->wake_fd);
        tell_stuck(watchdog, words, count, stuck_ns);
    }
    lasted_ns = count > 0 ? at_most(stuck_ns, age_ns(&words[count - 1])) : quiet_ns(watchdog, stuck_ns);
    if (abort_ns > 0 && lasted_ns >= abort_ns)
        abort_loop(watchdog, lasted_ns);
    pause = wait_until(stall_ns, stuck_ns, pause);
    return wait_until(abort_ns, lasted_ns, pause);
}

/* @return is the loop where it was, or in a turn that has just been seen? */
static bool look(struct watchdog *watchdog)
{
    struct watch_state state = watch_clock_look(watchdog->options.clock);

    if (!state.is_polling && state.moves == watchdog->moves)
        return true;
    if (watchdog->is_told)
        tell_moved(watchdog);
    watchdog->moves = state.is_polling ? UINT64_MAX : state.moves;
    watchdog->since_ms = state.since_ms > watchdog->free_ms ? state.since_ms : watchdog->free_ms;
    watchdog->late_ms = 0;
    watchdog->version = atomic_load(&watchdog->options.running->version);
    watchdog->changed_ms = 0;
    return !state.is_polling;
}

static void forget_wake(const struct watchdog *watchdog)
{
    uint64_t count;
    ssize_t length = read(watchdog->wake_fd, &count, sizeof(count));

    (void)length;
}

/* @return false if it was woken. */
static bool doze(struct watchdog *watchdog, uint64_t ms)
{
    struct pollfd wake = {.fd = watchdog->wake_fd, .events = POLLIN};
    uint64_t start = now_ms(), took;
    bool is_woken = poll(&wake, 1, (int)ms) > 0;

    if (is_woken)
        forget_wake(watchdog);
    took = now_ms() - start;
    if (took > ms + LATE_MS)
        watchdog->late_ms += took - ms;
    return !is_woken;
}

static void stamp_often(struct watchdog *watchdog, bool is_often)
{
    if (watchdog->is_often != is_often)
        running_stamp_often(watchdog->options.running, is_often);
    watchdog->is_often = is_often;
}

static void stamp(struct watchdog *watchdog)
{
    uint64_t now = now_ms();

    if (running_stamp(watchdog->options.running))
        watchdog->crowded_ms = now;
    stamp_often(watchdog, watchdog->crowded_ms != 0 && now - watchdog->crowded_ms < CROWD_MS);
}

/* While the loop has much to do, it is stamped meanwhile, so that its entries need not read the clock. */
static void nap(struct watchdog *watchdog, uint64_t ms)
{
    uint64_t end = now_ms() + ms, now;

    stamp(watchdog);
    while (watchdog->is_often && (now = now_ms()) < end) {
        if (!doze(watchdog, at_most(RUNNING_STAMP_MS, end - now)))
            return;
        stamp(watchdog);
    }
    now = now_ms();
    if (now < end)
        doze(watchdog, end - now);
}

/*
 * While the loop waits. The loop's descriptor cannot be polled for its events: a poll that finds them taken
 * goes on to sleep, and the callback that took them may be the one that is stuck.
 */
static void rest(struct watchdog *watchdog)
{
    stamp_often(watchdog, false);
    watchdog->late_ms = 0;
    doze(watchdog, rest_ms(watchdog));
    /* Where the loop stood meanwhile nobody knows, so it is not blamed for that time. */
    if (watchdog->late_ms > 0)
        watchdog->free_ms = now_ms();
}

static void *watch(void *argument)
{
    struct watchdog *watchdog = argument;

    while (!atomic_load(&watchdog->is_stopping))
        if (look(watchdog))
            nap(watchdog, judge(watchdog));
        else
            rest(watchdog);
    return NULL;
}

/* Start and stop */

static void on_alive_timer(uv_timer_t *timer)
{
    const struct watchdog *watchdog = timer->data;

    watchdog->options.on_alive();
}

/* Signals are for the loop's thread, but faults of this one are its own. */
static bool start_thread(struct watchdog *watchdog)
{
    sigset_t blocked, before;
    int error;

    threads_block_all_but_faults(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    error = pthread_create(&watchdog->thread, NULL, watch, watchdog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_setname_np(watchdog->thread, "berth-watchdog");
    return error == 0;
}

/* One watchdog at a time: a step that may last less than the thread rests is looked at from its beginning. */
static int step_fd = -1;

static void wake_for_step(void)
{
    uint64_t one = 1;
    ssize_t written = write(step_fd, &one, sizeof(one));

    (void)written;
}

void watchdog_limit(struct watchdog *watchdog, const struct watchdog_limits *limits)
{
    atomic_store(&watchdog->stall_ns, limits->stall_after_ns);
    atomic_store(&watchdog->abort_ns, limits->abort_after_ns);
    running_limit(&(struct running_limits){.slow_ns = limits->warn_after_ns,
                                           .on_slow = on_slow,
                                           .soon_ns = watchdog->has_thread ? rest_ms(watchdog) * MS : 0,
                                           .on_soon = wake_for_step});
    /* It may rest for as long as the limits before allowed. */
    if (watchdog->has_thread)
        wake_for_step();
}

struct watchdog *watchdog_start(const struct watchdog_options *options)
{
    struct watchdog *watchdog = memory_allocate(1, sizeof(*watchdog));

    watchdog->options = *options;
    watchdog->loop_thread = pthread_self();
    watchdog->moves = UINT64_MAX;
    atomic_store(&watchdog->stall_ns, options->limits.stall_after_ns);
    atomic_store(&watchdog->abort_ns, options->limits.abort_after_ns);
    watchdog->signal = threads_take_signal(on_signal);
    uv_timer_init(options->clock->loop, &watchdog->alive);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_timer_start(&watchdog->alive, on_alive_timer, 0, 0);
    uv_timer_stop(&watchdog->alive);
    uv_unref((uv_handle_t *)&watchdog->alive);
    watchdog->alive.data = watchdog;
    if (options->alive_us > 0)
        uv_timer_start(&watchdog->alive, on_alive_timer, 0, at_most(options->alive_us / 2000, INT32_MAX));
    watchdog->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watchdog->has_thread = watchdog->wake_fd >= 0 && start_thread(watchdog);
    step_fd = watchdog->wake_fd;
    watchdog_limit(watchdog, &options->limits);
    if (!watchdog->has_thread)
        log_line(BERTH_LOG_WARN, "cannot start the watchdog thread: a stuck loop will not be reported");
    return watchdog;
}

void watchdog_stop(struct watchdog *watchdog)
{
    uint64_t one = 1;

    if (watchdog == NULL)
        return;
    running_limit(&(struct running_limits){.slow_ns = 0});
    uv_close((uv_handle_t *)&watchdog->alive, NULL);
    atomic_store(&watchdog->is_stopping, true);
    if (watchdog->has_thread) {
        while (write(watchdog->wake_fd, &one, sizeof(one)) < 0)
            ;
        pthread_join(watchdog->thread, NULL);
    }
    /* The loop that calls this has moved, whether or not the thread has seen it. */
    if (watchdog->is_told)
        tell_moved(watchdog);
    if (watchdog->wake_fd >= 0)
        close(watchdog->wake_fd);
    if (watchdog->signal != 0)
        signal(watchdog->signal, SIG_IGN);
}

void watchdog_destroy(struct watchdog *watchdog)
{
    free(watchdog);
}
