/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop that a plugin runs from inside a callback handles the events of all others on that plugin's stack,
 * and a loop that it stops handles none. Both are seen where the host has called the plugin; of what libuv
 * called directly nobody knows whose it is.
 */
#include "guard.h"

#include <stdio.h>

#include <core/base/misuse.h>

static uv_loop_t *loop;
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

static void on_leave(void)
{
    if (!running_is_loop())
        return;
    if (loop->stop_flag == 0)
        is_stopping = false;
    else if (!is_stopping && blame("uv_stop", "ignored"))
        loop->stop_flag = 0;
}

void guard_watch(uv_loop_t *new_loop)
{
    loop = new_loop;
    running_watch_leave(on_leave);
}

/* The stop is ours, and is not blamed on who is called next. */
void guard_note_turn(void)
{
    is_stopping = blame("uv_run", "returning after one turn");
    if (is_stopping)
        uv_stop(loop);
}

void guard_end(void)
{
    running_watch_leave(NULL);
}
