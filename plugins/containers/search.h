/* SPDX-License-Identifier: Apache-2.0 */
/* Containers looked through by a filter, without unpacking them. */
#ifndef CONTAINERS_SEARCH_H
#define CONTAINERS_SEARCH_H

#include <stdbool.h>

#include <berth/filter.h>
#include <berth/types/store.h>
#include <berth/wire.h>

/** Zero-initialise. */
struct search {
    struct berth_filter *filter;
    /** The container in hand, and a copy of it whose strings get a NUL where they are looked at. */
    struct berth_store_bytes value;
    struct berth_wire_buffer copy;
};

enum berth_code search_init(struct search *search, const char *const *filters, size_t filter_count,
                            struct berth_error *err);
/** Does the container match? False also without memory, which `search->copy.failed` says. */
bool search_matches(struct search *search, struct berth_store_bytes value);
void search_finish(struct search *search);

#endif
