/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's identity: a random UUID that is kept across restarts, and its PID namespace. */
#ifndef INTROSPECTION_IDENTITY_H
#define INTROSPECTION_IDENTITY_H

#include <stdint.h>

#include <berth/error.h>

/** Size of a UUID as text, including its NUL. */
#define IDENTITY_UUID_SIZE 37

/** A random UUID, version 4. */
enum berth_code identity_make_uuid(char ret_uuid[IDENTITY_UUID_SIZE], struct berth_error *err);

/**
 * Reads the UUID in a directory, or creates one and stores it there. Blocks.
 *
 * @return BERTH_OK; BERTH_UNAVAILABLE if it can be neither read nor stored.
 */
enum berth_code identity_keep_uuid(const char *folder, char ret_uuid[IDENTITY_UUID_SIZE],
                                   struct berth_error *err);

/** The inode of our PID namespace; 0 without /proc. */
uint64_t identity_pid_namespace(void);

#endif
