/* SPDX-License-Identifier: Apache-2.0 */
/* One filter: selectors that must all match, as they were parsed. */
#ifndef FILTER_SELECTOR_H
#define FILTER_SELECTOR_H

#include <stddef.h>

#include <berth/error.h>

#include "pattern.h"

enum comparison {
    COMPARE_PRESENT,
    COMPARE_EQUAL,
    COMPARE_NOT_EQUAL,
    COMPARE_MATCHES,
};

struct selector {
    char **path;
    size_t path_count;
    enum comparison comparison;
    char *value;
    /** Of a ~= alone. */
    struct pattern *pattern;
};

struct selectors {
    struct selector *items;
    size_t count;
};

/** What is left of the bounds on one request. */
struct selector_budget {
    size_t selectors;
    size_t patterns;
    size_t pattern_bytes;
};

/** BERTH_OK; BERTH_INVALID_ARGUMENT with containerd's sentence; BERTH_RESOURCE_EXHAUSTED. To be finished in
 * any case. */
enum berth_code selectors_parse(const char *text, struct selector_budget *budget, struct selectors *selectors,
                                struct berth_error *err);
void selectors_finish(struct selectors *selectors);

#endif
