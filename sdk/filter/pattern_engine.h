/* SPDX-License-Identifier: Apache-2.0 */
/* What libberth-filter-re2 exports: RE2 as a table of C functions. Both sides are of one build. */
#ifndef FILTER_PATTERN_ENGINE_H
#define FILTER_PATTERN_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PATTERN_ENGINE_LIBRARY "libberth-filter-re2.so.0"
#define PATTERN_ENGINE_SYMBOL "berth_filter_re2"

/** A sentence about a pattern, cut between characters to fit. */
#define PATTERN_REASON_MAX 160

enum pattern_result {
    PATTERN_OK,
    /** Not a regular expression of RE2's dialect. */
    PATTERN_REFUSED,
    /** One, but not within the memory that it may take. */
    PATTERN_TOO_LARGE,
    /** Malloc failed. */
    PATTERN_OUT_OF_MEMORY,
};

enum pattern_match {
    PATTERN_MATCHES,
    PATTERN_DIFFERS,
    /** Matching would take more steps than allowed, so it was not tried. */
    PATTERN_TOO_COSTLY,
    PATTERN_MATCH_OUT_OF_MEMORY,
};

struct pattern_engine {
    /**
     * Compiles a pattern.
     *
     * @param max_bytes      of memory for the program and for what matching caches.
     * @param ret_compiled   to be destroyed; written only on success.
     * @param ret_reason     PATTERN_REASON_MAX bytes, written where the pattern is refused.
     */
    enum pattern_result (*compile)(const char *text, size_t max_bytes, void **ret_compiled, char *ret_reason);
    /**
     * Searches the text for the pattern. The worst case is one step per byte and instruction of the compiled
     * pattern.
     *
     * @param max_steps  the text is refused where the worst case exceeds this.
     */
    enum pattern_match (*match)(const void *compiled, const char *text, size_t max_steps);
    void (*destroy)(void *compiled);
};

extern const struct pattern_engine berth_filter_re2;

#ifdef __cplusplus
}
#endif

#endif
