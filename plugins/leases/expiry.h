/* SPDX-License-Identifier: Apache-2.0 */
/* When a lease ends: times as RFC 3339 writes them. */
#ifndef LEASES_EXPIRY_H
#define LEASES_EXPIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPIRY_LABEL "containerd.io/gc.expire"

/** Since 1970, UTC. */
struct expiry {
    int64_t seconds;
    uint32_t nanoseconds;
};

/** Reads "2026-11-24T02:20:00.5+01:00"; false where it is none. */
bool expiry_parse(const char *text, size_t length, struct expiry *ret_expiry);
/** As of strcmp. */
int expiry_compare(const struct expiry *a, const struct expiry *b);
/** By the clock of this machine. */
struct expiry expiry_now(void);

#endif
