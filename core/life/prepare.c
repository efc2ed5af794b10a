/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for blocking work. An abandoned job keeps its thread, and another thread replaces it. */
#include "prepare.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <core/base/log.h>
#include <core/base/signal_stack.h>
#include <sdk/base/container_of.h>

struct prepare_thread {
    uv_thread_t id;
    struct prepare_thread *next;
};

/* One list of jobs, first in, first out. */
struct queue {
    struct prepare_job *first, **end;
    size_t count;
};

struct prepare_pool {
    uv_async_t wake_loop;
    uv_mutex_t lock;
    uv_cond_t wake_threads;

    /* All below under the lock. */
    struct queue waiting;
    /* Jobs with news for the loop. */
    struct prepare_job *told_first, **told_end;
    struct prepare_thread *threads;
    /* Threads: maximum, running, waiting for work, stuck in an abandoned job. */
    unsigned limit, count, idle, stuck;
    size_t running;
    bool is_closing;

    void (*on_closed)(void *context);
    void *context;
};

static struct prepare_job *of_view(const struct berth_prepare *view)
{
    return CONTAINER_OF(view, struct prepare_job, view);
}

static void view_log(const struct berth_prepare *view, enum berth_log_level level, const char *text)
{
    log_write(level, view->uri, text != NULL ? text : "(null)");
}

static enum berth_code view_root_dir(const struct berth_prepare *view, const char **ret_path,
                                     struct berth_error *err)
{
    return folder_get(&of_view(view)->root, ret_path, err);
}

static enum berth_code view_state_dir(const struct berth_prepare *view, const char **ret_path,
                                      struct berth_error *err)
{
    return folder_get(&of_view(view)->state, ret_path, err);
}

static bool view_is_cancelled(const struct berth_prepare *view)
{
    return atomic_load(&of_view(view)->is_cancelled);
}

static void fill_view(struct prepare_job *job)
{
    job->view = (struct berth_prepare){
        .size = sizeof(job->view),
        .uri = job->uri,
        .settings = job->settings,
        .log = view_log,
        .root_dir = view_root_dir,
        .state_dir = view_state_dir,
        .is_cancelled = view_is_cancelled,
    };
}

/* Under the lock. A job with two pieces of news before the next turn of the loop is queued once. */
static void tell(struct prepare_pool *pool, struct prepare_job *job)
{
    if (!job->is_told) {
        job->is_told = true;
        job->next_told = NULL;
        *pool->told_end = job;
        pool->told_end = &job->next_told;
    }
    uv_async_send(&pool->wake_loop);
}

static void discard(struct prepare_job *job)
{
    if (job->code == BERTH_OK && job->prepared != NULL && BERTH_HAS(job->table, discard)) {
        running_enter(job->running, RUNNING_DISCARD, NULL);
        job->table->discard(job->prepared);
        running_leave();
    }
    job->prepared = NULL;
}

/* Under the lock, which is released while the plugin's code runs. */
static void end_work(struct prepare_pool *pool, struct prepare_job *job)
{
    if (job->is_abandoned) {
        uv_mutex_unlock(&pool->lock);
        discard(job);
        uv_mutex_lock(&pool->lock);
        pool->stuck--;
    }
    pool->running--;
    job->place = PREPARE_ENDED;
    tell(pool, job);
}

/* The plugin ended this thread. It is still joined; the loop starts another if more is to do. */
static void on_thread_ended(void *argument)
{
    struct prepare_job *job = argument;
    struct prepare_pool *pool = job->pool;

    running_thread_end();
    signal_stack_end();
    job->code = berth_error_set(&job->error, BERTH_INTERNAL, "prepare ended its thread with pthread_exit()");
    job->ended_ns = uv_hrtime();
    uv_mutex_lock(&pool->lock);
    pool->count--;
    end_work(pool, job);
    uv_mutex_unlock(&pool->lock);
}

