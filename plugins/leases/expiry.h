/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expiry times of leases: RFC 3339 times, and an index of the expiring leases of all namespaces in the order
 * of their expiry. The index is a bucket that is changed together with the leases, so that nobody has to scan
 * all leases or keep them in memory.
 */
#ifndef LEASES_EXPIRY_H
#define LEASES_EXPIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/namespace.h>
#include <berth/types/leases.h>

#define EXPIRY_LABEL "containerd.io/gc.expire"

/** Since 1970, UTC. */
struct expiry {
    int64_t seconds;
    uint32_t nanoseconds;
};

/** Parses "2026-11-24T02:20:00.5+01:00"; false if it is not a valid time. */
bool expiry_parse(const char *text, size_t length, struct expiry *ret_expiry);
/** As of strcmp. */
int expiry_compare(const struct expiry *a, const struct expiry *b);
/** By this machine's clock. */
struct expiry expiry_now(void);

#define INDEX_BUCKET "lease-expiries"

/** Time, namespace, NUL, id. */
#define INDEX_KEY_MAX (12 + BERTH_IDENTIFIER_MAX + 1 + BERTH_LEASE_ID_MAX)

struct index_key {
    uint8_t bytes[INDEX_KEY_MAX];
    size_t length;
};

/** The parts of a key. */
struct index_entry {
    struct expiry expiry;
    char namespace_name[BERTH_IDENTIFIER_MAX + 1];
    char id[BERTH_LEASE_ID_MAX + 1];
};

/** The names are within bounds. Keys sort by time. */
void index_make(struct index_key *ret_key, const struct expiry *expiry, const char *namespace_name,
                const char *id);
/** False if it is not a valid key. */
bool index_read(struct berth_store_bytes key, struct index_entry *ret_entry);

#endif
