/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon with a store in memory, on a thread of its own, as the worker of an isolated plugin meets it. One
 * at a time. */
#ifndef TESTS_UNIT_STORE_DAEMON_H
#define TESTS_UNIT_STORE_DAEMON_H

#include <berth/types/store.h>

#define URI "io.berth.test.v1.user"

/** @param fd  its end of the connection, over which the store is interface 0. @return the store's limits. */
const struct berth_store_limits *store_daemon_start(int fd);
/** Writes the entry "n" of the bucket "b" as another plugin in the daemon would; returns once it is there. */
void store_daemon_write(const char *text);
/** The other end of the connection is closed. */
void store_daemon_stop(void);

#endif
