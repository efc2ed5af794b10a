/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON to a stream, one member a line, or all of a value in one. */
#ifndef CONFIG_PRINT_JSON_H
#define CONFIG_PRINT_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** Initialise with the stream: `{.out = stdout}`. A failed write shows in ferror(out). */
struct config_json {
    FILE *out;
    /** For readers that read by lines. */
    bool is_on_one_line;
    unsigned depth;
    bool has_items;
};

/** `key` is NULL in an array and for the outermost value. `bracket` is '{' or '['; a close fits its open. */
void config_json_open(struct config_json *json, const char *key, char bracket);
/** After the outermost one a newline ends the text. */
void config_json_close(struct config_json *json, char bracket);

/** NULL becomes null; bytes that are not UTF-8 become U+FFFD. */
void config_json_string(struct config_json *json, const char *key, const char *value);
void config_json_integer(struct config_json *json, const char *key, int64_t value);
void config_json_float(struct config_json *json, const char *key, double value);
void config_json_bool(struct config_json *json, const char *key, bool value);

#endif
