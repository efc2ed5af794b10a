/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leases of all namespaces that end by themselves, in the order in which they do: a bucket of its own,
 * changed together with the leases, so that nobody has to look through them all, nor remember any of it.
 */
#ifndef LEASES_INDEX_H
#define LEASES_INDEX_H

#include <berth/namespace.h>
#include <berth/types/leases.h>

#include "expiry.h"

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
