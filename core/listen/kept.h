/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that the service manager keeps for the next run of the daemon: its file descriptor store. */
#ifndef CORE_LISTEN_KEPT_H
#define CORE_LISTEN_KEPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "listen.h"

/** Size of a name in the store, with its NUL. */
#define KEPT_NAME_MAX 80

/** What the name of a socket in the store says, so that the next run knows it again. */
struct kept {
    /** Of the plugin and of the address as configured. */
    uint64_t hash;
    /** The file of a unix socket; else 0. */
    dev_t device;
    ino_t inode;
};

uint64_t kept_hash(const char *uri, const char *address);
void kept_format(const struct kept *kept, char ret_name[KEPT_NAME_MAX]);
/** @return false if the name is not one of kept_format. */
bool kept_parse(const char *name, struct kept *ret_kept);

/** How many the service manager takes, by FDSTORE; 0: none. */
unsigned kept_max(void);

/** Passes a socket on; it stays the caller's too. @return false if the service manager does not take it. */
bool kept_add(listeners_notify *notify, const char *name, int fd);
void kept_remove(listeners_notify *notify, const char *name);

#endif
