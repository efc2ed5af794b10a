/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares the surroundings before and after each step of a plugin. What changed during a step was that
 * plugin, unless a prepare ran at the same time; what changed between two steps may have been any.
 */
#include "tampering.h"

#include <stddef.h>

#include <core/base/log.h>
#include <core/base/running.h>
#include <sdk/base/surroundings.h>

static struct surroundings *surroundings;
/* Only the host's own code ran since the last look. */
static bool is_fresh;
/* Nothing of the plugin has run in this step. */
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
    surroundings_check(surroundings, has_ended ? on_change : on_earlier_change, (void *)word);
}

void tampering_watch(void)
{
    surroundings = surroundings_take();
    is_fresh = true;
    if (surroundings != NULL)
        running_watch_steps(on_step);
}

void tampering_note_turn(void)
{
    is_fresh = false;
}

void tampering_note_nothing_ran(void)
{
    is_quiet = true;
}

void tampering_end(void)
{
    running_watch_steps(NULL);
    surroundings_free(surroundings);
    surroundings = NULL;
}
