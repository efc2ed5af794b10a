/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the log and the service manager what a start or a stop is waiting for. */
#include "progress.h"

#include <inttypes.h>
#include <string.h>

#include <core/base/log.h>

#include "notify.h"

#define INTERVAL_MS 2000
/* Several intervals, so that a loop that is briefly busy is not taken for a hanging one. */
#define EXTENSION_US (5 * INTERVAL_MS * UINT64_C(1000))

static void add_name(void *context, const char *uri, const char *step)
{
    log_names_add(context, "%s of %s", step, uri);
}

/* If the loop hangs in a plugin, this does not run and the service manager's own timeout applies. */
static void on_timer(uv_timer_t *timer)
{
    struct progress *progress = timer->data;
    struct log_names waiting = {0};
    char calls[512], status[sizeof(progress->told)];

    life_each_pending(progress->life, add_name, &waiting);
    if (waiting.count == 0)
        return;
    notify_extend_timeout(EXTENSION_US);
    router_describe_calls(progress->router, NULL, calls, sizeof(calls));
    snprintf(status, sizeof(status), "%s: waiting for %s%s%s", progress->what, log_names_text(&waiting),
             calls[0] != '\0' ? "; " : "", calls);
    notify_status(status);
    if (strcmp(status, progress->told) == 0)
        return;
    memcpy(progress->told, status, sizeof(status));
    log_line(BERTH_LOG_INFO, "%s", status);
}

void progress_init(struct progress *progress, uv_loop_t *loop)
{
    uv_timer_init(loop, &progress->timer);
    progress->timer.data = progress;
}

void progress_begin(struct progress *progress, const char *what, const struct life *life,
                    const struct router *router)
{
    progress->what = what;
    progress->life = life;
    progress->router = router;
    progress->told[0] = '\0';
    uv_timer_start(&progress->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
}

void progress_end(struct progress *progress)
{
    uv_timer_stop(&progress->timer);
}

void progress_finish(struct progress *progress)
{
    uv_close((uv_handle_t *)&progress->timer, NULL);
}
