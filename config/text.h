/* SPDX-License-Identifier: Apache-2.0 */
/* A text that grows at its end: what messages and printed configurations are put together in. */
#ifndef CONFIG_TEXT_H
#define CONFIG_TEXT_H

#include <stddef.h>

#include <berth/error.h>

/** Zero-initialise. `bytes` is NULL while empty, else ends in a NUL that `length` does not count. */
struct config_text {
    char *bytes;
    size_t length;
    size_t capacity;
};

/** These abort when memory is out. */
void config_text_add_bytes(struct config_text *text, const char *bytes, size_t length);
BERTH_PRINTF(2, 3)
void config_text_add(struct config_text *text, const char *format, ...);
void config_text_add_spaces(struct config_text *text, size_t count);

/** In double quotes with JSON's escapes, which YAML reads alike. */
void config_text_add_quoted(struct config_text *text, const char *bytes, size_t length);
/** With a space for each character that would end a line or steer a terminal: for comments. */
void config_text_add_cleaned(struct config_text *text, const char *bytes, size_t length);

/** The text, malloced, for the caller to free; never NULL. Leaves an empty one behind. */
char *config_text_take(struct config_text *text);
void config_text_finish(struct config_text *text);

#endif
