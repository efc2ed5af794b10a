/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop that a plugin runs from inside a callback handles the events of all others on that plugin's stack,
 * and a loop that it stops handles none. Both are seen where the host has called the plugin; of what libuv
 * called directly nobody knows whose it is.
 */
#include "guard.h"

#include <stdio.h>

#include <core/base/misuse.h>

/* The loop's flag was set here. The loop clears it when it returns. */
static bool is_stopping;

/* @return false: no plugin runs. */
static bool blame(const char *function, const char *consequence)
{
    const struct running_thread *thread = running_this_thread();
    struct running_word word;
    char what[160];

    if (thread == NULL || !running_look(thread, &word))
        return false;
    snprintf(what, sizeof(what), "called %s on the daemon's loop in %s; %s", function,
             running_doing_name(word.doing), consequence);
    misuse_report(&(struct misuse){.plugin = word.owner, .what = what, .path = word.detail});
    return true;
}

/* Whatever runs the loop prepares to poll. The stop is ours, and is not blamed on who is called next. */
static void on_prepare(uv_prepare_t *prepare)
{
    is_stopping = blame("uv_run", "returning after one turn");
    if (is_stopping)
        uv_stop(prepare->loop);
}

void guard_init(struct guard *guard, uv_loop_t *loop)
{
    uv_prepare_init(loop, &guard->prepare);
    uv_prepare_start(&guard->prepare, on_prepare);
    uv_unref((uv_handle_t *)&guard->prepare);
}

void guard_close(struct guard *guard, uv_close_cb on_closed)
{
    uv_close((uv_handle_t *)&guard->prepare, on_closed);
}

void guard_leave(uv_loop_t *loop)
{
    if (loop->stop_flag == 0)
        is_stopping = false;
    else if (!is_stopping && blame("uv_stop", "ignored"))
        loop->stop_flag = 0;
}
