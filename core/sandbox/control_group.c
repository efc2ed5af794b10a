/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes the files of cgroup v2. */
#include "control_group.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <sdk/base/memory.h>

#define OWN_NAME "berth-daemon"
#define WORKER_NAME "berth-worker-"
/* New processes may appear while others are moved. */
#define MOVES_MAX 8
#define CPU_PERIOD_US 100000u
#define CPU_US_PER_PERCENT (CPU_PERIOD_US / 100u)

static const struct {
    const char *name;
    enum control_group_limit limit;
} controllers[] = {
    {"memory", CONTROL_GROUP_MEMORY}, {"pids", CONTROL_GROUP_TASKS}, {"cpu", CONTROL_GROUP_CPU}};

/* Groups that could not be removed because processes in them were still ending. The loop's thread only. */
struct doomed {
    SLIST_ENTRY(doomed) link;
    char *path;
};

static SLIST_HEAD(, doomed) doomed_groups = SLIST_HEAD_INITIALIZER(doomed_groups);

/* @return 0 or an errno. */
static int write_file(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX];
    int fd, error;

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return ENAMETOOLONG;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    error = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : errno;
    close(fd);
    return error;
}

static FILE *open_file(const char *folder, const char *name)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path) ? fopen(path, "re") : NULL;
}

/* Which group it is */

/* The line "0::PATH". @return malloced; NULL: there is no version 2. */
static char *read_own_path(const char *root)
{
    FILE *file = open_file(root, "proc/self/cgroup");
    char line[PATH_MAX], *path = NULL;

    while (file != NULL && path == NULL && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0)
            path = memory_copy(line + 3);
    }
    if (file != NULL)
        fclose(file);
    return path;
}

/* Spaces and their like are "\040" there. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; to++) {
        unsigned value;

        if (from[0] == '\\' && sscanf(from + 1, "%3o", &value) == 1 && strlen(from) >= 4) {
            *to = (char)value;
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* Where the hierarchy is mounted, and which part of it. @return has it been found? */
static bool read_mount(const char *root, char *ret_point, char *ret_top)
{
    FILE *file = open_file(root, "proc/self/mountinfo");
    char line[2 * PATH_MAX + 512];
    bool is_found = false;

    while (file != NULL && !is_found && fgets(line, sizeof(line), file) != NULL) {
        static_assert(PATH_MAX == 4096, "the widths below are one less");
        is_found = strstr(line, " - cgroup2 ") != NULL &&
                   sscanf(line, "%*s %*s %*s %4095s %4095s", ret_top, ret_point) == 2;
    }
    if (file != NULL)
        fclose(file);
    unescape(ret_top);
    unescape(ret_point);
    return is_found;
}

static bool has_file(const char *folder, const char *name, int mode)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path) && access(path, mode) == 0;
}

/* By the mark of the service manager; or as the top of what a container sees, which the top of a system,
 * without a type, is not. */
static bool is_delegated(const char *folder, bool is_top)
{
    static const char *const marks[] = {"user.delegate", "trusted.delegate"};

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        char value[2] = "";

        if (getxattr(folder, marks[i], value, sizeof(value)) == 1 && value[0] == '1')
            return true;
    }
    return is_top && has_file(folder, "cgroup.type", F_OK);
}

static unsigned read_controllers(const char *folder)
{
    FILE *file = open_file(folder, "cgroup.controllers");
    unsigned limits = 0;
    char word[64];

    while (file != NULL && fscanf(file, "%63s", word) == 1)
        for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
            if (strcmp(controllers[i].name, word) == 0)
                limits |= controllers[i].limit;
    if (file != NULL)
        fclose(file);
    return limits;
}

