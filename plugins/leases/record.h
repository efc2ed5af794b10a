/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease as the store keeps it: containerd's message Lease, and behind its fields what it keeps, each as a
 * Resource in a field 16, in order. So the beginning is what clients are told, and all changes at once.
 */
#ifndef LEASES_RECORD_H
#define LEASES_RECORD_H

#include <berth/types/leases.h>
#include <berth/wire.h>

#include "expiry.h"

/**
 * Is it a digest of the OCI's image specification, "sha256:…"?
 * @return NULL; else what is wrong with it, in the words that containerd's clients know.
 */
const char *digest_check(const char *text);

/** What a lease can keep: two texts, borrowed from a Resource message; neither has a NUL behind it. */
struct resource {
    struct berth_store_bytes type;
    struct berth_store_bytes id;
};

/** Reads a Resource; false where the bytes are none. */
bool resource_read(struct berth_store_bytes message, struct resource *ret_resource);
/**
 * May a lease keep it?
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT or BERTH_UNIMPLEMENTED with the sentence that containerd's clients
 *         know.
 */
enum berth_code resource_check(const struct resource *resource, struct berth_error *err);

/** The id that a new lease is to have, "" for none yet, and its labels as they will be written. */
struct record_draft {
    char id[BERTH_LEASE_ID_MAX + 1];
    /** Field 3 of the message, over and over. */
    struct berth_wire_buffer labels;
    bool expires;
    struct expiry expiry;
    /** The label exists but is not a valid time; it is ignored. */
    bool has_bad_expiry;
};

/**
 * Reads a Lease that is to be made. Of each label the last value counts, and an empty one leaves it out.
 * @return BERTH_OK, and then the draft is to be finished; BERTH_INVALID_ARGUMENT, BERTH_UNKNOWN for an empty
 *         key, as containerd has it, BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code record_draft_init(struct record_draft *draft, struct berth_store_bytes lease,
                                  struct berth_error *err);
void record_draft_finish(struct record_draft *draft);

/** Writes the record; false without memory. */
bool record_write(const struct record_draft *draft, const struct expiry *created,
                  struct berth_wire_buffer *ret_record);

/** How many bytes of a record are the Lease. */
size_t record_lease_length(struct berth_store_bytes record);
/** When it ends by itself; false where it does not. */
bool record_expiry(struct berth_store_bytes record, struct expiry *ret_expiry);
/** Visits what it keeps, by type and id, until the visitor returns false. */
void record_each_resource(struct berth_store_bytes record,
                          bool (*on_resource)(void *context, struct berth_store_bytes resource),
                          void *context);

/**
 * Writes the record with the resource added, or taken out.
 * @param ret_changed  false: it is as it was, and nothing was written.
 * @return false without memory.
 */
bool record_set_resource(struct berth_store_bytes record, const struct resource *resource, bool keeps,
                         struct berth_wire_buffer *ret_record, bool *ret_changed);

#endif
