/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RPC_MESSAGE_METADATA_H
#define RPC_MESSAGE_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <berth/call.h>

#include <sdk/base/arena.h>

/** Headers or trailers in order. All zero is an empty list; the memory is the arena's. */
struct metadata_list {
    struct berth_metadata *items;
    size_t count;
    size_t capacity;
};

/** Is a name or a value of a field this text? */
static inline bool metadata_is(const char *text, size_t length, const char *wanted)
{
    return length == strlen(wanted) && memcmp(text, wanted, length) == 0;
}

/** Does the key's value travel as base64? */
bool metadata_is_binary(const char *key, size_t length);

/** Is it one of those that gRPC or HTTP/2 use themselves? */
bool metadata_is_reserved(const char *key, size_t length);

/**
 * What a received field counts towards a bound of headers: its bytes and 32 more (RFC 9113 6.5.2), these for
 * each of the values that a "-bin" field is split into.
 */
size_t metadata_size(const char *key, size_t key_length, const char *value, size_t value_length);

/**
 * Adds a field as it came off the wire; a "-bin" value is split at its commas and decoded.
 * @return BERTH_OK; BERTH_INTERNAL if it is not base64; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code metadata_receive(struct metadata_list *list, struct berth_arena *arena, const char *key,
                                 size_t key_length, const char *value, size_t value_length);

/** Is it `[0-9a-z_.-]+`, and not reserved? */
bool metadata_key_is_sendable(const char *key);

/**
 * Adds a field in its wire form.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a key that is not `[0-9a-z_.-]+` or reserved, or a value
 * that HTTP cannot carry under a key that is not "-bin"; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code metadata_prepare(struct metadata_list *list, struct berth_arena *arena, const char *key,
                                 const void *value, size_t length);

/** Adds a field whose memory is the caller's. */
enum berth_code metadata_add(struct metadata_list *list, struct berth_arena *arena,
                             struct berth_metadata item);

/** The most bytes that percent_encode writes for `length` bytes, without a NUL. */
#define PERCENT_ENCODED_MAX(length) ((length)*9)

/** Writes the wire form of a grpc-message, which is UTF-8: U+FFFD for each invalid byte; no NUL. @return
 * the number of bytes written. */
size_t percent_encode(const char *text, size_t length, char *ret_encoded);

/** Reverses it; invalid escapes stay as they are. `ret_text` needs `length` bytes; no NUL. */
size_t percent_decode(const char *encoded, size_t length, char *ret_text);

/** The longest text that timeout_format writes, with its NUL. */
#define TIMEOUT_TEXT_MAX 10

/**
 * Reads the value of a grpc-timeout header: 1 to 8 digits and one of H M S m u n.
 *
 * @param ret_nanoseconds  At most INT64_MAX, to which longer ones are cut.
 * @return false for anything else.
 */
bool timeout_parse(const char *text, size_t length, uint64_t *ret_nanoseconds);

/** Writes it in the finest unit that 8 digits hold, rounded up, so that the server's deadline is never first.
 */
void timeout_format(uint64_t nanoseconds, char text[TIMEOUT_TEXT_MAX]);

#endif
