/* SPDX-License-Identifier: Apache-2.0 */
/* Rings at a time of the day, and whenever the clock is set: then too it may be that time. */
#ifndef LEASES_ALARM_H
#define LEASES_ALARM_H

#include <uv.h>

#include <berth/error.h>

#include "expiry.h"

struct alarm {
    uv_poll_t poll;
    int fd;
    void (*on_ring)(struct alarm *alarm);
    void (*on_closed)(struct alarm *alarm);
};

/** @param on_ring  from the top level of the loop; set it anew there. */
enum berth_code alarm_init(struct alarm *alarm, uv_loop_t *loop, void (*on_ring)(struct alarm *alarm),
                           struct berth_error *err);
/** One time; a later call replaces it. A time that has passed: at once. */
void alarm_set(struct alarm *alarm, const struct expiry *time);
void alarm_unset(struct alarm *alarm);
/** Of one that was initialised. */
void alarm_close(struct alarm *alarm, void (*on_closed)(struct alarm *alarm));

#endif
