/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps of RFC 3339, in UTC: "2026-11-24T02:08:26.125Z". */
#ifndef SDK_BASE_RFC3339_H
#define SDK_BASE_RFC3339_H

#include <stdint.h>

/** With nine digits of a second's fraction, and the NUL. */
#define RFC3339_MAX 31

/**
 * Takes no lock and calls nothing, unlike gmtime_r(3), so that a signal handler may use it.
 *
 * @param seconds      since 1970 in UTC, negative before.
 * @param nanoseconds  of the next second, below 1,000,000,000.
 * @param digits       of the second's fraction, 0 to 9; the rest is cut off, not rounded.
 * @return ret_text; "" for a year without four digits.
 */
char *rfc3339_format(int64_t seconds, uint32_t nanoseconds, unsigned digits, char ret_text[RFC3339_MAX]);

#endif
