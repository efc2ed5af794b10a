/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where every thread is: interrupts one after the other with a signal, whose handler takes the stack. Of a
 * thread that blocks signals, or does not answer in time, the kernel tells the innermost frame if it is in a
 * system call. One that answers after its time finds that nobody wants it.
 */
#include "watch.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <core/base/c_library.h>
#include <core/base/frames.h>
#include <core/crash/crash.h>

/* Most threads answer before a sleep of any length would end. */
#define YIELDS_MAX 200

/* How long a thread may take to start on a busy machine. */
#define STARTING_MS_MAX 20

/* Whose answer is wanted, and whose is there; 0: nobody's. */
static atomic_int wanted;
static atomic_int given;
static struct thread_stack answer;

static pid_t own_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    int id = own_id();

    if (!atomic_compare_exchange_strong(&wanted, &id, 0))
        return;
    answer.count = frames_take_guarded(context, answer.frames, THREADS_FRAMES_MAX);
    answer.is_whole = answer.count < THREADS_FRAMES_MAX;
    answer.start = c_library_start_routine();
    atomic_store(&given, answer.id);
}

void threads_block_all_but_faults(sigset_t *ret_mask)
{
    sigfillset(ret_mask);
    for (const int *fault = crash_signals; *fault != 0; fault++)
        sigdelset(ret_mask, *fault);
}

int threads_take_signal(void (*handler)(int number, siginfo_t *info, void *context))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    struct sigaction before;

    threads_block_all_but_faults(&action.sa_mask);
    for (int number = SIGRTMAX; number >= SIGRTMIN; number--) {
        if (sigaction(number, NULL, &before) != 0)
            continue;
        if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction == handler)
            return number;
        if ((before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == SIG_DFL &&
            sigaction(number, &action, NULL) == 0)
            return number;
    }
    return 0;
}

static FILE *open_of(pid_t id, const char *what)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)id, what);
    return fopen(path, "re");
}

static void read_name(pid_t id)
{
    FILE *file = open_of(id, "comm");

    answer.name[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(answer.name, sizeof(answer.name), file) != NULL)
        answer.name[strcspn(answer.name, "\n")] = '\0';
    fclose(file);
}

/* Bit by bit, from signal 1; 0 if the thread has ended. */
static unsigned long long blocked_by(pid_t id)
{
    FILE *file = open_of(id, "status");
    unsigned long long mask = 0;
    char line[256];

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "SigBlk: %llx", &mask) == 1)
            break;
    fclose(file);
    return mask;
}

/* The last number of the line is the instruction behind the system call; a thread that runs has none. */
static void read_place(pid_t id)
{
    FILE *file = open_of(id, "syscall");
    char line[256] = "";
    const char *last;

    if (file == NULL)
        return;
    if (fgets(line, sizeof(line), file) != NULL && (last = strrchr(line, ' ')) != NULL &&
        strncmp(last, " 0x", 3) == 0) {
        answer.frames[0] = (void *)(uintptr_t)strtoull(last, NULL, 16);
        answer.count = 1;
    }
    fclose(file);
}

static bool has(unsigned long long mask, int number)
{
    return (mask >> (number - 1) & 1) != 0;
}

/* A thread blocks all signals while it starts. The host's own never block those of faults, and are not waited
 * for. */
static bool still_blocks(pid_t id, int number, unsigned *left_ms)
{
    unsigned long long mask = blocked_by(id);

    for (unsigned waited = 0; has(mask, number) && has(mask, SIGSEGV); waited++) {
        if (waited == STARTING_MS_MAX || *left_ms == 0)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        *left_ms -= 1;
        mask = blocked_by(id);
    }
    return has(mask, number);
}

/* One that has begun to answer is waited for, because it writes where the next would. */
static void ask(int number, unsigned *left_ms)
{
    int id = answer.id;
    unsigned yields = 0;

    atomic_store(&given, 0);
    atomic_store(&wanted, id);
    if (number == 0 || still_blocks(answer.id, number, left_ms) ||
        syscall(SYS_tgkill, getpid(), answer.id, number) != 0) {
        atomic_store(&wanted, 0);
        return;
    }
    while (atomic_load(&given) != answer.id) {
        if (yields++ < YIELDS_MAX) {
            sched_yield();
            continue;
        }
        if (*left_ms == 0 && atomic_compare_exchange_strong(&wanted, &id, 0))
            return;
        id = answer.id;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        *left_ms -= *left_ms > 0;
    }
}

static void take_own(void)
{
    answer.count = frames_take(answer.frames, THREADS_FRAMES_MAX);
    answer.is_whole = answer.count < THREADS_FRAMES_MAX;
    answer.start = c_library_start_routine();
}

void threads_each(unsigned wait_ms, bool (*on_thread)(void *context, const struct thread_stack *stack),
                  void *context)
{
    int number = threads_take_signal(on_signal);
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *entry;
    bool goes_on = true;

    c_library_prepare();
    if (folder == NULL)
        return;
    while (goes_on && (entry = readdir(folder)) != NULL) {
        answer.id = (pid_t)strtol(entry->d_name, NULL, 10);
        answer.count = 0;
        answer.is_whole = false;
        answer.start = NULL;
        if (answer.id <= 0)
            continue;
        read_name(answer.id);
        if (answer.id == own_id())
            take_own();
        else
            ask(number, &wait_ms);
        if (answer.count == 0)
            read_place(answer.id);
        goes_on = on_thread(context, &answer);
    }
    closedir(folder);
}
