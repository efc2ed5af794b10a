/* SPDX-License-Identifier: Apache-2.0 */
/* Filters as a whole: parsed once, matched against every object. */
#include <berth/filter.h>

#include <stdlib.h>
#include <string.h>

#include "selector.h"

/* What the regular expressions of one request may take: enough for 32 ordinary ones. */
#define PATTERN_BYTES_MAX ((size_t)1 << 20)

struct berth_filter {
    struct pattern_time time;
    size_t count;
    struct selectors alternatives[];
};

static enum berth_code check_size(const char *const *texts, size_t count, struct berth_error *err)
{
    size_t bytes = count;

    for (size_t i = 0; i < count && bytes <= BERTH_FILTER_MAX_BYTES; i++)
        bytes += strlen(texts[i]);
    if (bytes > BERTH_FILTER_MAX_BYTES)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "filters: more than %d bytes in one request: invalid argument",
                               BERTH_FILTER_MAX_BYTES);
    return BERTH_OK;
}

enum berth_code berth_filter_create(const char *const *texts, size_t count, struct berth_filter **ret_filter,
                                    struct berth_error *err)
{
    struct selector_budget budget = {
        .selectors = BERTH_FILTER_MAX_SELECTORS,
        .patterns = BERTH_FILTER_MAX_PATTERNS,
        .pattern_bytes = PATTERN_BYTES_MAX,
    };
    enum berth_code code = check_size(texts, count, err);
    struct berth_filter *filter;

    if (code != BERTH_OK)
        return code;
    filter = calloc(1, sizeof(*filter) + count * sizeof(filter->alternatives[0]));
    if (filter == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the filters");
    for (size_t i = 0; i < count && code == BERTH_OK; i++)
        code = selectors_parse(texts[i], &budget, &filter->alternatives[filter->count++], err);
    if (code == BERTH_OK)
        *ret_filter = filter;
    else
        berth_filter_destroy(filter);
    return code;
}

void berth_filter_destroy(struct berth_filter *filter)
{
    if (filter == NULL)
        return;
    for (size_t i = 0; i < filter->count; i++)
        selectors_finish(&filter->alternatives[i]);
    free(filter);
}

static bool is_known(const struct selector *selector, const char *const *names)
{
    for (; *names != NULL; names++)
        if (selector->path_count == 1 && strcmp(selector->path[0], *names) == 0)
            return true;
    return false;
}

static enum berth_code refuse_field(const struct selector *selector, const char *const *names,
                                    struct berth_error *err)
{
    struct berth_error list = {""};
    size_t used = 0;

    for (; *names != NULL && used < sizeof(list.message); names++)
        used += (size_t)snprintf(list.message + used, sizeof(list.message) - used, "%s%s",
                                 used == 0 ? "" : ", ", *names);
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "filters: unknown field \"%.100s%s\" (fields: %.1500s)", selector->path[0],
                           selector->path_count > 1 ? ".…" : "", list.message);
}

enum berth_code berth_filter_check(const struct berth_filter *filter, const char *const *names,
                                   struct berth_error *err)
{
    for (size_t i = 0; i < filter->count; i++)
        for (size_t j = 0; j < filter->alternatives[i].count; j++)
            if (!is_known(&filter->alternatives[i].items[j], names))
                return refuse_field(&filter->alternatives[i].items[j], names, err);
    return BERTH_OK;
}

static enum berth_code match_pattern(const struct selector *selector, const char *value,
                                     struct pattern_time *time, bool *ret_matches, struct berth_error *err)
{
    struct berth_error reason;
    enum berth_code code = pattern_match(selector->pattern, value, time, ret_matches, &reason);

    if (code == BERTH_OK)
        return BERTH_OK;
    return berth_error_set(err, code, "filters: regular expression \"%.100s\": %s", selector->value,
                           reason.message);
}

static enum berth_code match_selector(const struct selector *selector, struct pattern_time *time,
                                      berth_filter_field *field, void *context, bool *ret_matches,
                                      struct berth_error *err)
{
    const char *value = "";
    bool present = field(context, (const char *const *)selector->path, selector->path_count, &value);

    if (!present)
        value = "";
    switch (selector->comparison) {
    case COMPARE_PRESENT:
        *ret_matches = present;
        return BERTH_OK;
    case COMPARE_EQUAL:
        *ret_matches = present && strcmp(value, selector->value) == 0;
        return BERTH_OK;
    case COMPARE_NOT_EQUAL:
        *ret_matches = strcmp(value, selector->value) != 0;
        return BERTH_OK;
    case COMPARE_MATCHES:
        break;
    }
    return match_pattern(selector, value, time, ret_matches, err);
}

static enum berth_code match_all(const struct selectors *selectors, struct pattern_time *time,
                                 berth_filter_field *field, void *context, bool *ret_matches,
                                 struct berth_error *err)
{
    bool matches = true;

    for (size_t i = 0; i < selectors->count && matches; i++) {
        enum berth_code code = match_selector(&selectors->items[i], time, field, context, &matches, err);

        if (code != BERTH_OK)
            return code;
    }
    *ret_matches = matches;
    return BERTH_OK;
}

enum berth_code berth_filter_match(struct berth_filter *filter, berth_filter_field *field, void *context,
                                   bool *ret_matches, struct berth_error *err)
{
    bool matches = filter->count == 0;

    for (size_t i = 0; i < filter->count && !matches; i++) {
        enum berth_code code =
            match_all(&filter->alternatives[i], &filter->time, field, context, &matches, err);

        if (code != BERTH_OK)
            return code;
    }
    *ret_matches = matches;
    return BERTH_OK;
}
