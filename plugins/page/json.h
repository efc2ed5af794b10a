/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON into memory, on one line, up to a bound. */
#ifndef PAGE_JSON_H
#define PAGE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Zero-initialise. After a failure nothing more is written, and the text is incomplete. */
struct json {
    char *bytes;
    size_t length, capacity;
    /** Maximum length; 0: JSON_MAX. */
    size_t max;
    /** No memory, or the bound is reached. */
    bool failed;
};

#define JSON_MAX ((size_t)16 << 20)

/** Frees the text; the writer can be used again. */
void json_finish(struct json *json);
/** Bytes as they are. */
void json_raw(struct json *json, const char *bytes, size_t length);

/** `key` is NULL in an array and for the outermost value. `bracket` is '{' or '['; a close fits its open. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
/**
 * NULL becomes null. Control characters and those that change the order of what is around them are escaped,
 * as are "<", ">" and "&"; bytes that are not UTF-8 become U+FFFD.
 */
void json_string(struct json *json, const char *key, const char *value);
/** An empty string becomes null, too. */
void json_text(struct json *json, const char *key, const char *value);
void json_integer(struct json *json, const char *key, int64_t value);
/** Values above INT64_MAX become that. */
void json_count(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);

#endif
