/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings at a time of the day, and whenever the clock is set. A timer of the loop would count the time that
 * passes instead: it is late by every jump of the clock, and by all the time that the machine slept.
 */
#include "alarm.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct alarm *alarm = (struct alarm *)poll;
    uint64_t count;

    /* ECANCELED: the clock was set. */
    if (read(alarm->fd, &count, sizeof(count)) > 0 || errno == ECANCELED)
        alarm->on_ring(alarm);
}

enum berth_code alarm_init(struct alarm *alarm, uv_loop_t *loop, void (*on_ring)(struct alarm *alarm),
                           struct berth_error *err)
{
    int error = 0;

    alarm->on_ring = on_ring;
    alarm->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (alarm->fd < 0)
        error = -errno;
    else
        error = uv_poll_init(loop, &alarm->poll, alarm->fd);
    if (error == 0) {
        uv_poll_start(&alarm->poll, UV_READABLE, on_readable);
        return BERTH_OK;
    }
    if (alarm->fd >= 0)
        close(alarm->fd);
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no timer for the leases that expire: %s",
                           uv_strerror(error));
}

static void set(struct alarm *alarm, time_t seconds, long nanoseconds)
{
    const struct itimerspec time = {.it_value = {.tv_sec = seconds, .tv_nsec = nanoseconds}};

    timerfd_settime(alarm->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &time, NULL);
}

void alarm_set(struct alarm *alarm, const struct expiry *time)
{
    /* No time at all would mean never. */
    set(alarm, time->seconds > 0 ? (time_t)time->seconds : 1, (long)time->nanoseconds);
}

void alarm_unset(struct alarm *alarm)
{
    set(alarm, 0, 0);
}

static void on_closed(uv_handle_t *handle)
{
    struct alarm *alarm = (struct alarm *)handle;

    close(alarm->fd);
    alarm->on_closed(alarm);
}

void alarm_close(struct alarm *alarm, void (*closed)(struct alarm *alarm))
{
    alarm->on_closed = closed;
    uv_close((uv_handle_t *)&alarm->poll, on_closed);
}
