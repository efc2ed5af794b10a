/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches the directories of TLS files: what replaces a file, or a symlink on the way to it, appears there.
 * Which of the events matter is decided by looking at the files themselves.
 */
#include "tls_files.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 3
/* Directories of files and of symlinks on the way to them; what happens in further ones is not noticed. */
#define FOLDERS_MAX 16
/* As the kernel follows at most. */
#define LINKS_MAX 40

/* A change has ended when nothing has happened for this long; if something always does, it is looked at
 * anyway. */
#define SETTLE_MS 1000
#define SETTLE_MAX_MS 10000

/* What tells two contents of a path apart, symlinks followed. */
struct identity {
    bool exists;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
};

struct tls_files {
    struct berth_rpc_tls_options options;
    /** Copies; NULL: not set. */
    char *paths[FILES];
    struct identity seen[FILES];
    uv_fs_event_t events[FOLDERS_MAX];
    size_t event_count;
    uv_timer_t settling;
    /** When the first event of an unsettled change came, on the clock of uv_now(). */
    uint64_t unsettled_ms;
    unsigned open_handles;
    void (*on_change)(void *context, const struct berth_rpc_tls_options *options);
    void *context;
};

static void look(const char *path, struct identity *ret_identity)
{
    struct stat status;

    memset(ret_identity, 0, sizeof(*ret_identity));
    if (path == NULL || stat(path, &status) != 0)
        return;
    ret_identity->exists = true;
    ret_identity->device = status.st_dev;
    ret_identity->inode = status.st_ino;
    ret_identity->size = status.st_size;
    ret_identity->modified = status.st_mtim;
    ret_identity->changed = status.st_ctim;
}

static bool is_same_time(const struct timespec *left, const struct timespec *right)
{
    return left->tv_sec == right->tv_sec && left->tv_nsec == right->tv_nsec;
}

static bool is_same(const struct identity *left, const struct identity *right)
{
    return left->exists == right->exists && left->device == right->device && left->inode == right->inode &&
           left->size == right->size && is_same_time(&left->modified, &right->modified) &&
           is_same_time(&left->changed, &right->changed);
}

/* @return Has any of them changed since it was last looked at? */
static bool look_at_all(struct tls_files *files)
{
    bool has_changed = false;

    for (size_t i = 0; i < FILES; i++) {
        struct identity now;

        look(files->paths[i], &now);
        has_changed |= !is_same(&now, &files->seen[i]);
        files->seen[i] = now;
    }
    return has_changed;
}

static void on_settled(uv_timer_t *timer);

static void on_event(uv_fs_event_t *event, const char *name, int kinds, int status)
{
    struct tls_files *files = event->data;
    uint64_t now = uv_now(event->loop);

    if (!uv_is_active((uv_handle_t *)&files->settling))
        files->unsettled_ms = now;
    if (now - files->unsettled_ms < SETTLE_MAX_MS)
        uv_timer_start(&files->settling, on_settled, SETTLE_MS, 0);
}

/* The directories to watch, each once, and where the walk to a file is. */
struct folders {
    char *paths[FOLDERS_MAX];
    size_t count;
    char path[PATH_MAX], target[PATH_MAX], next[PATH_MAX];
};

/* The first `length` bytes of the path, without the slash that ends them. */
static void add_folder(struct folders *folders, size_t length)
{
    char folder[PATH_MAX];

    while (length > 1 && folders->path[length - 1] == '/')
        length--;
    snprintf(folder, sizeof(folder), "%.*s", length > 0 ? (int)length : 1, length > 0 ? folders->path : ".");
    for (size_t i = 0; i < folders->count; i++)
        if (strcmp(folders->paths[i], folder) == 0)
            return;
    if (folders->count < FOLDERS_MAX && (folders->paths[folders->count] = strdup(folder)) != NULL)
        folders->count++;
}

/*
 * Is the part of the path from `start` to `end` a link? Then its directory is added, and its target takes its
 * place in the path.
 */
static bool follow_link(struct folders *folders, size_t start, size_t end)
{
    char saved = folders->path[end];
    ssize_t length;
    int written;

    folders->path[end] = '\0';
    length = readlink(folders->path, folders->target, sizeof(folders->target) - 1);
    folders->path[end] = saved;
    if (length <= 0)
        return false;
    folders->target[length] = '\0';
    add_folder(folders, start);
    written =
        snprintf(folders->next, sizeof(folders->next), "%.*s%s%s", folders->target[0] == '/' ? 0 : (int)start,
                 folders->path, folders->target, folders->path + end);
    if (written < 0 || (size_t)written >= sizeof(folders->next))
        return false;
    memcpy(folders->path, folders->next, (size_t)written + 1);
    return true;
}