static void run(struct prepare_job *job)
{
    void *prepared = NULL;

    job->begun_ns = uv_hrtime();
    job->error.message[0] = '\0';
    running_enter(job->running, RUNNING_PREPARE, NULL);
    pthread_cleanup_push(on_thread_ended, job);
    job->code = job->table->prepare(&job->view, &prepared, &job->error);
    pthread_cleanup_pop(0);
    running_leave();
    job->error.message[sizeof(job->error.message) - 1] = '\0';
    job->prepared = job->code == BERTH_OK ? prepared : NULL;
    job->ended_ns = uv_hrtime();
}

/* Under the lock, which is released while the plugin's code runs. */
static void work(struct prepare_pool *pool, struct prepare_job *job)
{
    job->place = PREPARE_RUNNING;
    pool->running++;
    tell(pool, job);
    uv_mutex_unlock(&pool->lock);
    run(job);
    uv_mutex_lock(&pool->lock);
    end_work(pool, job);
}

static struct prepare_job *take(struct prepare_pool *pool)
{
    struct prepare_job *job = pool->waiting.first;

    pool->waiting.first = job->next;
    if (pool->waiting.first == NULL)
        pool->waiting.end = &pool->waiting.first;
    pool->waiting.count--;
    return job;
}

/* Under the lock. */
static bool is_surplus(const struct prepare_pool *pool)
{
    return pool->count - pool->stuck > pool->limit;
}

static void thread_main(void *argument)
{
    struct prepare_pool *pool = argument;
    struct running_thread running = {0};

    running_thread_begin(&running, false);
    signal_stack_begin();
    uv_mutex_lock(&pool->lock);
    while (!pool->is_closing && !is_surplus(pool)) {
        if (pool->waiting.first != NULL) {
            work(pool, take(pool));
            continue;
        }
        pool->idle++;
        uv_cond_wait(&pool->wake_threads, &pool->lock);
        pool->idle--;
    }
    pool->count--;
    uv_mutex_unlock(&pool->lock);
    signal_stack_end();
    running_thread_end();
}

/* Under the lock. */
static void end_early(struct prepare_pool *pool, struct prepare_job *job, enum berth_code code,
                      const char *why)
{
    job->place = PREPARE_ENDED;
    job->code = berth_error_set(&job->error, code, "%s", why);
    tell(pool, job);
}

static bool start_thread(struct prepare_pool *pool)
{
    struct prepare_thread *thread = malloc(sizeof(*thread));

    if (thread == NULL || uv_thread_create(&thread->id, thread_main, pool) != 0) {
        free(thread);
        return false;
    }
    thread->next = pool->threads;
    pool->threads = thread;
    pool->count++;
    return true;
}

/* Under the lock. If no thread can be started, the existing ones do the work. */
static void staff(struct prepare_pool *pool)
{
    uv_cond_signal(&pool->wake_threads);
    if (pool->waiting.count <= pool->idle || pool->count - pool->stuck >= pool->limit || start_thread(pool) ||
        pool->count > pool->stuck)
        return;
    while (pool->waiting.first != NULL)
        end_early(pool, take(pool), BERTH_RESOURCE_EXHAUSTED, "cannot start a thread for prepare");
}

/* A job and its news, read together: a job that has ended is never queued again. */
static struct prepare_job *take_told(struct prepare_pool *pool, bool *ret_has_ended)
{
    struct prepare_job *job;

    uv_mutex_lock(&pool->lock);
    job = pool->told_first;
    if (job != NULL) {
        pool->told_first = job->next_told;
        if (pool->told_first == NULL)
            pool->told_end = &pool->told_first;
        job->is_told = false;
        *ret_has_ended = job->place == PREPARE_ENDED;
    }
    uv_mutex_unlock(&pool->lock);
    return job;
}

static void deliver(struct prepare_job *job, bool has_ended)
{
    if (!job->begun_is_told && !job->is_abandoned) {
        job->begun_is_told = true;
        job->on_begun(job);
    }
    if (!has_ended)
        return;
    if (job->is_abandoned)
        discard(job);
    folder_finish(&job->root);
    folder_finish(&job->state);
    job->on_ended(job);
}

static void on_wake(uv_async_t *async)
{
    struct prepare_pool *pool = async->data;
    struct prepare_job *job;
    bool has_ended;

    while ((job = take_told(pool, &has_ended)) != NULL)
        deliver(job, has_ended);
    uv_mutex_lock(&pool->lock);
    if (pool->waiting.first != NULL)
        staff(pool);
    uv_mutex_unlock(&pool->lock);
}

