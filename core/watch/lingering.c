/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that outlive the plugin that started them. A new one is noted with the step in which it appeared,
 * and at the end its stack tells more: the outermost function of a plugin is the one that it began with.
 */
#include "watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <core/base/frames.h>
#include <core/base/log.h>

/* Further ones are not known; further lines only counted. */
#define KNOWN_MAX 256
#define LINES_MAX 16
/* For the stacks of all of them together. */
#define STACKS_WAIT_MS 500
/* A thread that has been joined may be listed for a moment. */
#define END_TRIES 20
#define END_STEP_NS 10000000

#define TASKS "/proc/self/task"

static struct known {
    pid_t id;
    bool is_hosts;
    /* NULL: code that ran between two steps. */
    struct running_plugin *owner;
    enum running_doing doing;
} known[KNOWN_MAX];
static size_t known_count;
/* Links of the folder: two of its own, and one for each thread. 0: nobody looks. */
static nlink_t links;
/* Of the folder, held open: the kernel walks the path to it five times as long as it counts. -1: not open. */
static int tasks = -1;

static nlink_t count_links(void)
{
    struct stat status;

    /* A plugin may have closed it, or put something else in its place. */
    if (tasks < 0 || fstat(tasks, &status) != 0 || !S_ISDIR(status.st_mode))
        return stat(TASKS, &status) == 0 ? status.st_nlink : 0;
    return status.st_nlink;
}

static const struct known *find_known(pid_t id)
{
    for (size_t i = 0; i < known_count; i++)
        if (known[i].id == id)
            return &known[i];
    return NULL;
}

/* Notes all that are new, and that they are of this kind. */
static void note_new(struct known kind)
{
    DIR *folder = opendir(TASKS);
    const struct dirent *entry;

    while (folder != NULL && known_count < KNOWN_MAX && (entry = readdir(folder)) != NULL) {
        kind.id = (pid_t)strtol(entry->d_name, NULL, 10);
        if (kind.id > 0 && find_known(kind.id) == NULL)
            known[known_count++] = kind;
    }
    if (folder != NULL)
        closedir(folder);
}

/* The kernel uses their numbers again. */
static void forget_ended(void)
{
    char path[64];
    size_t kept = 0;

    for (size_t i = 0; i < known_count; i++) {
        snprintf(path, sizeof(path), TASKS "/%d", (int)known[i].id);
        if (access(path, F_OK) == 0)
            known[kept++] = known[i];
    }
    known_count = kept;
}

void lingering_watch(void)
{
    known_count = 0;
    if (tasks < 0)
        tasks = open(TASKS, O_PATH | O_DIRECTORY | O_CLOEXEC);
    note_new((struct known){.is_hosts = true});
    links = count_links();
}

bool lingering_is_hosts(pid_t id)
{
    const struct known *thread = find_known(id);

    return links > 0 && thread != NULL && thread->is_hosts;
}

void lingering_note_step(const struct running_word *word, bool has_ended)
{
    nlink_t count = links > 0 ? count_links() : 0;

    if (count == links)
        return;
    links = count;
    forget_ended();
    /* While another thread is in a prepare, it may be of that plugin. */
    if (has_ended && running_is_alone())
        note_new((struct known){.owner = word->owner, .doing = word->doing});
    else
        note_new((struct known){.owner = NULL});
}

static struct running_plugin *find_owner(const struct thread_stack *stack, const void **ret_frame)
{
    struct running_plugin *owner = NULL, *found;
    const char *path;
    uintptr_t offset;

    for (size_t i = 0; i < stack->count; i++)
        if (frames_find_file(stack->frames[i], &path, &offset) &&
            (found = running_find_by_file(path, NULL)) != NULL) {
            owner = found;
            *ret_frame = stack->frames[i];
        }
    return owner;
}

struct report {
    bool have_all_ended;
    size_t count;
};

static bool tell(void *context, const struct thread_stack *stack)
{
    struct report *report = context;
    const struct known *thread = find_known(stack->id);
    const void *frame = NULL;
    struct running_plugin *owner;
    char place[192] = "", step[64] = "";

    if (stack->id == getpid() || (thread != NULL && thread->is_hosts))
        return true;
    owner = find_owner(stack, &frame);
    if (owner != NULL)
        frames_describe(frame, place, sizeof(place));
    else if (!report->have_all_ended)
        return true;
    else if (thread != NULL)
        owner = thread->owner;
    if (report->count++ >= LINES_MAX)
        return true;
    if (thread != NULL && thread->owner != NULL && thread->owner == owner)
        snprintf(step, sizeof(step), " since %s", running_doing_name(thread->doing));
    log_plugin(BERTH_LOG_WARN, owner != NULL ? owner->uri : NULL, "left a thread running%s: %s%s%s", step,
               stack->name, place[0] != '\0' ? ", " : "", place);
    return true;
}

static bool is_any(void)
{
    size_t hosts = 0;

    forget_ended();
    for (size_t i = 0; i < known_count; i++)
        hosts += known[i].is_hosts;
    return count_links() > 2 + hosts;
}

void lingering_report(bool have_all_ended)
{
    const struct timespec pause = {.tv_nsec = END_STEP_NS};
    struct report report = {.have_all_ended = have_all_ended};

    if (links == 0)
        return;
    for (int i = 0; have_all_ended && is_any() && i < END_TRIES; i++)
        nanosleep(&pause, NULL);
    if (is_any())
        threads_each(STACKS_WAIT_MS, tell, &report);
    if (report.count > LINES_MAX)
        log_line(BERTH_LOG_WARN, "%zu more threads were left running", report.count - LINES_MAX);
    links = 0;
}
