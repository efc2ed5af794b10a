/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon with a store in memory, on a thread of its own, as the worker of an isolated plugin meets it. One
 * at a time. */
#ifndef TESTS_UNIT_STORE_DAEMON_H
#define TESTS_UNIT_STORE_DAEMON_H

#include <berth/types/store.h>

#define URI "io.berth.test.v1.user"

/**
 * @param fd      its end of the connection, over which the store is interface 0.
 * @param prefix  of the plugin's own buckets, instead of its URI; "": all are.
 * @return the store's limits.
 */
const struct berth_store_limits *store_daemon_start(int fd, const char *prefix);
/** Writes the entry "n" of a bucket as another plugin in the daemon would; returns once it is there. */
void store_daemon_write(const char *bucket, const char *text);
/** How often the store was asked for a bucket since the start. */
unsigned store_daemon_bucket_reads(void);
/** The other end of the connection is closed. */
void store_daemon_stop(void);

#endif
