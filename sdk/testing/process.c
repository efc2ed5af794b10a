/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin does to the process that it shares with the daemon: ends it, hangs in it, forks it, leaves
 * threads in it, or destructors that run when a thread ends. A violation that a test would not survive, or
 * would not notice, ends the test program with a line on standard error.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"

/* Time that a thread with nothing more to do may take to end, and the interval of checking. */
#define THREAD_END_TRIES 50
#define THREAD_END_STEP_NS (10 * MILLISECOND_NS)
/* Time that a forked child may take to exec, end or return. */
#define CHILD_MS 1000

/* As EX_SOFTWARE of sysexits.h. */
#define EXIT_CODE 70

/* A callback that takes this many times its limit has hung. */
#define HANG_FACTOR 20
#define WATCH_STEP_NS (20 * MILLISECOND_NS)

static void end_process(int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}

/* Uses no streams: the running thread may hold their locks. */
static void end_test(const char *who, const char *what)
{
    char text[320];
    int length = snprintf(text, sizeof(text), "berth-testing: %s %s\n", who, what);
    ssize_t written = write(STDERR_FILENO, text, (size_t)length);

    (void)written;
    end_process(EXIT_CODE);
}

/* Exits */

/*
 * Is the plugin's code on this stack, inside a callback? A test that failed in a callback has left it by a
 * jump, and runs above it.
 */
static bool is_plugins(uintptr_t stack)
{
    const struct berth_testing *testing = fake_current;

    if (testing == NULL || testing->pid != getpid())
        return false;
    if (!pthread_equal(pthread_self(), testing->thread))
        return testing->is_preparing;
    return stack < (testing->depth > 0 ? fake_running(testing)->stack : testing->turn_stack);
}

static void end_plugins(const char *function, uintptr_t stack)
{
    char who[160], what[80];

    if (!is_plugins(stack))
        return;
    fake_name_caller(fake_current, who, sizeof(who));
    snprintf(what, sizeof(what), "called %s, which would end the daemon", function);
    end_test(who, what);
}

/* exit(3) runs this on the stack of its caller. */
static void on_exit_called(void)
{
    end_plugins("exit", (uintptr_t)__builtin_frame_address(0));
}

/* Replaces the C library's, whose exit(3) does not call it. Otherwise a test that ends here would pass. */
__attribute__((visibility("default"), noreturn)) void _exit(int status)
{
    end_plugins("_exit", (uintptr_t)__builtin_frame_address(0));
    end_process(status);
    __builtin_unreachable();
}

__attribute__((visibility("default"), noreturn)) void _Exit(int status)
{
    end_plugins("_Exit", (uintptr_t)__builtin_frame_address(0));
    end_process(status);
    __builtin_unreachable();
}

/* Callbacks that never return */

/* The outermost entry that runs; NULL and 0: none does. */
static _Atomic(const char *) doing_now;
static atomic_uint_least64_t begun_now, hang_ns;

void fake_process_enter(const char *doing, uint64_t begun_ns)
{
    atomic_store_explicit(&doing_now, doing, memory_order_relaxed);
    atomic_store_explicit(&begun_now, doing != NULL ? begun_ns : 0, memory_order_relaxed);
}

void fake_process_limit(uint64_t limit_ns)
{
    atomic_store(&hang_ns, limit_ns * HANG_FACTOR);
}

/* Time in which the process is stopped, as in a debugger, does not count. */
static void *watch(void *unused)
{
    const struct timespec step = {.tv_nsec = WATCH_STEP_NS};
    uint64_t entry = 0, steps = 0;

    for (;;) {
        uint64_t begun = atomic_load(&begun_now), limit_ns = atomic_load(&hang_ns);
        const char *doing = atomic_load(&doing_now);

        steps = begun == entry ? steps + 1 : 0;
        entry = begun;
        if (begun != 0 && doing != NULL && limit_ns > 0 && steps * WATCH_STEP_NS > limit_ns)
            end_test(doing, "has not returned for 20 times as long as a callback may take");
        nanosleep(&step, NULL);
    }
    return NULL;
}

static void start_watch(void)
{
    sigset_t all, before;
    pthread_t thread;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, watch, NULL) == 0) {
        pthread_setname_np(thread, "berth-testing");
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Forks */

/*
 * The child has the writing end of a pipe: exec or its end closes it. A child that returns into the host,
 * where it would be a second daemon, writes to it.
 */
static int fork_pipe[2] = {-1, -1};
static bool is_child;

static void before_fork(void)
{
    if (!is_plugins((uintptr_t)__builtin_frame_address(0)) || pipe2(fork_pipe, O_CLOEXEC) != 0)
        fork_pipe[0] = fork_pipe[1] = -1;
}

/* @return did the child exec, end or return within that time? */
static bool look_at_child(struct berth_testing *testing, const struct fake_fork *child, int wait_ms)
{
    struct pollfd end = {.fd = child->fd, .events = POLLIN};
    char byte;

    if (poll(&end, 1, wait_ms) <= 0)
        return false;
    if (read(child->fd, &byte, 1) == 1)
        fake_fault(testing, "%s forked, and the child returned into the daemon: use uv_spawn", child->who);
    return true;
}

/* Keeps those that are still running. */
static void look_at_children(struct berth_testing *testing, int wait_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < testing->fork_count; i++) {
        if (look_at_child(testing, &testing->forks[i], wait_ms))
            close(testing->forks[i].fd);
        else
            testing->forks[kept++] = testing->forks[i];
    }
    testing->fork_count = kept;
}

