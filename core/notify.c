/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the service manager how the daemon fares. */
#include "notify.h"

#include <systemd/sd-daemon.h>

void notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1\nSTATUS=Stopping.");
}
