/* SPDX-License-Identifier: Apache-2.0 */
/* Detects who runs or stops the loop, or changes the surroundings. */
#include "watch.h"

#include <stddef.h>
#include <stdio.h>

#include <core/base/log.h>
#include <core/base/misuse.h>
#include <sdk/base/surroundings.h>

/*
 * A loop that a plugin runs from inside a callback handles the events of all others on that plugin's stack,
 * and a loop that it stops handles none. Both are seen where the host has called the plugin; of what libuv
 * called directly nobody knows whose it is.
 */

/* NULL: anyone may stop it. */
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

/* Whether it was forgotten, or the callback runs the loop itself, shows only once it calls berth_leave. */
static void end_own_entries(void)
{
    struct running_word word;
    char what[160];

    while (running_is_own() && running_look(running_this_thread(), &word)) {
        snprintf(what, sizeof(what),
                 "called berth_enter(\"%.64s\"), but not berth_leave before the callback returned",
                 word.detail != NULL ? word.detail : "");
        misuse_report(&(struct misuse){.plugin = word.owner, .what = what});
        running_leave_own();
    }
}

static void on_leave(void)
{
    if (!running_is_loop())
        return;
    end_own_entries();
    if (loop->stop_flag == 0)
        is_stopping = false;
    else if (!is_stopping && !running_flag_was_set() && blame("uv_stop", "ignored"))
        loop->stop_flag = 0;
}

static void note_stop(void)
{
    misuse_report(&(struct misuse){
        .what = "a plugin called uv_stop on the daemon's loop in a callback that libuv called; ignored"});
}

void tampering_watch_loop(uv_loop_t *new_loop)
{
    loop = new_loop;
    running_watch_flag(&loop->stop_flag);
    running_watch_leave(on_leave);
}

void tampering_stop_loop(void)
{
    is_stopping = true;
    uv_stop(loop);
}

void tampering_note_return(void)
{
    if (!is_stopping)
        note_stop();
}

/*
 * The surroundings are compared before and after each step of a plugin. What changed during a step was that
 * plugin, unless a prepare ran at the same time; what changed between two steps may have been any.
 */

static struct surroundings *surroundings;
/* Only the host's own code ran since the last look. */
static bool is_fresh;
/* No code of the plugin has run in this step. */
static bool is_quiet;

static void on_change(void *context, const char *what, bool is_restored)
{
    const struct running_word *word = context;

    log_plugin(BERTH_LOG_WARN, word->owner->uri, "changed %s in %s%s%s", what,
               running_doing_name(word->doing),
               running_is_alone() ? "" : " (or a prepare running at the same time did)",
               is_restored ? "; restored" : "");
}

static void on_earlier_change(void *context, const char *what, bool is_restored)
{
    const struct running_word *word = context;

    log_line(BERTH_LOG_WARN, "a plugin changed %s between two steps, before %s of %s%s", what,
             running_doing_name(word->doing), word->owner->uri, is_restored ? "; restored" : "");
}

static void on_step(const struct running_word *word, bool has_ended)
{
    if (has_ended ? is_quiet : is_fresh) {
        is_quiet = false;
        return;
    }
    is_fresh = running_is_alone();
    lingering_note_step(word, has_ended);
    surroundings_check(surroundings, has_ended ? on_change : on_earlier_change, (void *)word);
}

void tampering_watch_process(void)
{
    surroundings = surroundings_take();
    is_fresh = true;
    lingering_watch();
    if (surroundings != NULL)
        running_watch_steps(on_step);
}

/* The stop is ours and must not be blamed on the plugin called next. */
void tampering_note_turn(void)
{
    if (loop == NULL)
        return;
    end_own_entries();
    if (loop->stop_flag == 0)
        is_stopping = false;
    if (blame("uv_run", "returning after one turn")) {
        tampering_stop_loop();
    } else if (loop->stop_flag != 0 && !is_stopping) {
        loop->stop_flag = 0;
        note_stop();
    }
    is_fresh = false;
}

void tampering_note_nothing_ran(void)
{
    is_quiet = true;
}

void tampering_end(void)
{
    running_watch_steps(NULL);
    running_watch_leave(NULL);
    running_watch_flag(NULL);
    loop = NULL;
    surroundings_free(surroundings);
    surroundings = NULL;
}
