/* SPDX-License-Identifier: Apache-2.0 */
/* A regular expression from outside: near to RE2 in what it takes, and bounded in what it costs. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "pattern.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* Steps of backtracking for one text, and KiB of memory: a millisecond or two at the worst. */
#define MATCH_LIMIT 10000
#define HEAP_LIMIT_KIB 1024
#define PATTERN_MAX 4096
#define NESTING_MAX 64

struct pattern {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *context;
    /** It went over a limit once, and is not tried again: a filter is asked of every object. */
    bool is_costly;
};

static pcre2_code *compile(const char *text)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C |
                       PCRE2_NO_AUTO_CAPTURE;
    pcre2_code *code;
    PCRE2_SIZE where;
    int error;

    if (context == NULL)
        return NULL;
    pcre2_set_max_pattern_length(context, PATTERN_MAX);
    pcre2_set_parens_nest_limit(context, NESTING_MAX);
    code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &error, &where, context);
    pcre2_compile_context_free(context);
    return code;
}

struct pattern *pattern_create(const char *text)
{
    struct pattern *pattern = calloc(1, sizeof(*pattern));

    if (pattern == NULL)
        return NULL;
    pattern->code = compile(text);
    pattern->match = pcre2_match_data_create(1, NULL);
    pattern->context = pcre2_match_context_create(NULL);
    if (pattern->code == NULL || pattern->match == NULL || pattern->context == NULL) {
        pattern_destroy(pattern);
        return NULL;
    }
    pcre2_set_match_limit(pattern->context, MATCH_LIMIT);
    pcre2_set_heap_limit(pattern->context, HEAP_LIMIT_KIB);
    return pattern;
}

void pattern_destroy(struct pattern *pattern)
{
    if (pattern == NULL)
        return;
    pcre2_match_context_free(pattern->context);
    pcre2_match_data_free(pattern->match);
    pcre2_code_free(pattern->code);
    free(pattern);
}

bool pattern_matches(struct pattern *pattern, const char *text)
{
    int result;

    if (pattern->is_costly)
        return false;
    result =
        pcre2_match(pattern->code, (PCRE2_SPTR)text, strlen(text), 0, 0, pattern->match, pattern->context);
    pattern->is_costly = result < PCRE2_ERROR_NOMATCH;
    return result >= 0;
}
