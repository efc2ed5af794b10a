/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_SOCKET_UNIX_SOCKET_H
#define RPC_SOCKET_UNIX_SOCKET_H

#include <sys/types.h>

#include <berth/error.h>
#include <berth/rpc/server.h>

/** A path that this process listens on. */
struct unix_socket {
    char *path;
    int lock_fd;
    /** Identifies the socket's file. */
    dev_t device;
    ino_t inode;
};

/**
 * Binds, listens and puts the socket under its name, as documented for berth_rpc_server_listen_unix.
 *
 * @param ret_fd  The listening descriptor, non-blocking; owned by the caller.
 */
enum berth_code unix_socket_claim(struct unix_socket *socket, const struct berth_rpc_unix_options *options,
                                  int *ret_fd, struct berth_error *err);

/** Removes the file if it is still ours, and releases the path. */
void unix_socket_release(struct unix_socket *socket);

#endif
