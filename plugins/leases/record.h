/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stored lease: containerd's message Lease, followed by the resources it holds, each as a Resource in a
 * field 16, sorted. So the beginning is what clients get, and everything changes at once.
 */
#ifndef LEASES_RECORD_H
#define LEASES_RECORD_H

#include <berth/types/leases.h>
#include <berth/wire.h>

#include "expiry.h"

/**
 * Is it a digest by the OCI image specification, "sha256:…"?
 * @return NULL; otherwise what is wrong with it, in the wording that containerd's clients know.
 */
const char *digest_check(const char *text);

/** A resource that a lease can hold: two strings borrowed from a Resource message, not NUL-terminated. */
struct resource {
    struct berth_store_bytes type;
    struct berth_store_bytes id;
};

/** Parses a Resource; false if the bytes are not a valid one. */
bool resource_read(struct berth_store_bytes message, struct resource *ret_resource);
/**
 * May a lease hold it?
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT or BERTH_UNIMPLEMENTED with the message that containerd's clients
 *         know.
 */
enum berth_code resource_check(const struct resource *resource, struct berth_error *err);

/** The id of a new lease, "" for none yet, and its labels as they will be written. */
struct record_draft {
    char id[BERTH_LEASE_ID_MAX + 1];
    /** Field 3 of the message, repeated. */
    struct berth_wire_buffer labels;
    bool expires;
    struct expiry expiry;
    /** The label exists but is not a valid time; it is ignored. */
    bool has_bad_expiry;
};

/**
 * Reads a Lease to be created. Of duplicate labels the last one wins, and empty ones are left out.
 * @return BERTH_OK, and then the draft must be finished; BERTH_INVALID_ARGUMENT; BERTH_UNKNOWN for an empty
 *         key, as in containerd; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code record_draft_init(struct record_draft *draft, struct berth_store_bytes lease,
                                  struct berth_error *err);
void record_draft_finish(struct record_draft *draft);

/** Writes the record; false without memory. */
bool record_write(const struct record_draft *draft, const struct expiry *created,
                  struct berth_wire_buffer *ret_record);

/** Length of the Lease at the beginning of a record. */
size_t record_lease_length(struct berth_store_bytes record);
/** When it expires; false if it does not. */
bool record_expiry(struct berth_store_bytes record, struct expiry *ret_expiry);
/** Visits its resources by type and id until the visitor returns false. */
void record_each_resource(struct berth_store_bytes record,
                          bool (*on_resource)(void *context, struct berth_store_bytes resource),
                          void *context);

/**
 * Writes the record with the resource added or removed.
 * @param ret_changed  false: nothing to change, and nothing was written.
 * @return false without memory.
 */
bool record_set_resource(struct berth_store_bytes record, const struct resource *resource, bool keeps,
                         struct berth_wire_buffer *ret_record, bool *ret_changed);

#endif
