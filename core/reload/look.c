/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes a survey for a change, while the loop goes on. What runs stands in for files that have become bad.
 *
 * What the thread needs is gathered before it starts, and what it leads to is done after it has ended, both
 * on the loop's thread: the thread itself only reads files and what nobody changes, and writes to nothing but
 * the look.
 */
#include "look.h"

#include <stdlib.h>
#include <string.h>

#include <core/base/signal_stack.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "answer.h"
#include "pins.h"

/* What runs of a file. */
struct running_file {
    struct survey *from;
    const struct manifest *manifest;
};

struct look {
    struct reload *reload;
    struct asked *asked;
    uv_thread_t thread;
    atomic_bool is_cancelled;
    struct scan_pin *pins;
    size_t pin_count;
    /* Those of a first survey that had to be taken again without some of them. */
    struct scan_pin *first_pins;
    size_t first_pin_count;
    /* In the order of their start; the surveys are held. */
    struct running_file *running;
    size_t running_count;
    /* Those that stand in for their files; of `running`. */
    const struct running_file **used;
    size_t used_count;
    /* Could the daemon start with the survey? */
    struct survey *survey;
    bool is_good;
};

static bool add_running(void *context, const struct generation *generation)
{
    struct look *look = context;
    const struct manifest *manifest = generation->source.entry->plugin->manifest;
    struct survey *from = surveys_of(&look->reload->surveys, generation->source.entry);

    if (from == NULL || manifest->file == NULL || !registry_plugin_is_ready(generation->plugin))
        return true;
    look->running = memory_grow(look->running, look->running_count, sizeof(*look->running));
    look->running[look->running_count++] = (struct running_file){survey_hold(from), manifest};
    return true;
}

/*
 * A file that took the place of a module which runs, and cannot. The file that runs may itself be rejected,
 * because it has been revoked or others may write to it since: then it stops.
 */
static const struct manifest *find_standby(void *context, const struct scan_file *file)
{
    struct look *look = context;
    const struct running_file *running = look->running;
    const struct running_file *end = running + look->running_count;
    struct stat status;

    while (running < end && strcmp(running->manifest->path, file->shown) != 0)
        running++;
    if (running == end || stat(file->path, &status) != 0 ||
        verify_is_same_content(&status, &running->manifest->file->status))
        return NULL;
    look->used = memory_grow(look->used, look->used_count, sizeof(*look->used));
    look->used[look->used_count++] = running;
    return running->manifest;
}

/* How the daemon was started, or could have been. Borrows from `asked`. */
static struct settings_options find_options(const struct reload *reload, const struct asked *asked)
{
    const struct berth_change_start *start = asked->request.start;
    struct settings_options options = *reload->options.settings;

    if (start == NULL)
        return options;
    options.path = start->config != NULL ? start->config : options.path;
    options.root = start->root != NULL ? start->root : options.root;
    options.state = start->state != NULL ? start->state : options.state;
    options.lenient = start->is_lenient || options.lenient;
    if (start->plugin_dirs.count > 0) {
        options.plugin_dirs = start->plugin_dirs.items;
        options.plugin_dir_count = start->plugin_dirs.count;
    }
    return options;
}

static void take_survey(struct look *look)
{
    const struct settings_options options = find_options(look->reload, look->asked);
    const struct asked *asked = look->asked;
    const struct catalog_fallback fallback = {
        .find = find_standby,
        .context = look,
        .pins = look->pins,
        .pin_count = look->pin_count,
        .is_cancelled = &look->is_cancelled,
    };
    bool is_good;

    look->survey = survey_create(&options, &fallback, &is_good);
    if (!is_good || atomic_load(&look->is_cancelled) || !survey_check(look->survey))
        return;
    survey_plan_without(look->survey, asked->stopped.items, asked->stopped.count);
    look->is_good = survey_would_start(look->survey);
}

static void run_thread(void *context)
{
    struct look *look = context;

    signal_stack_begin();
    take_survey(look);
    signal_stack_end();
    uv_async_send(&look->reload->looked);
}

static void free_pins(struct scan_pin *pins, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(pins[i].objection);
    free(pins);
}

static void destroy(struct look *look)
{
    for (size_t i = 0; i < look->running_count; i++)
        survey_drop(look->running[i].from);
    free(look->running);
    free(look->used);
    free_pins(look->pins, look->pin_count);
    free_pins(look->first_pins, look->first_pin_count);
    free(look);
}

/* @return false: no thread could be started, and it is done already. */
static bool start(struct look *look)
{
    if (uv_thread_create(&look->thread, run_thread, look) == 0)
        return true;
    take_survey(look);
    return false;
}

/* Does the survey lack a file that is not held back after all? Then another one is wanted. */
static bool is_to_be_taken_again(struct look *look)
{
    struct asked *asked = look->asked;

    if (look->first_pins != NULL || !pins_judge(asked, look->pins, look->pin_count))
        return false;
    survey_drop(look->survey);
    look->survey = NULL;
    look->is_good = false;
    look->used_count = 0;
    look->first_pins = look->pins;
    look->first_pin_count = look->pin_count;
    look->pins = rollback_pins_for_scan(&asked->pins);
    look->pin_count = asked->pins.count;
    return true;
}

/* Hands over what came of it. */
static void finish(struct look *look)
{
    struct asked *asked = look->asked;
    bool is_second = look->first_pins != NULL;

    for (size_t i = 0; i < look->used_count; i++)
        survey_borrow(look->survey, look->used[i]->from, look->used[i]->manifest);
    if (asked->refusal == NULL)
        catalog_warn_of_pins(&look->survey->scan, is_second ? look->first_pins : look->pins,
                             is_second ? look->first_pin_count : look->pin_count);
    asked->survey = look->survey;
    asked->is_good = look->is_good;
    answer_problems(asked, look->survey);
    look->reload->look = NULL;
    destroy(look);
}

static void on_looked(uv_async_t *async)
{
    struct reload *reload = CONTAINER_OF(async, struct reload, looked);

    /* A late wake-up of one that was cancelled. */
    if (reload->look == NULL)
        return;
    uv_thread_join(&reload->look->thread);
    if (is_to_be_taken_again(reload->look) && start(reload->look))
        return;
    finish(reload->look);
    perform_go_on(reload->perform);
}

void look_init(struct reload *reload)
{
    uv_async_init(reload->options.loop, &reload->looked, on_looked);
    uv_unref((uv_handle_t *)&reload->looked);
}

bool look_begin(struct reload *reload, struct asked *asked)
{
    struct look *look = memory_allocate(1, sizeof(*look));

    look->reload = reload;
    look->asked = asked;
    look->pins = rollback_pins_for_scan(&asked->pins);
    look->pin_count = asked->pins.count;
    perform_each(reload->perform, add_running, look);
    reload->look = look;
    if (start(look) || (is_to_be_taken_again(look) && start(look)))
        return true;
    finish(look);
    return false;
}

void look_cancel(struct reload *reload, const struct asked *asked)
{
    struct look *look = reload->look;

    if (look == NULL || look->asked != asked)
        return;
    atomic_store(&look->is_cancelled, true);
    uv_thread_join(&look->thread);
    reload->look = NULL;
    survey_drop(look->survey);
    destroy(look);
}

void look_close(struct reload *reload)
{
    uv_close((uv_handle_t *)&reload->looked, NULL);
}
