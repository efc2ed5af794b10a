/* SPDX-License-Identifier: Apache-2.0 */
/* An untrusted regular expression in RE2's dialect, which is containerd's, with bounded cost. */
#include "pattern.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sdk/base/lazy_library.h>

#include "pattern_engine.h"

#define PATTERN_MAX_BYTES 16384

/*
 * RE2 is linear in the text, but a pattern such as .*a.{900}b takes 25 µs a byte, and the loop stands still
 * meanwhile. A step takes about 3 ns at worst: one text may cost 0.8 s of CPU time, and only a pattern of
 * that kind on a text of some KiB, or an ordinary one on a text of some MiB, is refused.
 */
#define STEPS_MAX ((size_t)1 << 28)
#define TIME_AT_ONCE_NS (UINT64_C(500) * 1000 * 1000)
#define TIME_SHARE 10

/*
 * A subscriber keeps its patterns for hours, and RE2 fills what memory it is given with states. So a pattern
 * gets the least that its program fits into: of a thousand subscribers with an ordinary one each, 32 MiB at
 * the most.
 */
static const size_t memory_sizes[] = {32 << 10, 128 << 10, 512 << 10};

struct pattern {
    const struct pattern_engine *engine;
    void *compiled;
};

/* RE2 knows \C, one byte of a character; Go's syntax does not have it. Between \Q and \E nothing is special.
 */
static bool asks_for_bytes(const char *text)
{
    while ((text = strchr(text, '\\')) != NULL && text[1] != '\0') {
        if (text[1] == 'C')
            return true;
        if (text[1] == 'Q') {
            text = strstr(text, "\\E");
            if (text == NULL)
                return false;
        }
        text += 2;
    }
    return false;
}

static enum pattern_result compile(struct pattern *pattern, const char *text, size_t *max_bytes,
                                   char *ret_reason)
{
    enum pattern_result result = PATTERN_TOO_LARGE;

    for (size_t i = 0; i < sizeof(memory_sizes) / sizeof(memory_sizes[0]) && result == PATTERN_TOO_LARGE;
         i++) {
        if (memory_sizes[i] > *max_bytes)
            break;
        result = pattern->engine->compile(text, memory_sizes[i], &pattern->compiled, ret_reason);
        if (result == PATTERN_OK)
            *max_bytes -= memory_sizes[i];
    }
    return result;
}

static enum berth_code compile_within(struct pattern *pattern, const char *text, size_t *max_bytes,
                                      struct berth_error *err)
{
    char reason[PATTERN_REASON_MAX];

    switch (compile(pattern, text, max_bytes, reason)) {
    case PATTERN_OK:
        return BERTH_OK;
    case PATTERN_REFUSED:
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s", reason);
    case PATTERN_TOO_LARGE:
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "too large once compiled, alone or with the others of this request");
    case PATTERN_OUT_OF_MEMORY:
        break;
    }
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a regular expression");
}

enum berth_code pattern_create(const char *text, size_t *max_bytes, struct pattern **ret_pattern,
                               struct berth_error *err)
{
    struct pattern pattern = {.engine = NULL};
    const void *engine;
    struct berth_error reason;
    enum berth_code code;

    if (strlen(text) > PATTERN_MAX_BYTES)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "longer than %d bytes", PATTERN_MAX_BYTES);
    if (asks_for_bytes(text))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "invalid escape sequence: \\C");
    code = berth_lazy_library(PATTERN_ENGINE_LIBRARY, PATTERN_ENGINE_SYMBOL, &engine, &reason);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "cannot use regular expressions: %s (reinstall berth)",
                               reason.message);
    pattern.engine = engine;
    code = compile_within(&pattern, text, max_bytes, err);
    if (code != BERTH_OK)
        return code;
    *ret_pattern = malloc(sizeof(**ret_pattern));
    if (*ret_pattern == NULL) {
        pattern.engine->destroy(pattern.compiled);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a regular expression");
    }
    **ret_pattern = pattern;
    return BERTH_OK;
}

void pattern_destroy(struct pattern *pattern)
{
    if (pattern == NULL)
        return;
    pattern->engine->destroy(pattern->compiled);
    free(pattern);
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A bucket that leaks: what was used is forgotten at a tenth of the speed of time. */
static bool has_time(struct pattern_time *time)
{
    uint64_t now = read_clock(CLOCK_MONOTONIC);
    uint64_t forgiven = (now - time->seen_ns) / TIME_SHARE;

    time->used_ns -= forgiven < time->used_ns ? forgiven : time->used_ns;
    time->seen_ns = now;
    return time->used_ns < TIME_AT_ONCE_NS;
}

enum berth_code pattern_match(const struct pattern *pattern, const char *text, struct pattern_time *time,
                              bool *ret_matches, struct berth_error *err)
{
    enum pattern_match match;
    uint64_t begun;

    if (!has_time(time))
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "used more than %d ms of CPU time; use a simpler expression",
                               (int)(TIME_AT_ONCE_NS / 1000000));
    begun = read_clock(CLOCK_THREAD_CPUTIME_ID);
    match = pattern->engine->match(pattern->compiled, text, STEPS_MAX);
    time->used_ns += read_clock(CLOCK_THREAD_CPUTIME_ID) - begun;
    switch (match) {
    case PATTERN_MATCHES:
    case PATTERN_DIFFERS:
        *ret_matches = match == PATTERN_MATCHES;
        return BERTH_OK;
    case PATTERN_TOO_COSTLY:
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "too complex to search a value of %zu bytes; use a simpler expression",
                               strlen(text));
    case PATTERN_MATCH_OUT_OF_MEMORY:
        break;
    }
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory");
}
