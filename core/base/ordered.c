/* SPDX-License-Identifier: Apache-2.0 */
/* Works on a list with several threads, and takes the results up in its order. */
#include "ordered.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

/* Fewer items are done before another thread has begun. */
#define ITEMS_PER_THREAD 64
#define HELPERS_MAX 3

struct work {
    const struct ordered *list;
    pthread_mutex_t lock;
    /* An item is done that is waited for; there is room for more. */
    pthread_cond_t is_done, has_room;

    /* All below under the lock. Items before `next` have begun, items before `taken` are taken up. */
    size_t next, taken;
    /* Of those between: by the item's number modulo the size. */
    bool done[ORDERED_AHEAD_MAX];
    bool is_over;
};

static bool may_begin(const struct work *work)
{
    const struct ordered *list = work->list;

    return work->next < list->count &&
           (list->is_cancelled == NULL || !atomic_load_explicit(list->is_cancelled, memory_order_relaxed));
}

/* With the lock, which is not held meanwhile. */
static void do_next(struct work *work)
{
    size_t item = work->next++;

    pthread_mutex_unlock(&work->lock);
    work->list->work(work->list->context, item);
    pthread_mutex_lock(&work->lock);
    work->done[item % ORDERED_AHEAD_MAX] = true;
    pthread_cond_signal(&work->is_done);
}

static void *help(void *context)
{
    struct work *work = context;

    pthread_mutex_lock(&work->lock);
    while (!work->is_over && may_begin(work)) {
        if (work->next - work->taken < ORDERED_AHEAD_MAX)
            do_next(work);
        else
            pthread_cond_wait(&work->has_room, &work->lock);
    }
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

/* Works itself while the item is with another thread. @return false: it was never begun. */
static bool await(struct work *work, size_t item)
{
    while (!work->done[item % ORDERED_AHEAD_MAX]) {
        if (may_begin(work) && work->next - work->taken < ORDERED_AHEAD_MAX)
            do_next(work);
        else if (item >= work->next)
            return false;
        else
            pthread_cond_wait(&work->is_done, &work->lock);
    }
    work->done[item % ORDERED_AHEAD_MAX] = false;
    return true;
}

static void take_up(struct work *work)
{
    const struct ordered *list = work->list;

    pthread_mutex_lock(&work->lock);
    while (work->taken < list->count && await(work, work->taken)) {
        pthread_mutex_unlock(&work->lock);
        list->take(list->context, work->taken);
        pthread_mutex_lock(&work->lock);
        work->taken++;
        pthread_cond_signal(&work->has_room);
    }
    work->is_over = true;
    pthread_cond_broadcast(&work->has_room);
    pthread_mutex_unlock(&work->lock);
}

static size_t count_helpers(size_t items)
{
    size_t wanted = items / ITEMS_PER_THREAD, processors;
    cpu_set_t set;

    if (wanted == 0 || sched_getaffinity(0, sizeof(set), &set) != 0)
        return 0;
    processors = (size_t)CPU_COUNT(&set);
    if (wanted > processors - 1)
        wanted = processors - 1;
    return wanted < HELPERS_MAX ? wanted : HELPERS_MAX;
}

size_t ordered_run(const struct ordered *list)
{
    struct work work = {.list = list,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .is_done = PTHREAD_COND_INITIALIZER,
                        .has_room = PTHREAD_COND_INITIALIZER};
    size_t helpers = count_helpers(list->count), started = 0;
    pthread_t threads[HELPERS_MAX];
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    sigset_t all, before;

    if (helpers > 0) {
        sigfillset(&all);
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
            sigdelset(&all, faults[i]);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (started < helpers && pthread_create(&threads[started], NULL, help, &work) == 0)
            started++;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    take_up(&work);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_cond_destroy(&work.is_done);
    pthread_cond_destroy(&work.has_room);
    pthread_mutex_destroy(&work.lock);
    return work.taken;
}
