/* SPDX-License-Identifier: Apache-2.0 */
/* A regular expression from outside: near to RE2 in what it takes, and bounded in what it costs. */
#ifndef FILTER_PATTERN_H
#define FILTER_PATTERN_H

#include <stdbool.h>

struct pattern;

/** NULL for what is no regular expression: it matches nothing. */
struct pattern *pattern_create(const char *text);
void pattern_destroy(struct pattern *pattern);
/** Is it anywhere in the text? No, where finding out would take too long. */
bool pattern_matches(struct pattern *pattern, const char *text);

#endif
