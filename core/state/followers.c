/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Those who follow the log. A line is copied for each of them on the thread that logs it; the loop tells
 * them. Where a follower is slow the oldest lines go, so that it has the newest and is told at once how many
 * it has lost.
 */
#include "followers.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <config/text/utf8.h>

/* The most that may wait for one follower. */
#define WAITING_MAX ((size_t)64 * 1024)

struct waiting_line {
    TAILQ_ENTRY(waiting_line) link;
    size_t bytes;
    int64_t time_ns;
    enum berth_log_level level;
    uint64_t lost;
    /** Inside `text`, behind the line; NULL: the daemon. */
    const char *uri;
    char text[];
};

TAILQ_HEAD(waiting_lines, waiting_line);

struct berth_log_follower {
    LIST_ENTRY(berth_log_follower) link;
    struct followers *followers;
    int level;
    char *uri;
    void (*on_lines)(void *context);
    void *context;
    struct waiting_lines lines;
    size_t bytes;
    /** For lack of memory, or to make room. */
    uint64_t lost;
    /** It knows that lines wait. */
    bool is_told;
    /** The line it was given last. */
    struct waiting_line *taken;
};

static void drop_line(struct berth_log_follower *follower, struct waiting_line *line)
{
    TAILQ_REMOVE(&follower->lines, line, link);
    follower->bytes -= line->bytes;
}

