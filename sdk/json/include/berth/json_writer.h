/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON into memory, on one line, up to a bound: always valid, whatever bytes a text contains. */
#ifndef BERTH_JSON_WRITER_H
#define BERTH_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Zero-initialise. After a failure nothing more is written, and the text is incomplete. */
struct berth_json_writer {
    char *bytes;
    size_t length, capacity;
    /** Maximum length; 0: BERTH_JSON_WRITER_MAX. */
    size_t max;
    /** No memory, or the bound is reached. */
    bool failed;
};

#define BERTH_JSON_WRITER_MAX ((size_t)16 << 20)

/** Frees the text; the writer can be used again. */
void berth_json_finish(struct berth_json_writer *json);
/** Bytes as they are. */
void berth_json_raw(struct berth_json_writer *json, const char *bytes, size_t length);

/** `key` is NULL in an array and for the outermost value. `bracket` is '{' or '['; a close fits its open. */
void berth_json_open(struct berth_json_writer *json, const char *key, char bracket);
void berth_json_close(struct berth_json_writer *json, char bracket);
/**
 * NULL becomes null. Control characters and those that change the order of what is around them are escaped,
 * as are "<", ">" and "&"; bytes that are not UTF-8 become U+FFFD.
 */
void berth_json_string(struct berth_json_writer *json, const char *key, const char *value);
/** An empty string becomes null, too. */
void berth_json_text(struct berth_json_writer *json, const char *key, const char *value);
void berth_json_integer(struct berth_json_writer *json, const char *key, int64_t value);
/** Values above INT64_MAX become that. */
void berth_json_count(struct berth_json_writer *json, const char *key, uint64_t value);
/** The shortest text that reads back as the same number; null if it is not finite. */
void berth_json_number(struct berth_json_writer *json, const char *key, double value);
void berth_json_bool(struct berth_json_writer *json, const char *key, bool value);

#ifdef __cplusplus
}
#endif

#endif