static void after_fork(void)
{
    struct berth_testing *testing = fake_current;

    if (fork_pipe[0] < 0)
        return;
    close(fork_pipe[1]);
    look_at_children(testing, 0);
    if (testing->fork_count == FAKE_FORKS_MAX) {
        close(fork_pipe[0]);
    } else {
        struct fake_fork *child = &testing->forks[testing->fork_count++];

        child->fd = fork_pipe[0];
        fake_name_caller(testing, child->who, sizeof(child->who));
    }
}

static void in_child(void)
{
    is_child = fork_pipe[1] >= 0;
}

void fake_process_check_child(struct berth_testing *testing)
{
    ssize_t written;

    if (!is_child || testing->pid == getpid())
        return;
    written = write(fork_pipe[1], "r", 1);
    (void)written;
    end_process(EXIT_CODE);
}

/* Thread-specific data */

extern int __pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
extern const char __executable_start, etext;

/* Keys made by the plugin or the test: by the program itself, not by its libraries. */
static bool made_here[PTHREAD_KEYS_MAX];

/* Replaces the C library's, which is called by its other name. */
__attribute__((visibility("default"))) int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    uintptr_t caller = (uintptr_t)__builtin_return_address(0);
    int error = __pthread_key_create(key, destructor);

    if (error == 0 && *key < PTHREAD_KEYS_MAX)
        made_here[*key] = destructor != NULL && fake_current != NULL &&
                          caller >= (uintptr_t)&__executable_start && caller < (uintptr_t)&etext;
    return error;
}

static void check_keys(struct berth_testing *testing)
{
    for (pthread_key_t key = 0; key < PTHREAD_KEYS_MAX; key++) {
        /* Fails for a key that was deleted. */
        if (made_here[key] && pthread_setspecific(key, pthread_getspecific(key)) == 0)
            fake_fault(testing, "a thread-specific key with a destructor was left behind");
        made_here[key] = false;
    }
}

/* Threads */

static bool is_known(const struct berth_testing *testing, long thread)
{
    for (size_t i = 0; i < testing->thread_count; i++)
        if (testing->threads[i] == thread)
            return true;
    return false;
}

/* Each thread of the process that did not exist when the host was created. */
static size_t each_thread(struct berth_testing *testing, void (*on_thread)(struct berth_testing *, long))
{
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *entry;
    size_t count = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        long thread = strtol(entry->d_name, NULL, 10);

        if (thread == 0 || is_known(testing, thread))
            continue;
        count++;
        if (on_thread != NULL)
            on_thread(testing, thread);
    }
    if (folder != NULL)
        closedir(folder);
    return count;
}

static void know(struct berth_testing *testing, long thread)
{
    testing->threads = memory_grow(testing->threads, testing->thread_count, sizeof(*testing->threads));
    testing->threads[testing->thread_count++] = thread;
}

static void blame_thread(struct berth_testing *testing, long thread)
{
    char path[64], name[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%ld/comm", thread);
    file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(name, sizeof(name), file) != NULL)
        name[strcspn(name, "\n")] = '\0';
    fclose(file);
    fake_fault(testing, "a thread was left behind: %s", name);
}

bool fake_has_threads(struct berth_testing *testing)
{
    return each_thread(testing, NULL) > 0;
}

void fake_process_init(struct berth_testing *testing)
{
    static pid_t watched;
    static bool has_begun;

    if (!has_begun && (atexit(on_exit_called) != 0 || pthread_atfork(before_fork, after_fork, in_child) != 0))
        abort();
    has_begun = true;
    testing->pid = getpid();
    if (watched != testing->pid)
        start_watch();
    watched = testing->pid;
    fake_process_enter(NULL, 0);
    memset(made_here, 0, sizeof(made_here));
    each_thread(testing, know);
}

void fake_process_finish(struct berth_testing *testing)
{
    const struct timespec step = {.tv_nsec = THREAD_END_STEP_NS};

    for (int i = 0; i < THREAD_END_TRIES && fake_has_threads(testing); i++)
        nanosleep(&step, NULL);
    each_thread(testing, blame_thread);
    look_at_children(testing, CHILD_MS);
    for (size_t i = 0; i < testing->fork_count; i++)
        close(testing->forks[i].fd);
    check_keys(testing);
    free(testing->threads);
}
