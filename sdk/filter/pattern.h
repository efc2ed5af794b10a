/* SPDX-License-Identifier: Apache-2.0 */
/* A regular expression from outside, in RE2's dialect, which is containerd's. Bounded in what it costs. */
#ifndef FILTER_PATTERN_H
#define FILTER_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

struct pattern;

/**
 * Compiles a pattern. The first one loads RE2, which stays.
 *
 * @param max_bytes  what it may take of memory; written back is what it leaves of that.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with the reason alone; BERTH_RESOURCE_EXHAUSTED without memory;
 *         BERTH_UNAVAILABLE if RE2 cannot be loaded.
 */
enum berth_code pattern_create(const char *text, size_t *max_bytes, struct pattern **ret_pattern,
                               struct berth_error *err);
void pattern_destroy(struct pattern *pattern);

/** CPU time that patterns have used, measured over the life of a filter. Zero-initialise. */
struct pattern_time {
    uint64_t used_ns;
    /** CLOCK_MONOTONIC at the last match. */
    uint64_t seen_ns;
};

/**
 * Searches the text for the pattern.
 *
 * @param time  shared by the patterns of one filter: half a second of CPU time at once, then a tenth of the
 * time that passes. Beyond that nothing matches any more, it fails.
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED with the reason alone where the text is too long for this
 * pattern, the time is used up, or memory ran out.
 */
enum berth_code pattern_match(const struct pattern *pattern, const char *text, struct pattern_time *time,
                              bool *ret_matches, struct berth_error *err);

#endif
