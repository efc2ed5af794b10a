/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the file system of a worker: a tmpfs as its root, the old root below it until all paths are bound,
 * and then nothing but those. Symbolic links on the way to a path are made again, so that each path keeps its
 * name.
 */
#include "namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OLD_NAME ".berth-old-root"
#define OLD_ROOT "/" OLD_NAME
#define LINKS_MAX 40
/* Linux 5.12; the number is that of every architecture. */
#define CALL_MOUNT_SETATTR 442

#define ATTRIBUTE_RDONLY UINT64_C(1)
#define ATTRIBUTE_NOSUID UINT64_C(2)

struct mount_attributes {
    uint64_t set, clear, propagation, user_fd;
};

const char *const sandbox_read_always[] = {
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/sys/devices/system/cpu/online",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    NULL,
};

/* @return 0 or an errno. */
static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), error;

    if (fd < 0)
        return errno;
    error = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : errno;
    close(fd);
    return error;
}

/* Its user and group keep their numbers, and are the only ones. @return 0 or an errno. */
static int map_user(uid_t user, gid_t group)
{
    char text[64];
    int error = write_file("/proc/self/setgroups", "deny");

    if (error != 0 && error != ENOENT)
        return error;
    snprintf(text, sizeof(text), "%u %u 1", user, user);
    error = write_file("/proc/self/uid_map", text);
    if (error != 0)
        return error;
    snprintf(text, sizeof(text), "%u %u 1", group, group);
    return write_file("/proc/self/gid_map", text);
}

/* @return 0 or an errno. */
static int leave_namespaces(int flags, bool with_user)
{
    uid_t user = geteuid();
    gid_t group = getegid();

    if (unshare(flags | (with_user ? CLONE_NEWUSER : 0)) != 0)
        return errno;
    return with_user ? map_user(user, group) : 0;
}

