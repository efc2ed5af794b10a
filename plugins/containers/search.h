/* SPDX-License-Identifier: Apache-2.0 */
/* Containers looked through by a filter, without unpacking them. */
#ifndef CONTAINERS_SEARCH_H
#define CONTAINERS_SEARCH_H

#include <stdbool.h>

#include <berth/filter.h>
#include <berth/types/store.h>
#include <berth/wire_map.h>

/** Zero-initialise. */
struct search {
    struct berth_filter *filter;
    /** The container in hand, and room for a copy of those of its strings that are asked for. */
    struct berth_store_bytes value;
    struct berth_wire_buffer copy;
    /** Its labels, once one of them has been asked for. */
    struct berth_wire_map labels;
    bool has_labels;
};

enum berth_code search_init(struct search *search, const char *const *filters, size_t filter_count,
                            struct berth_error *err);
/** @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED as of berth_filter_match. */
enum berth_code search_match(struct search *search, struct berth_store_bytes value, bool *ret_matches,
                             struct berth_error *err);
void search_finish(struct search *search);

#endif
