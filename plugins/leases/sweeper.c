/* SPDX-License-Identifier: Apache-2.0 */
/* Removes expired leases. */
#include "sweeper.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "record.h"

static const struct berth_store_bytes no_key = {"", 0};

static enum berth_code remove_lease(struct sweeper *sweeper, struct berth_store_txn *txn,
                                    const struct index_entry *entry, struct berth_error *err)
{
    struct berth_store_bytes key = berth_store_text(entry->id);
    struct berth_store_bytes record;
    char bucket[BERTH_STORE_BUCKET_MAX + 1];
    struct expiry expiry;
    enum berth_code code;

    snprintf(bucket, sizeof(bucket), "leases/%s", entry->namespace_name);
    code = sweeper->store->get(txn, bucket, key, &record, err);
    if (code == BERTH_NOT_FOUND)
        return BERTH_OK;
    if (code != BERTH_OK && code != BERTH_DATA_LOSS)
        return code;
    /* It may be a newer lease of that name, created after the indexed one was removed with its namespace. */
    if (code == BERTH_OK && (!record_expiry(record, &expiry) || expiry_compare(&expiry, &sweeper->until) > 0))
        return BERTH_OK;
    sweeper->damaged += code == BERTH_DATA_LOSS;
    sweeper->removed++;
    return sweeper->store->remove(txn, bucket, key, err);
}

/* An index entry consists of its key only. */
static enum berth_code repair(struct sweeper *sweeper, struct berth_store_txn *txn,
                              struct berth_store_bytes key, struct berth_error *err)
{
    enum berth_code code = sweeper->store->remove(txn, INDEX_BUCKET, key, err);

    return code == BERTH_OK
               ? sweeper->store->put(txn, INDEX_BUCKET, key, (struct berth_store_bytes){"", 0}, err)
               : code;
}

/* The first of the index, if its time is over. */
static enum berth_code remove_first(struct sweeper *sweeper, struct berth_store_txn *txn, bool *ret_more,
                                    struct berth_error *err)
{
    struct berth_store_entry first;
    struct index_entry entry;
    enum berth_code code = sweeper->store->next(txn, INDEX_BUCKET, no_key, &first, err);
    bool is_entry;

    *ret_more = false;
    if (code == BERTH_DATA_LOSS && first.key.length > 0)
        code = repair(sweeper, txn, first.key, err);
    if (code != BERTH_OK)
        return code == BERTH_NOT_FOUND ? BERTH_OK : code;
    is_entry = index_read(first.key, &entry);
    if (is_entry && expiry_compare(&entry.expiry, &sweeper->until) > 0)
        return BERTH_OK;
    if (is_entry)
        code = remove_lease(sweeper, txn, &entry, err);
    if (code == BERTH_OK)
        code = sweeper->store->remove(txn, INDEX_BUCKET, first.key, err);
    *ret_more = true;
    return code;
}

static enum berth_code sweep(struct berth_store_update *update, struct berth_store_txn *txn,
                             struct berth_error *err)
{
    struct sweeper *sweeper = (struct sweeper *)update;
    enum berth_code code = BERTH_OK;
    bool more = true;

    sweeper->removed = sweeper->damaged = 0;
    for (size_t i = 0; i < sweeper->batch && code == BERTH_OK && more; i++)
        code = remove_first(sweeper, txn, &more, err);
    return code;
}

/* The alarm rings at a wall-clock time, and whenever the clock is set. A timer of the loop measures elapsed
 * time instead: it would be late by every jump of the clock and by the time that the machine was asleep. */
static void set_alarm_fd(const struct sweeper *sweeper, time_t seconds, long nanoseconds)
{
    const struct itimerspec time = {.it_value = {.tv_sec = seconds, .tv_nsec = nanoseconds}};

    timerfd_settime(sweeper->alarm_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &time, NULL);
}

/* A time in the past rings at once. */
static void set_alarm(const struct sweeper *sweeper, const struct expiry *time)
{
    /* A zero time would disarm the timer. */
    set_alarm_fd(sweeper, time->seconds > 0 ? (time_t)time->seconds : 1, (long)time->nanoseconds);
}

static void wait_until(struct sweeper *sweeper, const struct expiry *time)
{
    sweeper->waits = true;
    sweeper->next = *time;
    set_alarm(sweeper, time);
}

static void try_later(struct sweeper *sweeper, const char *why)
{
    struct expiry time = expiry_now();
    int64_t nanoseconds = time.nanoseconds + sweeper->retry_ns;

    berth_log(sweeper->host, BERTH_LOG_WARN, "cannot remove expired leases, retrying after sweep_retry: %s",
              why);
    time.seconds += nanoseconds / 1000000000;
    time.nanoseconds = (uint32_t)(nanoseconds % 1000000000);
    wait_until(sweeper, &time);
}

static enum berth_code find_next(struct sweeper *sweeper, struct expiry *ret_next, struct berth_error *err)
{
    struct berth_store_entry first;
    struct index_entry entry = {.expiry = {0}};
    struct berth_store_txn *txn;
    enum berth_code code = sweeper->store->begin(sweeper->store_instance, &txn, err);