void control_groups_find(const char *root, struct control_groups *ret_groups)
{
    char point[PATH_MAX] = "", top[PATH_MAX] = "";
    char *own = read_own_path(root), *folder = NULL;
    size_t skipped;

    *ret_groups = (struct control_groups){.folder = NULL};
    if (own == NULL || !read_mount(root, point, top)) {
        free(own);
        return;
    }
    skipped = strcmp(top, "/") == 0 ? 0 : strlen(top);
    if (strncmp(own, top, skipped) == 0 && (own[skipped] == '/' || own[skipped] == '\0')) {
        const char *below = strcmp(own + skipped, "/") == 0 ? "" : own + skipped;
        size_t base;

        folder = memory_format("%s%s%s", root, point, below);
        base = strlen(folder) - strlen(below);
        if (!is_delegated(folder, below[0] == '\0') && below[0] != '\0') {
            *strrchr(folder, '/') = '\0';
            if (!is_delegated(folder, strlen(folder) == base))
                folder[0] = '\0';
        } else if (!is_delegated(folder, below[0] == '\0')) {
            folder[0] = '\0';
        }
    }
    free(own);
    if (folder == NULL || folder[0] == '\0' || access(folder, W_OK) != 0 ||
        !has_file(folder, "cgroup.procs", W_OK) || !has_file(folder, "cgroup.subtree_control", W_OK)) {
        free(folder);
        return;
    }
    ret_groups->folder = folder;
    ret_groups->limits = read_controllers(folder);
}

void control_groups_finish(struct control_groups *groups)
{
    free(groups->folder);
    *groups = (struct control_groups){.folder = NULL};
}

struct control_groups *control_groups_own(void)
{
    static struct control_groups own;
    static bool is_known;

    if (!is_known)
        control_groups_find("", &own);
    is_known = true;
    return &own;
}

/* Its preparation */

/* @return how many were there. */
static unsigned for_each_process(const char *folder, void (*act)(pid_t process, const char *context),
                                 const char *context)
{
    FILE *file = open_file(folder, "cgroup.procs");
    unsigned count = 0;
    long process;

    for (; file != NULL && fscanf(file, "%ld", &process) == 1; count++)
        act((pid_t)process, context);
    if (file != NULL)
        fclose(file);
    return count;
}

static void move(pid_t process, const char *folder)
{
    char text[32];

    snprintf(text, sizeof(text), "%ld", (long)process);
    write_file(folder, "cgroup.procs", text);
}

static void move_processes(const char *folder)
{
    char *below = memory_format("%s/" OWN_NAME, folder);

    if (mkdir(below, 0755) == 0 || errno == EEXIST)
        for (int i = 0; i < MOVES_MAX && for_each_process(folder, move, below) > 0; i++)
            ;
    free(below);
}

static void kill_process(pid_t process, const char *context)
{
    if (process > 1)
        kill(process, SIGKILL);
}

/* @return is it gone? */
static bool empty_and_remove(const char *path)
{
    /* Before Linux 5.14 one by one: what is forked meanwhile is met the next time. */
    if (write_file(path, "cgroup.kill", "1") != 0)
        for_each_process(path, kill_process, NULL);
    return rmdir(path) == 0 || errno == ENOENT;
}

static void remove_doomed(void)
{
    struct doomed *next;

    for (struct doomed *doomed = SLIST_FIRST(&doomed_groups); doomed != NULL; doomed = next) {
        next = SLIST_NEXT(doomed, link);
        if (!empty_and_remove(doomed->path))
            continue;
        SLIST_REMOVE(&doomed_groups, doomed, doomed, link);
        free(doomed->path);
        free(doomed);
    }
}

static void doom(char *path)
{
    struct doomed *doomed;

    if (empty_and_remove(path)) {
        free(path);
        return;
    }
    doomed = memory_allocate(1, sizeof(*doomed));
    doomed->path = path;
    SLIST_INSERT_HEAD(&doomed_groups, doomed, link);
}

/* Of a daemon that is gone, or whose number this one has. */
static void remove_left_over(const char *folder)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        long daemon;

        if (strncmp(entry->d_name, WORKER_NAME, sizeof(WORKER_NAME) - 1) != 0 ||
            sscanf(entry->d_name + sizeof(WORKER_NAME) - 1, "%ld-", &daemon) != 1)
            continue;
        if (daemon == (long)getpid() || (kill((pid_t)daemon, 0) != 0 && errno == ESRCH))
            doom(memory_format("%s/%s", folder, entry->d_name));
    }
    if (directory != NULL)
        closedir(directory);
}

