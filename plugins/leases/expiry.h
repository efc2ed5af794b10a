/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When leases end: times as RFC 3339 writes them, and the index of the leases of all namespaces that end by
 * themselves, in the order in which they do. The index is a bucket of its own, changed together with the
 * leases, so that nobody has to look through them all, nor remember any of it.
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

/** Reads "2026-11-24T02:20:00.5+01:00"; false where it is none. */
bool expiry_parse(const char *text, size_t length, struct expiry *ret_expiry);
/** As of strcmp. */
int expiry_compare(const struct expiry *a, const struct expiry *b);
/** By the clock of this machine. */
struct expiry expiry_now(void);

#define INDEX_BUCKET "lease-expiries"

/** Time, namespace, NUL, id. */
#define INDEX_KEY_MAX (12 + BERTH_IDENTIFIER_MAX + 1 + BERTH_LEASE_ID_MAX)

struct index_key {
    uint8_t bytes[INDEX_KEY_MAX];
    size_t length;
};

/** What a key says. */
struct index_entry {
    struct expiry expiry;
    char namespace_name[BERTH_IDENTIFIER_MAX + 1];
    char id[BERTH_LEASE_ID_MAX + 1];
};

/** The names are within their bounds. Keys are ordered as the times are. */
void index_make(struct index_key *ret_key, const struct expiry *expiry, const char *namespace_name,
                const char *id);
/** False where it is no such key. */
bool index_read(struct berth_store_bytes key, struct index_entry *ret_entry);

#endif
