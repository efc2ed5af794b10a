/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets that plugins listen on. The host keeps each by its address, so that they outlive the
 * generations of a plugin, and the daemon itself where the service manager holds them.
 */
#ifndef CORE_LISTEN_LISTEN_H
#define CORE_LISTEN_LISTEN_H

#include <berth/plugin.h>

struct listeners;

/** As notify_send: lines of NAME=VALUE for the service manager, with descriptors. 0, or a negative errno. */
typedef int listeners_notify(const char *lines, const int *fds, size_t fd_count);

/**
 * Takes the sockets that the service manager has passed (sd_listen_fds(3)), and refuses those that cannot be
 * listened on. New ones are passed to it for the next run where FDSTORE says that it takes some. Removes its
 * variables from the environment. Before any thread is started. Aborts without memory.
 */
struct listeners *listeners_create(listeners_notify *notify);
/** Only removes the variables: for a command that runs plugin code without being the daemon. */
void listeners_hide(void);

/**
 * @see berth_listen
 * @param owner  identifies the generation.
 * @param uri    its plugin; a claim passes between generations of the same one, or when nobody uses it.
 */
enum berth_code listeners_listen(struct listeners *listeners, const void *owner, const char *uri,
                                 const struct berth_listen *request, int *ret_fd, struct berth_error *err);
/** @see berth_unlisten */
void listeners_unlisten(struct listeners *listeners, const void *owner, const char *address);
/** The generation is gone: it uses nothing any more. */
void listeners_release(struct listeners *listeners, const void *owner);

/** A start or a change is complete: closes what nobody uses, the sockets of the service manager included. */
void listeners_sweep(struct listeners *listeners);
/** A change has failed: closes what was opened for it. What was used before it may be used again. */
void listeners_give_up(struct listeners *listeners);
/**
 * The daemon stops: what nobody uses is closed at once, unless the service manager keeps it for the next run,
 * for which clients then wait.
 */
void listeners_stop(struct listeners *listeners);
/** Closes all. Accepts NULL. */
void listeners_destroy(struct listeners *listeners);

#endif