void control_groups_prepare(struct control_groups *groups)
{
    if (groups->folder == NULL || groups->is_prepared)
        return;
    groups->is_prepared = true;
    remove_left_over(groups->folder);
    move_processes(groups->folder);
    for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
        char text[32];

        snprintf(text, sizeof(text), "+%s", controllers[i].name);
        if ((groups->limits & controllers[i].limit) != 0 &&
            write_file(groups->folder, "cgroup.subtree_control", text) != 0)
            groups->limits &= ~(unsigned)controllers[i].limit;
    }
}

/* One group */

static enum berth_code set_limit(const char *path, const char *name, const char *text,
                                 struct berth_error *err)
{
    int error = write_file(path, name, text);

    return error == 0 ? BERTH_OK
                      : berth_error_set(err, BERTH_UNAVAILABLE, "control group: cannot write %s to %s/%s: %s",
                                        text, path, name, strerror(error));
}

static enum berth_code set_limits(unsigned possible, const struct control_group_limits *limits,
                                  const char *path, struct berth_error *err)
{
    enum berth_code code = BERTH_OK;
    char text[64];

    if ((possible & CONTROL_GROUP_MEMORY) != 0) {
        /* Half a process is no use: all of the group end together. */
        write_file(path, "memory.oom.group", "1");
        if (limits->memory_bytes > 0) {
            /* Swapped memory would not count. A kernel without swap does not have the file. */
            write_file(path, "memory.swap.max", "0");
            snprintf(text, sizeof(text), "%llu", (unsigned long long)limits->memory_bytes);
            code = set_limit(path, "memory.max", text, err);
        }
    }
    if (code == BERTH_OK && (possible & CONTROL_GROUP_TASKS) != 0 && limits->tasks > 0) {
        snprintf(text, sizeof(text), "%u", limits->tasks);
        code = set_limit(path, "pids.max", text, err);
    }
    if (code == BERTH_OK && (possible & CONTROL_GROUP_CPU) != 0 && limits->cpu_percent > 0) {
        snprintf(text, sizeof(text), "%llu %u", (unsigned long long)limits->cpu_percent * CPU_US_PER_PERCENT,
                 CPU_PERIOD_US);
        code = set_limit(path, "cpu.max", text, err);
    }
    return code;
}

enum berth_code control_group_create(struct control_groups *groups, const struct control_group_limits *limits,
                                     char **ret_path, struct berth_error *err)
{
    static uint64_t created;
    enum berth_code code;
    char *path;

    if (groups->folder == NULL)
        return berth_error_set(err, BERTH_UNAVAILABLE, "control group: none was delegated to the daemon");
    control_groups_prepare(groups);
    remove_doomed();
    path = memory_format("%s/" WORKER_NAME "%ld-%llu", groups->folder, (long)getpid(),
                         (unsigned long long)++created);
    if (mkdir(path, 0755) != 0) {
        code = berth_error_set(err, BERTH_UNAVAILABLE, "control group: cannot create %s: %s", path,
                               strerror(errno));
        free(path);
        return code;
    }
    code = set_limits(groups->limits, limits, path, err);
    if (code == BERTH_OK)
        *ret_path = path;
    else
        doom(path);
    return code;
}

enum berth_code control_group_enter(const char *path, pid_t process, struct berth_error *err)
{
    char text[32];

    snprintf(text, sizeof(text), "%ld", (long)process);
    return set_limit(path, "cgroup.procs", text, err);
}

uint64_t control_group_memory_kills(const char *path)
{
    FILE *file = open_file(path, "memory.events");
    unsigned long long count = 0, value;
    char word[64];

    while (file != NULL && fscanf(file, "%63s %llu", word, &value) == 2)
        if (strcmp(word, "oom_kill") == 0)
            count = value;
    if (file != NULL)
        fclose(file);
    return count;
}

void control_group_remove(char *path)
{
    remove_doomed();
    if (path != NULL)
        doom(path);
}
