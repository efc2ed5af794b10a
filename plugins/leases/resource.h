/* SPDX-License-Identifier: Apache-2.0 */
/* What a lease can keep, and what it cannot. */
#ifndef LEASES_RESOURCE_H
#define LEASES_RESOURCE_H

#include <berth/error.h>
#include <berth/types/store.h>

/** Type and id together, in bytes. */
#define RESOURCE_MAX 4096

/** Two texts, borrowed from a Resource message; neither has a NUL behind it. */
struct resource {
    struct berth_store_bytes type;
    struct berth_store_bytes id;
};

/** Reads a Resource; false where the bytes are none. */
bool resource_read(struct berth_store_bytes message, struct resource *ret_resource);
/** By type, then by id, in byte order. As of strcmp. */
int resource_compare(const struct resource *a, const struct resource *b);

/**
 * May a lease keep it?
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT or BERTH_UNIMPLEMENTED with the sentence that containerd's clients
 *         know.
 */
enum berth_code resource_check(const struct resource *resource, struct berth_error *err);

#endif
