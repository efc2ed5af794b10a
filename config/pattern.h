/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions that a schema brings along: bounded before they are compiled. */
#ifndef CONFIG_PATTERN_H
#define CONFIG_PATTERN_H

#include <regex.h>
#include <stdbool.h>

#include <berth/error.h>

/**
 * Compiles a POSIX extended expression so that it has to match the whole text.
 *
 * @param ret_regex  to be freed with regfree.
 * @return false with the reason in `err`: malformed, too long, refers back to a group, or repeats so much
 *         that compiling it would cost too much.
 */
bool config_pattern_compile(const char *pattern, regex_t *ret_regex, struct berth_error *err);

#endif
