/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches directories by inotify(7). The kernel watches what a path leads to now, so that each directory
 * above is watched for the name below it: whoever replaces a directory or a link changes such a name.
 */
#include "files_watch.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#define QUIET_MS 1000
/* Paths, and the directories above them. */
#define PLACES_MAX 1024

#define EVENTS                                                                                               \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB | IN_DELETE_SELF |     \
     IN_MOVE_SELF | IN_ONLYDIR)

/* One directory, and the name in it that matters; NULL: all. Several places may share a descriptor. */
struct place {
    int descriptor;
    char *directory, *name;
};

struct files_watch {
    uv_poll_t poll;
    uv_timer_t quiet;
    int fd;
    unsigned open_handles;
    void (*on_change)(void *context);
    void *context;
    char **directories;
    size_t directory_count;
    struct place *places;
    size_t place_count;
};

static void forget_places(struct files_watch *watch)
{
    for (size_t i = 0; i < watch->place_count; i++) {
        inotify_rm_watch(watch->fd, watch->places[i].descriptor);
        free(watch->places[i].directory);
        free(watch->places[i].name);
    }
    free(watch->places);
    watch->places = NULL;
    watch->place_count = 0;
}

static void add_place(struct files_watch *watch, const char *directory, const char *name)
{
    int descriptor = watch->place_count < PLACES_MAX ? inotify_add_watch(watch->fd, directory, EVENTS) : -1;

    if (descriptor < 0)
        return;
    watch->places = memory_grow(watch->places, watch->place_count, sizeof(*watch->places));
    watch->places[watch->place_count++] =
        (struct place){descriptor, memory_copy(directory), name != NULL ? memory_copy(name) : NULL};
}

/* The directory, and each above it for the name below. */
static void add_directory(struct files_watch *watch, const char *directory)
{
    char *path = memory_copy(directory), *slash;

    add_place(watch, path, NULL);
    while ((slash = strrchr(path, '/')) != NULL && path[1] != '\0') {
        char *name = memory_copy(slash + 1);

        if (slash == path)
            slash[1] = '\0';
        else
            *slash = '\0';
        if (*name != '\0')
            add_place(watch, path, name);
        free(name);
    }
    free(path);
}

static void add_all(struct files_watch *watch)
{
    forget_places(watch);
    for (size_t i = 0; i < watch->directory_count; i++)
        add_directory(watch, watch->directories[i]);
}

/* A file that was only created is not complete: it is noticed when it is closed. A link is. */
static bool is_complete(const struct place *place, const struct inotify_event *event)
{
    char *path;
    struct stat status;
    bool is_link;

    if ((event->mask & (IN_CREATE | IN_ISDIR)) != IN_CREATE)
        return true;
    path = memory_format("%s/%s", place->directory, event->name);
    is_link = lstat(path, &status) == 0 && (S_ISLNK(status.st_mode) || status.st_nlink > 1);
    free(path);
    return is_link;
}

static bool matters(const struct files_watch *watch, const struct inotify_event *event)
{
    if ((event->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF)) != 0)
        return true;
    for (size_t i = 0; i < watch->place_count; i++) {
        const struct place *place = &watch->places[i];

        if (place->descriptor != event->wd || event->len == 0)
            continue;
        if (place->name != NULL && strcmp(place->name, event->name) == 0)
            return true;
        if (place->name == NULL && is_complete(place, event))
            return true;
    }
    return false;
}

/* What was replaced is watched anew, before anybody looks at it. */
static void on_quiet(uv_timer_t *timer)
{
    struct files_watch *watch = CONTAINER_OF(timer, struct files_watch, quiet);

    add_all(watch);
    watch->on_change(watch->context);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct files_watch *watch = CONTAINER_OF(poll, struct files_watch, poll);
    _Alignas(struct inotify_event) char buffer[16384];
    ssize_t length;
    bool is_any = false;

    while ((length = read(watch->fd, buffer, sizeof(buffer))) > 0)
        for (char *at = buffer; at < buffer + length;) {
            const struct inotify_event *event = (const struct inotify_event *)at;

            is_any = is_any || matters(watch, event);
            at += sizeof(*event) + event->len;
        }
    if (is_any)
        uv_timer_start(&watch->quiet, on_quiet, QUIET_MS, 0);
}

struct files_watch *files_watch_create(uv_loop_t *loop, void (*on_change)(void *context), void *context)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    struct files_watch *watch;

    if (fd < 0)
        return NULL;
    watch = memory_allocate(1, sizeof(*watch));
    *watch = (struct files_watch){.fd = fd, .on_change = on_change, .context = context};
    if (uv_poll_init(loop, &watch->poll, fd) != 0) {
        close(fd);
        free(watch);
        errno = ENOMEM;
        return NULL;
    }
    uv_timer_init(loop, &watch->quiet);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_timer_start(&watch->quiet, on_quiet, 0, 0);
    uv_timer_stop(&watch->quiet);
    uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    return watch;
}

static void forget_directories(struct files_watch *watch)
{
    for (size_t i = 0; i < watch->directory_count; i++)
        free(watch->directories[i]);
    free(watch->directories);
    watch->directories = NULL;
    watch->directory_count = 0;
}

void files_watch_set(struct files_watch *watch, const char *const *directories, size_t count)
{
    forget_directories(watch);
    watch->directories = memory_allocate(count, sizeof(*watch->directories));
    for (size_t i = 0; i < count; i++)
        if (directories[i][0] == '/')
            watch->directories[watch->directory_count++] = memory_copy(directories[i]);
    add_all(watch);
}

static void on_closed(struct files_watch *watch)
{
    if (--watch->open_handles > 0)
        return;
    close(watch->fd);
    free(watch);
}

static void on_poll_closed(uv_handle_t *handle)
{
    on_closed(CONTAINER_OF((uv_poll_t *)handle, struct files_watch, poll));
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_closed(CONTAINER_OF((uv_timer_t *)handle, struct files_watch, quiet));
}

void files_watch_destroy(struct files_watch *watch)
{
    if (watch == NULL)
        return;
    forget_places(watch);
    forget_directories(watch);
    watch->open_handles = 2;
    uv_close((uv_handle_t *)&watch->poll, on_poll_closed);
    uv_close((uv_handle_t *)&watch->quiet, on_timer_closed);
}
