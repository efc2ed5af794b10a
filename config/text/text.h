/* SPDX-License-Identifier: Apache-2.0 */
/* A growing text, for messages and printed configuration. */
#ifndef CONFIG_TEXT_TEXT_H
#define CONFIG_TEXT_TEXT_H

#include <stddef.h>

#include <berth/error.h>

/** Zero-initialise. `bytes` is NULL while empty, else NUL-terminated; `length` excludes the NUL. */
struct config_text {
    char *bytes;
    size_t length;
    size_t capacity;
};

/** These abort when out of memory. */
void config_text_add_bytes(struct config_text *text, const char *bytes, size_t length);
BERTH_PRINTF(2, 3)
void config_text_add(struct config_text *text, const char *format, ...);
void config_text_add_spaces(struct config_text *text, size_t count);

/** Double-quoted with JSON's escapes, which YAML shares. */
void config_text_add_quoted(struct config_text *text, const char *bytes, size_t length);
/** Replaces line breaks and control characters by spaces: for comments. */
void config_text_add_cleaned(struct config_text *text, const char *bytes, size_t length);

/** Moves the text out, malloced and never NULL; leaves it empty. */
char *config_text_take(struct config_text *text);
void config_text_finish(struct config_text *text);

#endif
