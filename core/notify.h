/* SPDX-License-Identifier: Apache-2.0 */
/* Notifies the service manager by the protocol of sd_notify(3). Without one, everything here does nothing.
 * Nothing here waits: what a manager that does not read has no room for is queued, of each state the latest,
 * and sent when it reads again. From the loop's thread. */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

/** As many descriptors as one datagram takes here; the kernel's own limit is 253. */
#define NOTIFY_FDS_MAX 64

/**
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them from the environment, so that no child
 * can notify in the daemon's name. Before any thread is started.
 */
void notify_start(void);
/** Only removes them: for a command that runs plugin code without being the daemon. */
void notify_hide(void);

/** From now on what is queued goes out as soon as the manager reads. */
void notify_run(uv_loop_t *loop);
/** Leaves the loop, which must still run the closing of a handle. What cannot be sent at once is lost. */
void notify_stop(void);

/** `status` is one line for `systemctl status`. */
void notify_ready(const char *status);
/** A reload begins; it ends with notify_ready. */
void notify_reloading(void);
void notify_stopping(void);
void notify_status(const char *status);

/** Asks for `timeout_us` more from now on, while a start or a stop is under way. */
void notify_extend_timeout(uint64_t timeout_us);

/** How often the service manager wants notify_watchdog() at least, in microseconds; 0: never. */
uint64_t notify_watchdog_us(void);
/** From any thread after notify_start(). */
void notify_watchdog(void);

/**
 * Sends lines of NAME=VALUE with descriptors, as FDSTORE=1 does. The descriptors stay the
 * caller's. FDSTOREREMOVE=1 takes back what is still queued under the same FDNAME.
 *
 * @return 0 if it is sent or queued; -ENOTCONN without a service manager, -E2BIG above NOTIFY_FDS_MAX,
 * -EAGAIN if the queue is full, or the errors of connect, sendmsg and of copying a descriptor.
 */
int notify_send(const char *lines, const int *fds, size_t fd_count);

#endif
