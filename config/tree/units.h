/* SPDX-License-Identifier: Apache-2.0 */
/* Booleans, numbers, durations and sizes as people write them, both ways. */
#ifndef CONFIG_TREE_UNITS_H
#define CONFIG_TREE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#include "tree.h"

/** Room for a formatted value, including the NUL. */
#define CONFIG_UNITS_MAX 32

/**
 * "10s", "10 s", "1m30s", "1.5h", "250ms", "0" -> nanoseconds. False, with the reason in `err`, for anything
 * else: no unit, a negative value, more than 292 years or finer than a nanosecond.
 */
bool config_parse_duration(const char *text, int64_t *ret_ns, struct berth_error *err);
/** "4KiB", "1.5GiB", "10MB", "512B", "512" -> bytes. */
bool config_parse_bytes(const char *text, int64_t *ret_bytes, struct berth_error *err);

/** Read an unquoted scalar. False, with the reason in `err`, for any other text. */
bool config_read_bool(const struct config_node *scalar, bool *ret_boolean, struct berth_error *err);
/** Decimal, 0x… or 0o…. */
bool config_read_int(const struct config_node *scalar, int64_t *ret_integer, struct berth_error *err);
bool config_read_float(const struct config_node *scalar, double *ret_number, struct berth_error *err);

/** Reads back as the same value: "1m30s", "1.5s", "250ms", "0s". */
void config_format_duration(int64_t ns, char ret_text[CONFIG_UNITS_MAX]);
/** In the largest unit that divides it: "4KiB", "10MB", "1500". */
void config_format_bytes(int64_t bytes, char ret_text[CONFIG_UNITS_MAX]);
/** The fewest digits that read back as the same number, with a point in every locale: "0.1", "1e+300". */
void config_format_float(double number, char ret_text[CONFIG_UNITS_MAX]);

#endif
