/* SPDX-License-Identifier: Apache-2.0 */
/* Matches containers against a filter without unpacking them. */
#ifndef CONTAINERS_SEARCH_H
#define CONTAINERS_SEARCH_H

#include <stdbool.h>

#include <berth/filter.h>
#include <berth/types/store.h>
#include <berth/wire_map.h>

/** Zero-initialise. */
struct search {
    struct berth_filter *filter;
    /** The container being matched, and memory for copies of the strings that the filter uses. */
    struct berth_store_bytes value;
    struct berth_wire_buffer copy;
    /** Its labels, once the filter has used one. */
    struct berth_wire_map labels;
    bool has_labels;
};

enum berth_code search_init(struct search *search, const char *const *filters, size_t filter_count,
                            struct berth_error *err);
/** @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED as for berth_filter_match. */
enum berth_code search_match(struct search *search, struct berth_store_bytes value, bool *ret_matches,
                             struct berth_error *err);
void search_finish(struct search *search);

#endif
