/* SPDX-License-Identifier: Apache-2.0 */
/* What runs of an isolated plugin before its init: its check of its settings, and its prepare. */
#include "prepare.h"

#include <stdio.h>
#include <string.h>

#include <sdk/base/container_of.h>

struct checking {
    struct berth_check table;
    struct inside *inside;
    char reason[BERTH_ERROR_MAX];
};

static void on_problem(const struct berth_check *table, enum berth_log_level level, const char *path,
                       const char *text)
{
    struct checking *checking = CONTAINER_OF(table, struct checking, table);
    char line[BERTH_ERROR_MAX];

    snprintf(line, sizeof(line), "%.200s%s%.1000s", path != NULL ? path : "", path != NULL ? ": " : "", text);
    if (level == BERTH_LOG_ERROR && checking->reason[0] == '\0')
        memcpy(checking->reason, line, sizeof(line));
    else
        log_say(checking->inside, level, line);
}

bool prepare_check(struct inside *inside, char *ret_reason, size_t size)
{
    struct checking checking = {
        .table = {.size = sizeof(checking.table),
                  .uri = inside->table.uri,
                  .settings = inside->table.settings,
                  .problem = on_problem},
        .inside = inside,
    };

    if (!BERTH_HAS(inside->plugin, check))
        return true;
    inside->plugin->check(&checking.table);
    snprintf(ret_reason, size, "%s", checking.reason);
    return checking.reason[0] == '\0';
}

static struct inside *of_prepare(const struct berth_prepare *view)
{
    return CONTAINER_OF(view, struct inside, prepare.view);
}

static void prepare_log(const struct berth_prepare *view, enum berth_log_level level, const char *text)
{
    if ((int)level <= of_prepare(view)->start->log_level)
        log_say(of_prepare(view), level, text != NULL ? text : "(null)");
}

static enum berth_code prepare_root_dir(const struct berth_prepare *view, const char **ret_path,
                                        struct berth_error *err)
{
    *ret_path = of_prepare(view)->start->root;
    return BERTH_OK;
}

static enum berth_code prepare_state_dir(const struct berth_prepare *view, const char **ret_path,
                                         struct berth_error *err)
{
    *ret_path = of_prepare(view)->start->state;
    return BERTH_OK;
}

/* A daemon that no longer waits ends the process. */
static bool prepare_is_cancelled(const struct berth_prepare *view)
{
    return false;
}

static void run_prepare(void *data)
{
    struct inside *inside = data;

    inside->prepare.code =
        inside->plugin->prepare(&inside->prepare.view, &inside->prepare.result, &inside->prepare.error);
    uv_async_send(&inside->prepare.done);
}

static void on_prepared(uv_async_t *done)
{
    struct inside *inside = CONTAINER_OF(done, struct inside, prepare.done);

    uv_thread_join(&inside->prepare.thread);
    uv_close((uv_handle_t *)done, NULL);
    inside->prepare.on_done(inside);
}

void prepare_start(struct inside *inside, void (*on_done)(struct inside *inside))
{
    inside->prepare.on_done = on_done;
    inside->prepare.view = (struct berth_prepare){
        .size = sizeof(inside->prepare.view),
        .uri = inside->table.uri,
        .settings = inside->table.settings,
        .log = prepare_log,
        .root_dir = prepare_root_dir,
        .state_dir = prepare_state_dir,
        .is_cancelled = prepare_is_cancelled,
    };
    uv_async_init(&inside->process->loop, &inside->prepare.done, on_prepared);
    if (uv_thread_create(&inside->prepare.thread, run_prepare, inside) == 0)
        return;
    uv_close((uv_handle_t *)&inside->prepare.done, NULL);
    inside->prepare.code = berth_error_set(&inside->prepare.error, BERTH_RESOURCE_EXHAUSTED,
                                           "cannot create a thread for its prepare");
    on_done(inside);
}
