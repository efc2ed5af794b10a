/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that a service manager passes when it starts the daemon: sd_listen_fds(3), without libsystemd.
 */
#ifndef CORE_LISTEN_INHERITED_H
#define CORE_LISTEN_INHERITED_H

#include <stdbool.h>
#include <stddef.h>

/** Sockets accepted from the service manager; more are closed. */
#define INHERITED_MAX 1024
/** Size of FileDescriptorName= with its NUL. */
#define INHERITED_NAME_MAX 256
/** Size of a unix path or of a TCP address with its NUL. */
#define INHERITED_ADDRESS_MAX 128

/** A listening stream socket, non-blocking and closed on exec. */
struct inherited {
    int fd;
    bool is_unix;
    /** As the kernel names it: a path, "@" and an abstract name, or "127.0.0.1:80". */
    char address[INHERITED_ADDRESS_MAX];
    /** "" if it has none. */
    char name[INHERITED_NAME_MAX];
};

/**
 * Takes what LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES tell of, and removes them. What cannot be listened on
 * is closed, with a warning.
 *
 * @param ret_sockets  allocated; NULL if there are none. The descriptors are the caller's. Aborts without
 *                     memory.
 */
size_t inherited_take(struct inherited **ret_sockets);
/** Only removes the variables. */
void inherited_hide(void);

#endif
