/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters of containerd's API, as every List takes them: `type==io.berth.store.v1,id~="^lm"`.
 *
 *     selector   field path, alone (is it there?) or with an operator and a value
 *     field      [A-Za-z0-9_]+, or "quoted"; joined with dots
 *     operator   == equal; != differs, also from what is absent; ~= regular expression, unanchored
 *     value      up to a comma or a space, or "quoted"; after ~= also /quoted/ or |quoted|
 *
 * Selectors joined with commas must all match; of several filters one is enough; none, or an empty one,
 * matches everything. A static library: link it into the module.
 */
#ifndef BERTH_FILTER_H
#define BERTH_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What one request may ask for: bytes and selectors over all filters, and regular expressions. */
#define BERTH_FILTER_MAX_BYTES 65536
#define BERTH_FILTER_MAX_SELECTORS 1024
#define BERTH_FILTER_MAX_PATTERNS 32

/** Parsed filters, with the CPU time their regular expressions have used. One thread at a time. */
struct berth_filter;

/**
 * Looks up a field of the object that is being matched: `count` names, at least one.
 *
 * @param ret_value  NUL-ended, to live until the filter has answered; written only where it is there.
 * @return is it there?
 */
typedef bool berth_filter_field(void *context, const char *const *path, size_t count, const char **ret_value);

/**
 * Parses filters, one of which must match. Regular expressions are RE2's, as in containerd; the first one
 * loads libberth-filter-re2, and with it RE2 and the C++ library, into the process.
 *
 * @param texts  UTF-8; not used after this returns.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT where one cannot be parsed, in containerd's wording, a regular
 * expression is refused, or all together are too large; BERTH_RESOURCE_EXHAUSTED without memory;
 * BERTH_UNAVAILABLE where RE2 cannot be loaded.
 */
enum berth_code berth_filter_create(const char *const *texts, size_t count, struct berth_filter **ret_filter,
                                    struct berth_error *err);

/**
 * Refuses a filter that asks for a field that no object has. containerd takes one, and it is never there.
 *
 * @param names  of the fields, of one name each; NULL ends them.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT, which lists them.
 */
enum berth_code berth_filter_check(const struct berth_filter *filter, const char *const *names,
                                   struct berth_error *err);

/** Takes NULL. */
void berth_filter_destroy(struct berth_filter *filter);

/**
 * Matches an object, whose fields `field` looks up.
 *
 * The regular expressions of a filter may use half a second of CPU time at once, and a tenth of the time
 * after that, so that no client can stop the loop. A filter that needs more fails: never take that for "does
 * not match".
 *
 * @param ret_matches  written only on success.
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED where a regular expression would take too long, or memory ran
 * out; the message names it and suits the client.
 */
enum berth_code berth_filter_match(struct berth_filter *filter, berth_filter_field *field, void *context,
                                   bool *ret_matches, struct berth_error *err);

#ifdef __cplusplus
}
#endif

#endif