/* An empty root, with the old one below it. What is mounted outside stays outside. @return 0 or an errno. */
static int make_root(void)
{
    static const char *const bases[] = {"/tmp", "/run", "/var", "/usr"};

    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return errno;
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        if (mount("berth-worker", bases[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") != 0)
            continue;
        if (chdir(bases[i]) != 0 || mkdir(OLD_NAME, 0700) != 0 ||
            syscall(SYS_pivot_root, ".", OLD_NAME) != 0 || chdir("/") != 0)
            return errno;
        return 0;
    }
    return errno;
}

bool namespaces_probe(bool with_user)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(leave_namespaces(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID, with_user) == 0 &&
                      make_root() == 0
                  ? 0
                  : 1);
    if (child < 0)
        return false;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A walk along one path. `done` is the real path so far, in both roots; `left` is still to be walked. */
struct walk {
    char done[PATH_MAX], left[PATH_MAX];
    unsigned links;
};

static int copy_link(struct walk *walk, const char *old, const char *rest)
{
    char target[PATH_MAX], left[PATH_MAX];
    ssize_t length = readlink(old, target, sizeof(target) - 1);

    if (length < 0)
        return errno;
    target[length] = '\0';
    if (++walk->links > LINKS_MAX)
        return ELOOP;
    if (symlink(target, walk->done) != 0 && errno != EEXIST)
        return errno;
    if (snprintf(left, sizeof(left), "%s/%s", target, rest) >= (int)sizeof(left))
        return ENAMETOOLONG;
    memcpy(walk->left, left, sizeof(left));
    *(target[0] == '/' ? walk->done : strrchr(walk->done, '/')) = '\0';
    return 0;
}

/* One component; what it needs is made in the new root. @return 0 or an errno. */
static int step(struct walk *walk, struct stat *ret_status)
{
    char old[PATH_MAX + sizeof(OLD_ROOT)];
    const char *start = walk->left + strspn(walk->left, "/");
    size_t length = strcspn(start, "/"), used = strlen(walk->done);
    char rest[PATH_MAX];

    snprintf(rest, sizeof(rest), "%s", start + length);
    if (length == 0 || (length == 1 && start[0] == '.')) {
        memcpy(walk->left, rest, sizeof(rest));
        return 0;
    }
    if (length == 2 && start[0] == '.' && start[1] == '.') {
        if (used > 0)
            *strrchr(walk->done, '/') = '\0';
        memcpy(walk->left, rest, sizeof(rest));
        return 0;
    }
    if (used + 1 + length >= sizeof(walk->done))
        return ENAMETOOLONG;
    walk->done[used] = '/';
    memcpy(walk->done + used + 1, start, length);
    walk->done[used + 1 + length] = '\0';
    snprintf(old, sizeof(old), OLD_ROOT "%s", walk->done);
    if (lstat(old, ret_status) != 0)
        return errno;
    if (S_ISLNK(ret_status->st_mode))
        return copy_link(walk, old, rest);
    memcpy(walk->left, rest, sizeof(rest));
    if (S_ISDIR(ret_status->st_mode))
        return mkdir(walk->done, 0755) == 0 || errno == EEXIST || errno == EROFS ? 0 : errno;
    return 0;
}

static int bind_path(const char *path, const struct stat *status, bool is_writable)
{
    const struct mount_attributes attributes = {.set =
                                                    ATTRIBUTE_NOSUID | (is_writable ? 0 : ATTRIBUTE_RDONLY)};
    char old[PATH_MAX + sizeof(OLD_ROOT)];

    snprintf(old, sizeof(old), OLD_ROOT "%s", path);
    if (!S_ISDIR(status->st_mode)) {
        int fd = open(path, O_CREAT | O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0444);

        /* Below a directory that is bound already, the file is there. */
        if (fd >= 0)
            close(fd);
    }
    if (mount(old, path, NULL, MS_BIND | MS_REC, NULL) != 0)
        return errno;
    /* Landlock refuses to write as well; this is the second lock. */
    if (syscall(CALL_MOUNT_SETATTR, AT_FDCWD, path, AT_RECURSIVE, &attributes, sizeof(attributes)) != 0 &&
        errno != ENOSYS)
        return errno;
    return 0;
}

static int show_path(const char *path, bool is_writable)
{
    struct walk walk = {.done = ""};
    struct stat status = {.st_mode = S_IFDIR};
    int error = 0;

    if (path[0] != '/')
        return EINVAL;
    if (snprintf(walk.left, sizeof(walk.left), "%s", path) >= (int)sizeof(walk.left))
        return ENAMETOOLONG;
    while (error == 0 && walk.left[strspn(walk.left, "/")] != '\0')
        error = step(&walk, &status);
    if (error == 0 && walk.done[0] == '\0')
        /* A link to the whole file system, which cannot be bound onto itself. */
        return ENOTSUP;
    return error != 0 ? error : bind_path(walk.done, &status, is_writable);
}

static enum berth_code show_paths(const char *const *paths, size_t count, bool is_writable,
                                  struct berth_error *err)
{
    for (size_t i = 0; i < count; i++) {
        int error = show_path(paths[i], is_writable);

        if (error != 0)
            return berth_error_set(err, BERTH_FAILED_PRECONDITION, "sandbox: cannot allow %s of %s: %s",
                                   is_writable ? "writing" : "reading", paths[i], strerror(error));
    }
    return BERTH_OK;
}

static enum berth_code fail(struct berth_error *err, const char *what, int error)
{
    return berth_error_set(err, BERTH_INTERNAL, "sandbox: cannot %s: %s", what, strerror(error));
}

enum berth_code namespaces_enter(const struct sandbox_wanted *wanted, const struct sandbox_kernel *kernel,
                                 struct berth_error *err)
{
    int flags = (sandbox_lists_root(wanted) ? 0 : CLONE_NEWNS) | CLONE_NEWIPC |
                (sandbox_has_pid_namespace(wanted, kernel) ? CLONE_NEWPID : 0) |
                (wanted->network == SANDBOX_NETWORK_NONE ? CLONE_NEWNET : 0);
    int error = leave_namespaces(flags, kernel->needs_user_namespace);
    enum berth_code code;

    if (error != 0)
        return fail(err, "create namespaces", error);
    if (sandbox_lists_root(wanted))
        return BERTH_OK;
    error = make_root();
    if (error != 0)
        return fail(err, "create its file system", error);
    for (size_t i = 0; sandbox_read_always[i] != NULL; i++) {
        error = show_path(sandbox_read_always[i], false);
        if (error != 0 && error != ENOENT && error != EACCES && error != ENOTDIR)
            return berth_error_set(err, BERTH_INTERNAL, "sandbox: cannot allow reading of %s: %s",
                                   sandbox_read_always[i], strerror(error));
    }
    code = show_paths(wanted->read, wanted->read_count, false, err);
    if (code == BERTH_OK)
        code = show_paths(wanted->write, wanted->write_count, true, err);
    if (code != BERTH_OK)
        return code;
    if (umount2(OLD_ROOT, MNT_DETACH) != 0 || rmdir(OLD_ROOT) != 0 ||
        mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0)
        return fail(err, "leave the old file system", errno);
    return BERTH_OK;
}