static void make_room(struct berth_log_follower *follower, size_t bytes)
{
    while (follower->bytes + bytes > WAITING_MAX && !TAILQ_EMPTY(&follower->lines)) {
        struct waiting_line *oldest = TAILQ_FIRST(&follower->lines);

        drop_line(follower, oldest);
        follower->lost++;
        free(oldest);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void add_line(struct berth_log_follower *follower, enum berth_log_level level, const char *uri,
                     const char *text)
{
    size_t text_size = strlen(text) + 1, uri_size = uri != NULL ? strlen(uri) + 1 : 0;
    size_t bytes = sizeof(struct waiting_line) + text_size + uri_size;
    struct waiting_line *line = malloc(bytes);

    if (line == NULL) {
        follower->lost++;
        return;
    }
    make_room(follower, bytes);
    *line = (struct waiting_line){.bytes = bytes, .time_ns = now_ns(), .level = level};
    memcpy(line->text, text, text_size);
    utf8_make_line(line->text);
    if (uri != NULL)
        line->uri = memcpy(line->text + text_size, uri, uri_size);
    TAILQ_INSERT_TAIL(&follower->lines, line, link);
    follower->bytes += bytes;
}

static bool wants(const struct berth_log_follower *follower, enum berth_log_level level, bool is_logged,
                  const char *uri)
{
    if (follower->uri != NULL && (uri == NULL || strcmp(uri, follower->uri) != 0))
        return false;
    return follower->level < 0 ? is_logged : (int)level <= follower->level;
}

static void on_line(void *context, enum berth_log_level level, bool is_logged, const char *uri,
                    const char *text)
{
    struct followers *followers = context;
    struct berth_log_follower *follower;
    bool is_news = false;

    pthread_mutex_lock(&followers->lock);
    LIST_FOREACH(follower, &followers->all, link)
    {
        if (!wants(follower, level, is_logged, uri))
            continue;
        add_line(follower, level, uri, text);
        is_news = is_news || !follower->is_told;
    }
    if (is_news && followers->is_open)
        uv_async_send(&followers->wake);
    pthread_mutex_unlock(&followers->lock);
}

static struct berth_log_follower *find_untold(struct followers *followers)
{
    struct berth_log_follower *follower;

    pthread_mutex_lock(&followers->lock);
    LIST_FOREACH(follower, &followers->all, link)
    if (!follower->is_told && !TAILQ_EMPTY(&follower->lines)) {
        follower->is_told = true;
        break;
    }
    pthread_mutex_unlock(&followers->lock);
    return follower;
}

/* Followers come and go in their callbacks, so each search starts anew. */
static void on_wake(uv_async_t *wake)
{
    struct followers *followers = wake->data;
    struct berth_log_follower *follower;

    while ((follower = find_untold(followers)) != NULL)
        follower->on_lines(follower->context);
}

void followers_init(struct followers *followers, uv_loop_t *loop,
                    void (*use_tap)(const struct log_tap *tap, int level))
{
    *followers = (struct followers){
        .loop = loop, .use_tap = use_tap, .tap = {.on_line = on_line, .context = followers}};
    pthread_mutex_init(&followers->lock, NULL);
}

void followers_finish(struct followers *followers)
{
    followers->use_tap(NULL, -1);
    pthread_mutex_lock(&followers->lock);
    if (followers->is_open)
        uv_close((uv_handle_t *)&followers->wake, NULL);
    followers->is_open = false;
    pthread_mutex_unlock(&followers->lock);
}

static void update_tap(struct followers *followers)
{
    const struct berth_log_follower *follower;
    int level = -1;

    LIST_FOREACH(follower, &followers->all, link)
    if (follower->level > level)
        level = follower->level;
    followers->use_tap(LIST_EMPTY(&followers->all) ? NULL : &followers->tap, level);
}

static bool open_handle(struct followers *followers)
{
    if (followers->is_open)
        return true;
    if (uv_async_init(followers->loop, &followers->wake, on_wake) != 0)
        return false;
    followers->wake.data = followers;
    uv_unref((uv_handle_t *)&followers->wake);
    followers->is_open = true;
    return true;
}

struct berth_log_follower *followers_add(struct followers *followers, const struct berth_log_filter *filter,
                                         void (*on_lines)(void *context), void *context)
{
    struct berth_log_follower *follower = calloc(1, sizeof(*follower));

    if (follower == NULL)
        return NULL;
    *follower = (struct berth_log_follower){
        .followers = followers, .level = filter->level, .on_lines = on_lines, .context = context};
    TAILQ_INIT(&follower->lines);
    follower->uri = filter->uri != NULL ? strdup(filter->uri) : NULL;
    if ((filter->uri != NULL && follower->uri == NULL) || !open_handle(followers)) {
        free(follower->uri);
        free(follower);
        return NULL;
    }
    pthread_mutex_lock(&followers->lock);
    LIST_INSERT_HEAD(&followers->all, follower, link);
    pthread_mutex_unlock(&followers->lock);
    update_tap(followers);
    return follower;
}

bool followers_has(const struct followers *followers, const struct berth_log_follower *follower)
{
    const struct berth_log_follower *known;

    LIST_FOREACH(known, &followers->all, link)
    if (known == follower)
        return true;
    return false;
}

bool followers_next(struct followers *followers, struct berth_log_follower *follower,
                    struct berth_log_line *ret_line)
{
    struct waiting_line *line;
    uint64_t lost = 0;

    free(follower->taken);
    pthread_mutex_lock(&followers->lock);
    line = TAILQ_FIRST(&follower->lines);
    follower->is_told = line != NULL;
    if (line != NULL) {
        drop_line(follower, line);
        lost = follower->lost;
        follower->lost = 0;
    }
    pthread_mutex_unlock(&followers->lock);
    follower->taken = line;
    if (line == NULL)
        return false;
    *ret_line = (struct berth_log_line){.size = sizeof(*ret_line),
                                        .time_ns = line->time_ns,
                                        .level = (int)line->level,
                                        .uri = line->uri,
                                        .text = line->text,
                                        .lost = lost};
    return true;
}

void followers_remove(struct followers *followers, struct berth_log_follower *follower)
{
    struct waiting_line *line;

    pthread_mutex_lock(&followers->lock);
    LIST_REMOVE(follower, link);
    pthread_mutex_unlock(&followers->lock);
    update_tap(followers);
    while ((line = TAILQ_FIRST(&follower->lines)) != NULL) {
        drop_line(follower, line);
        free(line);
    }
    free(follower->taken);
    free(follower->uri);
    free(follower);
}

void followers_revoke(void *context)
{
    struct berth_log_follower *follower = context;

    followers_remove(follower->followers, follower);
}
