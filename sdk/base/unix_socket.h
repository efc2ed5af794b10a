/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a path for a listening unix socket, with a lock file beside it. */
#ifndef BASE_UNIX_SOCKET_H
#define BASE_UNIX_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include <berth/error.h>

struct unix_socket_options {
    /** Absolute or relative. */
    const char *path;
    /** Connections that may wait to be accepted; 0: 1024. */
    int backlog;
    /** Permission bits; 0: 0660. */
    mode_t mode;
    /** (uid_t)-1 and (gid_t)-1 leave them. */
    bool set_owner;
    uid_t uid;
    gid_t gid;
};

/** A path that this process listens on. */
struct unix_socket {
    char *path;
    int lock_fd;
    /** Identifies the socket's file. */
    dev_t device;
    ino_t inode;
};

/**
 * Binds, listens and puts the socket under its name once it is listening, with its mode and owner. A stale
 * socket is replaced. `<path>.lock` beside it is locked until the release, and left behind.
 *
 * @param ret_fd  The listening descriptor, non-blocking; owned by the caller.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a path that is empty or too long; BERTH_ALREADY_EXISTS if a
 *         process is listening there (its pid is in `err`) or the path is not a socket;
 *         BERTH_PERMISSION_DENIED, BERTH_NOT_FOUND (no such folder), BERTH_RESOURCE_EXHAUSTED or
 *         BERTH_UNAVAILABLE with the reason.
 */
enum berth_code unix_socket_claim(struct unix_socket *socket, const struct unix_socket_options *options,
                                  int *ret_fd, struct berth_error *err);

/**
 * Takes a path over on which an earlier process listened by unix_socket_claim, and of whose socket the caller
 * has the descriptor.
 *
 * @return BERTH_OK; BERTH_NOT_FOUND if the file is not that socket any more; else as unix_socket_claim.
 */
enum berth_code unix_socket_take_over(struct unix_socket *socket, const char *path, dev_t device, ino_t inode,
                                      struct berth_error *err);

/**
 * Gives the file another mode and owner, if it is still ours. @return BERTH_OK; BERTH_NOT_FOUND if it is not;
 * BERTH_PERMISSION_DENIED or BERTH_UNAVAILABLE with the reason.
 */
enum berth_code unix_socket_dress(const struct unix_socket *socket, const struct unix_socket_options *options,
                                  struct berth_error *err);

/** Removes the file if it is still ours, and releases the path. */
void unix_socket_release(struct unix_socket *socket);

/** Releases the path and leaves the file to a process that takes it over. */
void unix_socket_leave(struct unix_socket *socket);

/** Is this the kernel's name of a socket that unix_socket_claim has put at `path`? Or of any other there. */
bool unix_socket_is_bound_at(const char *name, const char *path);

#endif