/* The directory of each link on the way to the file, and the file's own. */
static void add_folders_of(struct folders *folders, const char *file)
{
    size_t start = 0, end = 0;
    unsigned links = 0;

    snprintf(folders->path, sizeof(folders->path), "%s", file);
    for (;;) {
        start = end + strspn(folders->path + end, "/");
        end = start + strcspn(folders->path + start, "/");
        if (end == start)
            break;
        if (links < LINKS_MAX && follow_link(folders, start, end)) {
            links++;
            end = 0;
        } else if (folders->path[end] == '\0') {
            break;
        }
    }
    add_folder(folders, start);
}

/* Handles are only made as they are needed. */
static uv_fs_event_t *event_at(struct tls_files *files, size_t i)
{
    if (i == files->event_count) {
        uv_fs_event_init(files->settling.loop, &files->events[i]);
        files->events[i].data = files;
        files->event_count++;
        files->open_handles++;
    }
    return &files->events[i];
}

/* @return 0 or a libuv error. */
static int watch(struct tls_files *files)
{
    struct folders *folders = calloc(1, sizeof(*folders));
    int result = folders == NULL ? UV_ENOMEM : 0;

    for (size_t i = 0; i < FILES && result == 0; i++)
        if (files->paths[i] != NULL)
            add_folders_of(folders, files->paths[i]);
    for (size_t i = 0; i < files->event_count; i++)
        uv_fs_event_stop(&files->events[i]);
    for (size_t i = 0; result == 0 && i < folders->count; i++)
        result = uv_fs_event_start(event_at(files, i), on_event, folders->paths[i], 0);
    for (size_t i = 0; folders != NULL && i < folders->count; i++)
        free(folders->paths[i]);
    free(folders);
    return result;
}

static void on_settled(uv_timer_t *timer)
{
    struct tls_files *files = timer->data;

    /* A directory may be another one by now; one that is gone is looked for until it is back. */
    if (watch(files) != 0)
        uv_timer_start(timer, on_settled, SETTLE_MAX_MS, 0);
    if (look_at_all(files))
        files->on_change(files->context, &files->options);
}

static void on_closed(uv_handle_t *handle)
{
    struct tls_files *files = handle->data;

    if (--files->open_handles > 0)
        return;
    for (size_t i = 0; i < FILES; i++)
        free(files->paths[i]);
    free(files);
}

void tls_files_close(struct tls_files *files)
{
    for (size_t i = 0; i < files->event_count; i++)
        uv_close((uv_handle_t *)&files->events[i], on_closed);
    uv_close((uv_handle_t *)&files->settling, on_closed);
}

/* @return false without memory. */
static bool copy_paths(struct tls_files *files, const struct berth_rpc_tls_options *options)
{
    const char *const paths[FILES] = {options->certificate_file, options->key_file, options->ca_file};

    for (size_t i = 0; i < FILES; i++) {
        files->paths[i] = paths[i] != NULL ? strdup(paths[i]) : NULL;
        if (paths[i] != NULL && files->paths[i] == NULL)
            return false;
    }
    files->options = (struct berth_rpc_tls_options){
        .size = sizeof(files->options),
        .certificate_file = files->paths[0],
        .key_file = files->paths[1],
        .ca_file = files->paths[2],
    };
    return true;
}

struct tls_files *tls_files_watch(uv_loop_t *loop, const struct berth_rpc_tls_options *options,
                                  void (*on_change)(void *context,
                                                    const struct berth_rpc_tls_options *options),
                                  void *context, struct berth_error *err)
{
    struct tls_files *files = calloc(1, sizeof(*files));
    int result;

    if (files == NULL || !copy_paths(files, options)) {
        for (size_t i = 0; files != NULL && i < FILES; i++)
            free(files->paths[i]);
        free(files);
        berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    files->on_change = on_change;
    files->context = context;
    uv_timer_init(loop, &files->settling);
    /* Its function says whose it is, for whoever looks at the loop's handles before a module is unloaded. */
    uv_timer_start(&files->settling, on_settled, 0, 0);
    uv_timer_stop(&files->settling);
    files->settling.data = files;
    files->open_handles = 1;
    result = watch(files);
    look_at_all(files);
    if (result == 0)
        return files;
    berth_error_set(err, BERTH_UNAVAILABLE, "%s%s", uv_strerror(result),
                    result == UV_EMFILE || result == UV_ENOSPC ? " (see fs.inotify in sysctl)" : "");
    tls_files_close(files);
    return NULL;
}