struct prepare_pool *prepare_pool_create(uv_loop_t *loop, unsigned threads)
{
    struct prepare_pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return NULL;
    if (uv_async_init(loop, &pool->wake_loop, on_wake) != 0) {
        free(pool);
        return NULL;
    }
    pool->wake_loop.data = pool;
    pool->limit = threads > 0 ? threads : 1;
    pool->waiting.end = &pool->waiting.first;
    pool->told_end = &pool->told_first;
    if (uv_mutex_init(&pool->lock) != 0 || uv_cond_init(&pool->wake_threads) != 0)
        abort();
    return pool;
}

void prepare_pool_limit(struct prepare_pool *pool, unsigned threads)
{
    uv_mutex_lock(&pool->lock);
    pool->limit = threads > 0 ? threads : 1;
    uv_cond_broadcast(&pool->wake_threads);
    for (size_t i = pool->waiting.count; i > 0 && pool->waiting.first != NULL; i--)
        staff(pool);
    uv_mutex_unlock(&pool->lock);
}

void prepare_submit(struct prepare_pool *pool, struct prepare_job *job)
{
    job->pool = pool;
    job->next = NULL;
    job->place = PREPARE_QUEUED;
    fill_view(job);
    uv_mutex_lock(&pool->lock);
    *pool->waiting.end = job;
    pool->waiting.end = &job->next;
    pool->waiting.count++;
    staff(pool);
    uv_mutex_unlock(&pool->lock);
}

/* Under the lock. */
static void leave_queue(struct prepare_pool *pool, struct prepare_job *job)
{
    struct prepare_job **place = &pool->waiting.first;

    while (*place != job)
        place = &(*place)->next;
    *place = job->next;
    if (*place == NULL)
        pool->waiting.end = place;
    pool->waiting.count--;
}

bool prepare_withdraw(struct prepare_job *job)
{
    bool is_queued;

    uv_mutex_lock(&job->pool->lock);
    is_queued = job->place == PREPARE_QUEUED;
    if (is_queued)
        leave_queue(job->pool, job);
    uv_mutex_unlock(&job->pool->lock);
    return is_queued;
}

void prepare_abandon(struct prepare_job *job)
{
    struct prepare_pool *pool = job->pool;

    atomic_store(&job->is_cancelled, true);
    uv_mutex_lock(&pool->lock);
    if (!job->is_abandoned) {
        job->is_abandoned = true;
        if (job->place == PREPARE_QUEUED) {
            leave_queue(pool, job);
            end_early(pool, job, BERTH_CANCELLED, "abandoned before it began");
        } else if (job->place == PREPARE_RUNNING) {
            pool->stuck++;
            staff(pool);
        }
    }
    uv_mutex_unlock(&pool->lock);
}

void prepare_cancel(struct prepare_job *job)
{
    atomic_store(&job->is_cancelled, true);
}

static void join_threads(struct prepare_pool *pool)
{
    while (pool->threads != NULL) {
        struct prepare_thread *thread = pool->threads;

        pool->threads = thread->next;
        uv_thread_join(&thread->id);
        free(thread);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct prepare_pool *pool = handle->data;
    void (*on_closed)(void *context) = pool->on_closed;
    void *context = pool->context;

    uv_cond_destroy(&pool->wake_threads);
    uv_mutex_destroy(&pool->lock);
    free(pool);
    on_closed(context);
}

bool prepare_pool_close(struct prepare_pool *pool, void (*on_closed)(void *context), void *context)
{
    bool is_stuck;

    uv_mutex_lock(&pool->lock);
    pool->is_closing = true;
    is_stuck = pool->running > 0;
    uv_cond_broadcast(&pool->wake_threads);
    uv_mutex_unlock(&pool->lock);
    if (is_stuck)
        return false;
    join_threads(pool);
    pool->on_closed = on_closed;
    pool->context = context;
    uv_close((uv_handle_t *)&pool->wake_loop, on_handle_closed);
    return true;
}
