/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters of containerd's API, as used by every List: `type==io.berth.store.v1,id~="^lm"`.
 *
 *     selector   field path, alone (is it present?) or with an operator and a value
 *     field      [A-Za-z0-9_]+, or "quoted"; joined with dots
 *     operator   == equal; != different, or absent; ~= regular expression, unanchored
 *     value      up to a comma or a space, or "quoted"; after ~= also /quoted/ or |quoted|
 *
 * Selectors joined with commas must all match. Of several filters one must match; no filter, or an empty one,
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

/** Limits of one request: bytes and selectors of all filters together, and regular expressions. */
#define BERTH_FILTER_MAX_BYTES 65536
#define BERTH_FILTER_MAX_SELECTORS 1024
#define BERTH_FILTER_MAX_PATTERNS 32

/** Parsed filters, with the CPU time used by their regular expressions. One thread at a time. */
struct berth_filter;

/**
 * Looks up a field of the object being matched: `count` names, at least one.
 *
 * @param ret_value  NUL-terminated, must live until the filter has returned; written only if the field is
 *                   present.
 * @return is the field present?
 */
typedef bool berth_filter_field(void *context, const char *const *path, size_t count, const char **ret_value);

/**
 * Parses filters, one of which must match. Regular expressions are RE2's, as in containerd. The first one
 * loads libberth-filter-re2 into the process, and with it RE2 and the C++ library.
 *
 * @param texts  UTF-8; not used after this returns.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT if a filter cannot be parsed (in containerd's wording), a regular
 *         expression is invalid, or all together are too large; BERTH_RESOURCE_EXHAUSTED without memory;
 *         BERTH_UNAVAILABLE if RE2 cannot be loaded.
 */
enum berth_code berth_filter_create(const char *const *texts, size_t count, struct berth_filter **ret_filter,
                                    struct berth_error *err);

/**
 * Rejects filters with a field that no object has. containerd accepts them, and they never match.
 *
 * @param names  the known fields, of one name each; NULL-terminated.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT with the known fields in the message.
 */
enum berth_code berth_filter_check(const struct berth_filter *filter, const char *const *names,
                                   struct berth_error *err);

/** Takes NULL. */
void berth_filter_destroy(struct berth_filter *filter);

/**
 * Matches an object, whose fields `field` looks up.
 *
 * The regular expressions of a filter may use half a second of CPU time at once, and a tenth of the time
 * after that, so that no client can block the loop. A filter that needs more fails; do not treat that as
 * "does not match".
 *
 * @param ret_matches  written only on success.
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED if a regular expression took too long or memory ran out, with a
 *         message for the client that names the expression.
 */
enum berth_code berth_filter_match(struct berth_filter *filter, berth_filter_field *field, void *context,
                                   bool *ret_matches, struct berth_error *err);

#ifdef __cplusplus
}
#endif

#endif