    if (code != BERTH_OK)
        return code;
    code = sweeper->store->next(txn, INDEX_BUCKET, no_key, &first, err);
    if (code == BERTH_DATA_LOSS && first.key.length > 0)
        code = BERTH_OK;
    /* Malformed entries are removed along with expired ones. */
    if (code == BERTH_OK && !index_read(first.key, &entry))
        entry.expiry = (struct expiry){0};
    sweeper->store->end(txn);
    *ret_next = entry.expiry;
    return code;
}

static void look(struct sweeper *sweeper)
{
    struct expiry now = expiry_now();
    struct berth_error err;
    struct expiry next;
    enum berth_code code;

    if (sweeper->sweeps || sweeper->is_closing)
        return;
    sweeper->waits = false;
    set_alarm_fd(sweeper, 0, 0);
    code = find_next(sweeper, &next, &err);
    if (code == BERTH_NOT_FOUND)
        return;
    if (code != BERTH_OK) {
        try_later(sweeper, err.message);
    } else if (expiry_compare(&next, &now) > 0) {
        wait_until(sweeper, &next);
    } else {
        sweeper->sweeps = true;
        sweeper->until = now;
        sweeper->store->update(sweeper->store_instance, &sweeper->update);
    }
}

static void end_close(struct sweeper *sweeper)
{
    if (sweeper->alarm_is_closed && !sweeper->sweeps)
        sweeper->on_closed(sweeper);
}

static void on_swept(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct sweeper *sweeper = (struct sweeper *)update;

    sweeper->sweeps = false;
    if (code == BERTH_OK && sweeper->removed > 0)
        berth_log(sweeper->host, BERTH_LOG_DEBUG, "removed expired leases count=%zu", sweeper->removed);
    if (code == BERTH_OK && sweeper->damaged > 0)
        berth_log(sweeper->host, BERTH_LOG_WARN, "removed damaged expired leases count=%zu",
                  sweeper->damaged);
    if (sweeper->is_closing)
        end_close(sweeper);
    else if (code == BERTH_OK)
        look(sweeper);
    else
        try_later(sweeper, message);
}

static void on_ring(uv_poll_t *poll, int status, int events)
{
    struct sweeper *sweeper = poll->data;
    uint64_t count;

    /* ECANCELED: the clock was set. */
    if (read(sweeper->alarm_fd, &count, sizeof(count)) > 0 || errno == ECANCELED)
        look(sweeper);
}

static enum berth_code start_alarm(struct sweeper *sweeper, uv_loop_t *loop, struct berth_error *err)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    int error = fd < 0 ? -errno : uv_poll_init(loop, &sweeper->alarm, fd);

    if (error == 0) {
        sweeper->alarm_fd = fd;
        sweeper->alarm.data = sweeper;
        uv_poll_start(&sweeper->alarm, UV_READABLE, on_ring);
        return BERTH_OK;
    }
    if (fd >= 0)
        close(fd);
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot create a timer for leases that expire: %s",
                           uv_strerror(error));
}

void sweeper_hear(struct sweeper *sweeper, const struct expiry *expiry)
{
    if (sweeper->store == NULL || (sweeper->waits && expiry_compare(expiry, &sweeper->next) >= 0))
        return;
    look(sweeper);
}

static void on_change(void *context, const struct berth_store_change *change)
{
    struct index_entry entry;

    if (change->after.data != NULL && index_read(change->key, &entry))
        sweeper_hear(context, &entry.expiry);
}

/* Two writes for each lease. */
void sweeper_set(struct sweeper *sweeper, int64_t batch, int64_t retry_ns)
{
    uint64_t most = sweeper->store->limits(sweeper->store_instance)->max_writes / 2;

    sweeper->batch = (uint64_t)batch < most ? (size_t)batch : (size_t)most;
    sweeper->retry_ns = retry_ns;
}

enum berth_code sweeper_start(struct sweeper *sweeper, const struct sweeper_settings *settings,
                              struct berth_error *err)
{
    enum berth_code code = start_alarm(sweeper, settings->host->loop, err);

    if (code != BERTH_OK)
        return code;
    sweeper->update.change = sweep;
    sweeper->update.done = on_swept;
    sweeper->host = settings->host;
    sweeper->store = settings->store;
    sweeper->store_instance = settings->store_instance;
    sweeper_set(sweeper, settings->batch, settings->retry_ns);
    sweeper->watch = sweeper->store->watch(sweeper->store_instance, INDEX_BUCKET, on_change, sweeper);
    if (sweeper->watch == NULL)
        berth_log(sweeper->host, BERTH_LOG_WARN,
                  "no memory to watch the store; expired leases of other daemons are removed late");
    look(sweeper);
    return BERTH_OK;
}

static void on_alarm_closed(uv_handle_t *handle)
{
    struct sweeper *sweeper = handle->data;

    close(sweeper->alarm_fd);
    sweeper->alarm_is_closed = true;
    end_close(sweeper);
}

void sweeper_close(struct sweeper *sweeper, void (*on_closed)(struct sweeper *sweeper))
{
    sweeper->is_closing = true;
    sweeper->on_closed = on_closed;
    sweeper->store->unwatch(sweeper->store_instance, sweeper->watch);
    uv_close((uv_handle_t *)&sweeper->alarm, on_alarm_closed);
}
