/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the service manager how the daemon fares (sd_notify(3)); without one this does nothing. */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

/** `status` is one line for `systemctl status`. */
void notify_ready(const char *status);
void notify_stopping(void);

#endif
