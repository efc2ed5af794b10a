/* SPDX-License-Identifier: Apache-2.0 */
/* Raises the soft limit of open files for the daemon alone: the usual 1024 is for programs that use
 * select(2). */
#include "open_files.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include <core/base/log.h>

/* Some walk over all descriptors that there may be, and a hard limit may be as good as none. */
#define LIMIT_MAX (1024 * 1024)

static struct rlimit before;

static void restore(void)
{
    int saved_errno = errno;

    setrlimit(RLIMIT_NOFILE, &before);
    errno = saved_errno;
}

void open_files_raise_limit(void)
{
    struct rlimit raised;

    if (getrlimit(RLIMIT_NOFILE, &before) != 0)
        return;
    raised = before;
    raised.rlim_cur = before.rlim_max < LIMIT_MAX ? before.rlim_max : LIMIT_MAX;
    if (raised.rlim_cur <= before.rlim_cur)
        return;
    if (pthread_atfork(NULL, NULL, restore) != 0 || setrlimit(RLIMIT_NOFILE, &raised) != 0)
        log_line(BERTH_LOG_WARN, "cannot raise the limit of open files from %ju to %ju: %s",
                 (uintmax_t)before.rlim_cur, (uintmax_t)raised.rlim_cur, strerror(errno));
}
