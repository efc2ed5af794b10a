/* SPDX-License-Identifier: Apache-2.0 */
/* A regular expression from outside, in RE2's dialect, which is containerd's. Bounded in what it costs. */
#ifndef FILTER_PATTERN_H
#define FILTER_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include <berth/error.h>

struct pattern;

/**
 * Compiles a pattern. The first one loads RE2, which stays.
 *
 * @param max_bytes  what it may take of memory; written back is what it leaves of that.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with the reason alone; BERTH_RESOURCE_EXHAUSTED without memory;
 *         BERTH_UNAVAILABLE where RE2 cannot be loaded.
 */
enum berth_code pattern_create(const char *text, size_t *max_bytes, struct pattern **ret_pattern,
                               struct berth_error *err);
void pattern_destroy(struct pattern *pattern);
/** Is it anywhere in the text? */
bool pattern_matches(const struct pattern *pattern, const char *text);

#endif
