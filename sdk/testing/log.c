/* SPDX-License-Identifier: Apache-2.0 */
/* The log: the lines that a test sees, those who follow them, and the levels. */
#include <stdlib.h>
#include <string.h>

#include "fake.h"

/* Lines come from any thread; there is one host at a time. */
static _Atomic(const struct log_tap *) tap;
static atomic_int tap_level = -1;

static void use_tap(const struct log_tap *new_tap, int level)
{
    atomic_store(&tap, new_tap);
    atomic_store(&tap_level, level);
}

/* Is the line for the test, not only for followers of the log? */
static bool is_logged(struct berth_testing *testing, enum berth_log_level level)
{
    int own = atomic_load(&testing->own_level) - 1;

    return (int)level <= (own >= 0 ? own : atomic_load(&testing->daemon_level));
}

bool fake_logs(const struct berth_host *host, enum berth_log_level level)
{
    return is_logged(fake_of_inspect(host->inspect), level) || (int)level <= atomic_load(&tap_level);
}

void fake_log(struct berth_testing *testing, enum berth_log_level level, const char *text)
{
    const struct log_tap *reader = atomic_load(&tap);
    bool is_for_log = is_logged(testing, level);

    if (is_for_log) {
        pthread_mutex_lock(&testing->lines_lock);
        testing->lines = memory_grow(testing->lines, testing->line_count, sizeof(*testing->lines));
        testing->lines[testing->line_count++] = (struct fake_line){.level = level, .text = memory_copy(text)};
        pthread_mutex_unlock(&testing->lines_lock);
    }
    if (reader != NULL)
        reader->on_line(reader->context, level, is_for_log, testing->description->uri, text);
}

static bool is_following(struct berth_testing *testing, const struct berth_log_follower *follower,
                         const char *function)
{
    bool is_known = followers_has(&testing->followers, follower);

    if (!is_known)
        fake_fault(testing, "called %s for a follower of the log that is not there", function);
    return is_known;
}

static struct berth_log_follower *follow_log(const struct berth_inspect *inspect,
                                             const struct berth_log_filter *filter,
                                             void (*on_lines)(void *context), void *context)
{
    struct berth_testing *testing = fake_of_inspect(inspect);

    if (!fake_is_on_loop(testing, "inspect->follow_log", NULL))
        return NULL;
    return followers_add(&testing->followers, filter, on_lines, context);
}

static bool next_line(const struct berth_inspect *inspect, struct berth_log_follower *follower,
                      struct berth_log_line *ret_line)
{
    struct berth_testing *testing = fake_of_inspect(inspect);

    if (!fake_is_on_loop(testing, "inspect->next_line", NULL) ||
        !is_following(testing, follower, "inspect->next_line"))
        return false;
    return followers_next(&testing->followers, follower, ret_line);
}

static void unfollow_log(const struct berth_inspect *inspect, struct berth_log_follower *follower)
{
    struct berth_testing *testing = fake_of_inspect(inspect);

    if (fake_is_on_loop(testing, "inspect->unfollow_log", NULL) &&
        is_following(testing, follower, "inspect->unfollow_log"))
        followers_remove(&testing->followers, follower);
}

/* The level of a plugin plus one, so that 0 is the daemon's. @return NULL if there is no such plugin. */
static atomic_int *find_level(struct berth_testing *testing, const char *uri)
{
    struct fake_provider *provider = fake_provider_find(testing, uri);

    if (strcmp(uri, testing->description->uri) == 0)
        return &testing->own_level;
    return provider != NULL ? &provider->log_level : NULL;
}

static int get_log_level(const struct berth_inspect *inspect, const char *uri)
{
    struct berth_testing *testing = fake_of_inspect(inspect);
    const atomic_int *level = uri != NULL ? find_level(testing, uri) : NULL;

    if (uri == NULL)
        return atomic_load(&testing->daemon_level);
    return level != NULL ? atomic_load(level) - 1 : -1;
}

static enum berth_code set_log_level(const struct berth_inspect *inspect, const char *uri, int level,
                                     struct berth_error *err)
{
    struct berth_testing *testing = fake_of_inspect(inspect);
    atomic_int *place = uri != NULL ? find_level(testing, uri) : NULL;

    if (!fake_is_on_loop(testing, "inspect->set_log_level", err))
        return BERTH_FAILED_PRECONDITION;
    if (level < (uri != NULL ? -1 : BERTH_LOG_ERROR) || level > BERTH_LOG_DEBUG)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%d is not a level of the log", level);
    if (uri != NULL && place == NULL)
        return berth_error_set(err, BERTH_NOT_FOUND, "plugin \"%.200s\" not found or not running", uri);
    if (place != NULL)
        atomic_store(place, level + 1);
    else
        atomic_store(&testing->daemon_level, level);
    return BERTH_OK;
}

bool berth_testing_has_logged(const struct berth_testing *testing, const char *text)
{
    for (size_t i = 0; i < testing->line_count; i++)
        if (strstr(testing->lines[i].text, text) != NULL)
            return true;
    return false;
}

const char *berth_testing_log(const struct berth_testing *testing, size_t i, enum berth_log_level *ret_level)
{
    if (i >= testing->line_count)
        return NULL;
    if (ret_level != NULL)
        *ret_level = testing->lines[i].level;
    return testing->lines[i].text;
}

void fake_log_init(struct berth_testing *testing)
{
    followers_init(&testing->followers, testing->loop, use_tap);
    atomic_store(&testing->daemon_level, BERTH_LOG_DEBUG);
    testing->inspect.follow_log = follow_log;
    testing->inspect.next_line = next_line;
    testing->inspect.unfollow_log = unfollow_log;
    testing->inspect.log_level = get_log_level;
    testing->inspect.set_log_level = set_log_level;
}

void fake_log_close(struct berth_testing *testing)
{
    if (!LIST_EMPTY(&testing->followers.all))
        fake_fault(testing, "a follower of the log was never removed");
    while (!LIST_EMPTY(&testing->followers.all))
        followers_remove(&testing->followers, LIST_FIRST(&testing->followers.all));
    followers_finish(&testing->followers);
}

void fake_log_finish(struct berth_testing *testing)
{
    for (size_t i = 0; i < testing->line_count; i++)
        free(testing->lines[i].text);
    free(testing->lines);
}
