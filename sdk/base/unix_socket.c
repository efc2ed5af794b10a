/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes over a path for a listening unix socket, without ever replacing a live socket or exposing one that is
 * not ready.
 */
#include "unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "error_code.h"

#define BACKLOG 1024
#define DEFAULT_MODE 0660
#define PATH_LENGTH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

static enum berth_code refuse(struct berth_error *err, const char *path, const char *step)
{
    int error = errno;

    return berth_error_set(err, berth_code_of_errno(error, BERTH_UNAVAILABLE), "cannot listen on %s: %s: %s",
                           path, step, strerror(error));
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, path, strlen(path));
    return address;
}

/* @return 1 if a process is listening, with its pid if known; 0 if none is; -1 and errno. */
static int probe(const char *path, pid_t *ret_pid)
{
    struct sockaddr_un address = address_of(path);
    struct ucred peer = {0};
    socklen_t length = sizeof(peer);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result;
    int error;

    if (fd < 0)
        return -1;
    result = connect(fd, (struct sockaddr *)&address, sizeof(address));
    error = errno;
    if (result == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
        *ret_pid = peer.pid;
    close(fd);
    if (result == 0 || error == EAGAIN)
        return 1;
    errno = error;
    return error == ECONNREFUSED || error == ENOENT ? 0 : -1;
}

static enum berth_code refuse_taken(const char *path, pid_t pid, struct berth_error *err)
{
    if (pid == getpid())
        return berth_error_set(
            err, BERTH_ALREADY_EXISTS,
            "cannot listen on %s: process %ld is already listening there, which is this one; "
            "choose another path",
            path, (long)pid);
    if (pid > 0)
        return berth_error_set(
            err, BERTH_ALREADY_EXISTS,
            "cannot listen on %s: process %ld is already listening there; stop it or choose another path",
            path, (long)pid);
    return berth_error_set(
        err, BERTH_ALREADY_EXISTS,
        "cannot listen on %s: another process is already listening there; stop it or choose another path",
        path);
}

static enum berth_code take_lock(struct unix_socket *unix_socket, struct berth_error *err)
{
    char name[PATH_LENGTH_MAX + sizeof(".lock")];
    pid_t pid = 0;
    int error;

    snprintf(name, sizeof(name), "%s.lock", unix_socket->path);
    unix_socket->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (unix_socket->lock_fd < 0)
        return refuse(err, unix_socket->path, "opening its .lock");
    if (flock(unix_socket->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return BERTH_OK;
    error = errno;
    close(unix_socket->lock_fd);
    errno = error;
    if (error != EWOULDBLOCK)
        return refuse(err, unix_socket->path, "locking its .lock");
    probe(unix_socket->path, &pid);
    return refuse_taken(unix_socket->path, pid, err);
}

static enum berth_code check_path_is_free(const char *path, struct berth_error *err)
{
    struct stat status;
    pid_t pid = 0;
    int answer;

    if (lstat(path, &status) < 0)
        return errno == ENOENT ? BERTH_OK : refuse(err, path, "checking it");
    if (!S_ISSOCK(status.st_mode))
        return berth_error_set(
            err, BERTH_ALREADY_EXISTS,
            "cannot listen on %s: it exists and is not a socket; remove it or choose another path", path);
    answer = probe(path, &pid);
    if (answer < 0)
        return refuse(err, path, "probing it");
    return answer == 0 ? BERTH_OK : refuse_taken(path, pid, err);
}

/* A name in the same folder that is as short as the kernel demands. */
static void make_temporary_name(const char *path, char ret_name[PATH_LENGTH_MAX + 1])
{
    size_t length = strlen(path);

    memcpy(ret_name, path, length);
    if (length == PATH_LENGTH_MAX)
        length--;
    ret_name[length] = path[length] == '~' ? '_' : '~';
    ret_name[length + 1] = '\0';
}

/*
 * By a descriptor of the file, so that no other file can take its place meanwhile. While the owner changes,
 * the mode allows nothing that it does not allow before and after.
 */
static enum berth_code dress(const char *name, dev_t device, ino_t inode,
                             const struct unix_socket_options *options, struct berth_error *err)
{
    mode_t mode = options->mode != 0 ? options->mode : DEFAULT_MODE;
    enum berth_code code = BERTH_OK;
    struct stat status;
    char self[64];
    int fd = open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return refuse(err, options->path, "opening it");
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    if (fstat(fd, &status) < 0)
        code = refuse(err, options->path, "checking it");
    else if (!S_ISSOCK(status.st_mode) || status.st_dev != device || status.st_ino != inode)
        code = berth_error_set(err, BERTH_NOT_FOUND, "%s is not our socket any more", options->path);
    else if (options->set_owner && chmod(self, mode & status.st_mode) < 0)
        code = refuse(err, options->path, "setting its mode");
    else if (options->set_owner &&
             fchownat(fd, "", options->uid, options->gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
        code = refuse(err, options->path, "setting its owner");
    else if (chmod(self, mode) < 0)
        code = refuse(err, options->path, "setting its mode");
    close(fd);
    return code;
}

static enum berth_code bind_and_show(struct unix_socket *unix_socket,
                                     const struct unix_socket_options *options, int fd,
                                     struct berth_error *err)
{
    char name[PATH_LENGTH_MAX + 1];
    struct sockaddr_un address;
    struct stat status;
    enum berth_code code;

    make_temporary_name(unix_socket->path, name);
    if (lstat(name, &status) == 0 && S_ISSOCK(status.st_mode))
        unlink(name);
    address = address_of(name);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return refuse(err, unix_socket->path, "binding");
    code = lstat(name, &status) < 0 ? refuse(err, unix_socket->path, "checking it")
                                    : dress(name, status.st_dev, status.st_ino, options, err);
    if (code == BERTH_OK && listen(fd, options->backlog > 0 ? options->backlog : BACKLOG) < 0)
        code = refuse(err, unix_socket->path, "listening");
    if (code == BERTH_OK && rename(name, unix_socket->path) < 0)
        code = refuse(err, unix_socket->path, "renaming it");
    if (code != BERTH_OK) {
        unlink(name);
        return code;
    }
    unix_socket->device = status.st_dev;
    unix_socket->inode = status.st_ino;
    return BERTH_OK;
}

static enum berth_code claim_locked(struct unix_socket *unix_socket,
                                    const struct unix_socket_options *options, int *ret_fd,
                                    struct berth_error *err)
{
    enum berth_code code = check_path_is_free(unix_socket->path, err);
    int fd;

    if (code != BERTH_OK)
        return code;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return refuse(err, unix_socket->path, "creating a socket");
    code = bind_and_show(unix_socket, options, fd, err);
    if (code == BERTH_OK)
        *ret_fd = fd;
    else
        close(fd);
    return code;
}

static enum berth_code check_length(const char *path, struct berth_error *err)
{
    if (path == NULL || path[0] == '\0')
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "cannot listen: the socket's path is empty");
    if (strlen(path) > PATH_LENGTH_MAX)
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "cannot listen on %s: the path has %zu bytes, but the kernel allows %zu; choose a shorter one",
            path, strlen(path), PATH_LENGTH_MAX);
    return BERTH_OK;
}

/* Locks the path. @return BERTH_OK: it must be released. */
static enum berth_code lock_path(struct unix_socket *unix_socket, const char *path, struct berth_error *err)
{
    enum berth_code code = check_length(path, err);

    if (code != BERTH_OK)
        return code;
    *unix_socket = (struct unix_socket){.path = strdup(path), .lock_fd = -1};
    if (unix_socket->path == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot listen on %s: out of memory", path);
    code = take_lock(unix_socket, err);
    if (code != BERTH_OK)
        free(unix_socket->path);
    return code;
}

enum berth_code unix_socket_claim(struct unix_socket *unix_socket, const struct unix_socket_options *options,
                                  int *ret_fd, struct berth_error *err)
{
    enum berth_code code = lock_path(unix_socket, options->path, err);

    if (code != BERTH_OK)
        return code;
    code = claim_locked(unix_socket, options, ret_fd, err);
    if (code != BERTH_OK)
        unix_socket_leave(unix_socket);
    return code;
}

static bool is_ours(const struct unix_socket *unix_socket)
{
    struct stat status;

    return lstat(unix_socket->path, &status) == 0 && S_ISSOCK(status.st_mode) &&
           status.st_dev == unix_socket->device && status.st_ino == unix_socket->inode;
}

enum berth_code unix_socket_take_over(struct unix_socket *unix_socket, const char *path, dev_t device,
                                      ino_t inode, struct berth_error *err)
{
    enum berth_code code = lock_path(unix_socket, path, err);

    if (code != BERTH_OK)
        return code;
    unix_socket->device = device;
    unix_socket->inode = inode;
    if (is_ours(unix_socket))
        return BERTH_OK;
    unix_socket_leave(unix_socket);
    return berth_error_set(err, BERTH_NOT_FOUND, "%s is not the socket that was listened on before", path);
}

enum berth_code unix_socket_dress(const struct unix_socket *unix_socket,
                                  const struct unix_socket_options *options, struct berth_error *err)
{
    return dress(unix_socket->path, unix_socket->device, unix_socket->inode, options, err);
}

void unix_socket_release(struct unix_socket *unix_socket)
{
    if (is_ours(unix_socket))
        unlink(unix_socket->path);
    unix_socket_leave(unix_socket);
}

void unix_socket_leave(struct unix_socket *unix_socket)
{
    close(unix_socket->lock_fd);
    free(unix_socket->path);
}

bool unix_socket_is_bound_at(const char *name, const char *path)
{
    char temporary[PATH_LENGTH_MAX + 1];

    if (strlen(path) > PATH_LENGTH_MAX)
        return false;
    make_temporary_name(path, temporary);
    return strcmp(name, path) == 0 || strcmp(name, temporary) == 0;
}
